package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"strings"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newPagesCommand(c *cli) *cobra.Command {
	var asJSON bool
	var pngFile, svgFile string
	var width int
	cmd := &cobra.Command{
		Use:     "pages FILE",
		GroupID: groupLook,
		Short:   "Show what each page of the file is for",
		Long: `pages walks the store and draws a map of its file, a character a page:

  M meta   B branch   L leaf   v large value or long key   f list of free pages
  . free   ! damaged  ? not reached: old, or below a damaged page

On a terminal each bucket right inside the root has a colour, which it shares with the
buckets inside it. --png and --svg draw the map into a file instead, a square a page:
light for large values, full for leaves, dark for branches, in the colour of the
bucket; white is free, black is meta, red is damaged. With --json every run of like
pages is an object. It works on damaged stores as far as they can be walked; exit
status 1 if pages are damaged.`,
		Example: `  kvcli pages store.db
  kvcli pages store.db --png pages.png
  kvcli pages store.db --svg pages.svg --width 128
  kvcli pages store.db --json`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if width < 0 {
				return usagef(cmd, "--width is a number of pages, from 1 on")
			}
			in, err := c.inspect(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			m, err := c.mapPages(cmd.Context(), in)
			if err != nil {
				return err
			}
			switch {
			case pngFile != "":
				err = c.draw(pngFile, func(w io.Writer) error { return m.png(w, width) })
			case svgFile != "":
				err = c.draw(svgFile, func(w io.Writer) error { return m.svg(w, width) })
			case asJSON:
				c.printRuns(m)
			default:
				c.printMap(m, width)
			}
			if err == nil && len(m.Damage) > 0 {
				err = negativef("%s: %d pages or values are damaged; 'kvcli check %s' lists what is wrong", args[0], len(m.Damage), args[0])
			}
			return err
		},
	}
	cmd.Flags().StringVar(&pngFile, "png", "", "draw the map into this new file")
	cmd.Flags().StringVar(&svgFile, "svg", "", "draw the map into this new file")
	cmd.Flags().IntVar(&width, "width", 0, "pages in a row (default what suits)")
	addJSONFlag(cmd, &asJSON)
	cmd.MarkFlagsMutuallyExclusive("png", "svg", "json")
	return cmd
}

// A pageMap is a map whose buckets are those right inside the root, with all inside them.
type pageMap struct {
	*folio.PageMap
	groups []bucketPath // the first is the root itself
	group  []int        // by bucket of the PageMap
}

func (c *cli) mapPages(parent context.Context, in *folio.Inspector) (*pageMap, error) {
	ctx, stop := interruptible(parent)
	defer stop()
	progress := c.newProgress("walking", -1, false)
	defer progress.finish()
	m, err := in.Map(ctx, folio.MapOptions{Progress: progress.report})
	if err != nil {
		return nil, cause(ctx, err)
	}
	p := &pageMap{PageMap: m, groups: []bucketPath{nil}}
	number := map[string]int{}
	for _, path := range m.Buckets {
		if len(path) == 0 {
			p.group = append(p.group, 0)
			continue
		}
		name := string(path[0])
		if number[name] == 0 {
			number[name] = len(p.groups)
			p.groups = append(p.groups, bucketPath(path[:1]))
		}
		p.group = append(p.group, number[name])
	}
	return p, nil
}

// groupOf returns the group of a page's bucket.
func (m *pageMap) groupOf(pgno int) int { return m.group[m.Bucket[pgno]] }

var pageMarks = map[folio.PageKind]byte{
	folio.UnknownPage: '?', folio.MetaPage: 'M', folio.BranchPage: 'B', folio.LeafPage: 'L', folio.ExtentPage: 'v',
	folio.FreeLogPage: 'f', folio.FreePage: '.', folio.DamagedPage: '!', folio.RedoLogPage: 'r',
}

// ofBucket tells whether pages of the kind belong to a bucket.
func ofBucket(k folio.PageKind) bool {
	return k == folio.BranchPage || k == folio.LeafPage || k == folio.ExtentPage || k == folio.DamagedPage
}

// printMap prints a character a page, rows with their first page, and what it sums up to.
func (c *cli) printMap(m *pageMap, width int) {
	if width == 0 {
		width = 64
		if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && c.outTerminal && columns > 2*width+12 {
			width *= 2
		}
	}
	for at := 0; at < len(m.Kinds); at += width {
		fmt.Fprintf(c.out, "%10d  ", at)
		end := min(at+width, len(m.Kinds))
		for from := at; from < end; {
			with, to := c.pageColour(m, from), from+1
			for to < end && c.pageColour(m, to) == with {
				to++
			}
			marks := make([]byte, 0, width)
			for i := from; i < to; i++ {
				marks = append(marks, pageMarks[m.Kinds[i]])
			}
			c.out.WriteString(c.paint(with, string(marks)))
			from = to
		}
		c.out.WriteByte('\n')
	}
	c.out.WriteByte('\n')
	c.printTable(false, m.sums(c))
}

func (c *cli) pageColour(m *pageMap, pgno int) colour {
	switch k := m.Kinds[pgno]; {
	case k == folio.DamagedPage:
		return red
	case ofBucket(k) && m.groupOf(pgno) > 0:
		return bucketColour(m.groupOf(pgno) - 1)
	case ofBucket(k) || k == folio.MetaPage:
		return bold
	default:
		return dim
	}
}

// sums is a table of the pages of each kind and bucket.
func (m *pageMap) sums(c *cli) *table {
	type row struct {
		kind  folio.PageKind
		group int
	}
	count := map[row]int{}
	for i, k := range m.Kinds {
		r := row{kind: k}
		if ofBucket(k) {
			r.group = m.groupOf(i)
		}
		count[r]++
	}
	t := &table{columns: []string{"pages", "kind", "bucket"}}
	kinds := []folio.PageKind{folio.MetaPage, folio.FreeLogPage, folio.RedoLogPage, folio.FreePage, folio.UnknownPage, folio.DamagedPage, folio.BranchPage, folio.LeafPage, folio.ExtentPage}
	for g, path := range m.groups {
		for _, k := range kinds {
			n := count[row{k, g}]
			if n == 0 || !ofBucket(k) && g > 0 {
				continue
			}
			bucket := ""
			if ofBucket(k) {
				bucket = path.String()
				if g > 0 {
					bucket = c.paint(bucketColour(g-1), bucket)
				}
			}
			t.add(n, k.String(), bucket)
		}
	}
	return t
}

// printRuns prints runs of pages that are alike as objects.
func (c *cli) printRuns(m *pageMap) {
	for at := 0; at < len(m.Kinds); {
		end := at + 1
		for end < len(m.Kinds) && m.Kinds[end] == m.Kinds[at] && m.Bucket[end] == m.Bucket[at] {
			end++
		}
		facts := []fact{{"page", at}, {"count", end - at}, {"kind", m.Kinds[at].String()}}
		if ofBucket(m.Kinds[at]) {
			facts = append(facts, fact{"bucket", bucketPath(m.Buckets[m.Bucket[at]])})
		}
		c.printObject(facts)
		at = end
	}
}

// draw makes a picture in a new file.
func (c *cli) draw(name string, write func(io.Writer) error) error {
	err := createWhole(name, func(partial string) error { return writeDurably(partial, write) })
	return explainNew(name, err)
}

// size returns how many pages a row of a picture has, how many rows there are, and how many
// pixels the side of a page has.
func (m *pageMap) size(width int) (columns, rows, side int) {
	columns = width
	if columns == 0 {
		columns = max(16, int(math.Ceil(math.Sqrt(float64(len(m.Kinds))))))
	}
	rows = (len(m.Kinds) + columns - 1) / columns
	return columns, rows, min(16, max(1, 1024/max(columns, rows)))
}

func (m *pageMap) png(w io.Writer, width int) error {
	columns, rows, side := m.size(width)
	if columns > 1<<16 || rows > 1<<16 {
		return fmt.Errorf("a picture of %d times %d pages is too large: choose another --width", columns, rows)
	}
	picture := image.NewRGBA(image.Rect(0, 0, columns*side, rows*side))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	for pgno := range m.Kinds {
		x, y, with := pgno%columns*side, pgno/columns*side, m.rgb(pgno)
		inner := side - min(1, side/4) // squares large enough have a line between them
		for dy := range inner {
			for dx := range inner {
				picture.SetRGBA(x+dx, y+dy, with)
			}
		}
	}
	return png.Encode(w, picture)
}

func (m *pageMap) svg(w io.Writer, width int) error {
	columns, rows, side := m.size(width)
	side = max(side, 4)
	legend := 20 * len(m.groups)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", max(columns*side, 320), rows*side+legend+10)
	for pgno := 0; pgno < len(m.Kinds) && err == nil; {
		end := pgno + 1 // rows of like pages are one bar
		for end < len(m.Kinds) && end%columns != 0 && m.Kinds[end] == m.Kinds[pgno] && m.Bucket[end] == m.Bucket[pgno] {
			end++
		}
		title := m.Kinds[pgno].String()
		if ofBucket(m.Kinds[pgno]) {
			title += " of " + bucketPath(m.Buckets[m.Bucket[pgno]]).String()
		}
		_, err = fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%d-%d: %s</title></rect>`+"\n",
			pgno%columns*side, pgno/columns*side, (end-pgno)*side-1, side-1, hexColour(m.rgb(pgno)), pgno, end-1, escapeXML(title))
		pgno = end
	}
	for g, path := range m.groups {
		y := rows*side + 20*(g+1)
		if err == nil {
			_, err = fmt.Fprintf(w, `<rect x="4" y="%d" width="12" height="12" fill="%s"/><text x="22" y="%d">%s</text>`+"\n",
				y-11, hexColour(groupColour(g, folio.LeafPage)), y, escapeXML(path.String()))
		}
	}
	if err == nil {
		_, err = io.WriteString(w, "</svg>\n")
	}
	return err
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func hexColour(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// rgb is the colour of a page in a picture.
func (m *pageMap) rgb(pgno int) color.RGBA {
	switch k := m.Kinds[pgno]; k {
	case folio.MetaPage:
		return color.RGBA{0, 0, 0, 255}
	case folio.FreeLogPage, folio.RedoLogPage:
		return color.RGBA{90, 90, 90, 255}
	case folio.FreePage:
		return color.RGBA{238, 238, 238, 255}
	case folio.DamagedPage:
		return color.RGBA{255, 0, 0, 255}
	case folio.UnknownPage:
		return color.RGBA{255, 190, 120, 255}
	default:
		return groupColour(m.groupOf(pgno), k)
	}
}

// groupColour gives each bucket a hue as far as possible from those before it: steps of the
// golden angle. Branches are dark, values light. The root is grey.
func groupColour(group int, k folio.PageKind) color.RGBA {
	light := map[folio.PageKind]float64{folio.BranchPage: 0.3, folio.LeafPage: 0.5, folio.ExtentPage: 0.75}[k]
	if group == 0 {
		v := uint8(255 * light)
		return color.RGBA{v, v, v, 255}
	}
	hue := math.Mod(200+float64(group-1)*137.508, 360)
	if hue < 20 || hue > 340 { // damage alone is red
		hue = math.Mod(hue+60, 360)
	}
	chroma := (1 - math.Abs(2*light-1)) * 0.75
	channel := func(offset float64) uint8 {
		k := math.Mod(offset+hue/30, 12)
		v := light - chroma/2*max(-1, min(k-3, 9-k, 1))
		return uint8(255 * max(0, min(1, v)))
	}
	return color.RGBA{channel(0), channel(8), channel(4), 255}
}

package folio

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// This file brings what can be read of a damaged file into a new store. What must hold:
//
//   - What the tree leads to is taken when its checksum matches (see survey.go). Below a lost
//     page nothing is known of the checksums; what was there is looked for among all pages.
//   - A page found so is taken only if the free log says that it is in use: then it is part of
//     the state, not an older version of something. Where the free log is lost nothing says
//     so, and such pages are left, or set apart if the caller wants them.
//   - A page found so goes into the bucket whose older pages refer to it, or where its keys
//     fit into the range that one lost page leaves open. Else it is set apart.
//   - No pair is made up, and none is stored twice in a bucket: keys that do not rise are left.

// SalvageOptions are the options of Inspector.Salvage.
type SalvageOptions struct {
	// Progress, if not nil, is called now and then with how much is done of about how much.
	Progress func(done, total int64)

	// Unproven also takes what may be old or damaged. Where the free log is lost: pages that
	// nothing refers to any more and that may be older versions, which are set apart. Where
	// both metas are lost: large values, of which nothing can be verified then, and the
	// newest state with an intact root though pages of later ones were found.
	Unproven bool
}

// A SalvageReport says what Inspector.Salvage recovered, and what it did not.
type SalvageReport struct {
	Txid     int  // of the state
	Meta     int  // slot of the meta it was taken from, -1: it was found without
	Verified bool // checksums could be compared; not so if both metas are lost
	FreeLog  bool // it was known which pages are in use

	Buckets int64 // recovered, all that follow included
	Pairs   int64 // recovered, all that follow included

	// Unverified is the number of pairs from pages that are consistent in themselves but
	// whose checksum is lost; all pairs where both metas are lost and nothing shows that the
	// root that was found is the right one.
	Unverified int64
	// Placed is the number of pairs from below lost pages that were put into their bucket.
	Placed int64
	// Apart is the number of pairs whose bucket is not known. They are in buckets of their own,
	// named after the page where they were found, inside the bucket LostAndFound.
	Apart        int64
	LostAndFound string
	// Named are the buckets whose names and places come from older pages because their
	// entries are lost; their sequences may be old.
	Named [][][]byte

	// Lost is the number of entries that are known to be missing from their place; some of
	// them may be among those set apart. What stood in lost nested buckets is not counted.
	Lost   int64
	Losses []SalvageLoss

	// Redone is the number of records of the redo log that were done again; what they changed is not
	// counted above. RedoDamage says why others were not, nil if there were none.
	Redone     int64
	RedoDamage error
}

// A SalvageLoss is a page or value that could not be read, and what is known of it.
type SalvageLoss struct {
	Pgno      uint32
	Pages     int      // of an extent; 1 for a page of a tree
	Bucket    [][]byte // path of the bucket it belongs to; empty: the bucket tree itself
	Lo, Hi    []byte   // its keys are in [Lo, Hi); nil: no bound
	Key       []byte   // of an entry lost for itself, with a value or key in an extent
	Entries   int64    // below the page, as the page above says; 0 if that is lost, too
	Recovered int64    // of those, recovered from pages below
	Reason    error
}

// A salvage is one run.
type salvage struct {
	in     *Inspector
	s      *survey
	opts   SalvageOptions
	report *SalvageReport

	found  map[uint32]*orphan    // pages of trees that the walk did not reach
	roots  []*orphan             // those in use to which nothing found refers
	labels map[*orphan]*surveyed // by the top of a tree
	apart  *surveyed             // the bucket for what has no place
	first  int                   // index of the first bucket that was set apart or named
	losses map[cellAt]*loss
	stamp  uint32
	stamps []uint32

	unproven map[uint32]bool // pages that were found, whose checksum is not known
	guessed  bool            // the root was found without a meta, and nothing confirms it
}

// Salvage stores in dst, which must be empty, all that can be recovered of the state that is
// looked at, in one transaction. The report tells what that is, and what is lost. A file
// without damage is copied whole. Errors: those of dst, ctx's, and ErrCorrupt if nothing at
// all is found.
func (in *Inspector) Salvage(ctx context.Context, dst *DB, opts SalvageOptions) (*SalvageReport, error) {
	g := &salvage{in: in, s: in.newSurvey(ctx), opts: opts, found: map[uint32]*orphan{}, labels: map[*orphan]*surveyed{}, unproven: map[uint32]bool{}}
	total := int64(3 * len(g.s.kinds))
	if opts.Progress != nil {
		g.s.progress = func(done int64) { opts.Progress(min(done, total), total) }
	}
	g.s.trusting = opts.Unproven
	if err := g.walk(); err != nil {
		return nil, err
	}
	g.report = &SalvageReport{
		Txid: int(g.s.txid), Meta: in.at, Verified: g.s.sealed, FreeLog: g.s.books != nil, Losses: g.s.lost(),
	}
	if err := g.store(ctx, dst); err != nil {
		return nil, err
	}
	g.account()
	return g.report, nil
}

// walk finds what there is to recover.
func (g *salvage) walk() error {
	if g.in.at < 0 {
		if err := g.findState(); err != nil {
			return err
		}
	}
	if err := g.s.run(); err != nil {
		return err
	}
	if err := g.judgeRoot(); err != nil {
		return err
	}
	if g.in.at < 0 && g.s.root.pgno == 0 {
		b := g.s.buckets[0]
		b.losses = append(b.losses, &loss{bucket: b, level: -1, pages: 1, reason: errors.New("it was not found")})
	}
	g.first = len(g.s.buckets)
	if !g.s.lostPages() {
		return nil
	}
	if err := g.scan(); err != nil {
		return err
	}
	g.link()
	g.name()
	return g.place()
}

// lostPages tells whether pages of trees are lost.
func (s *survey) lostPages() bool {
	for _, b := range s.buckets {
		for _, l := range b.losses {
			if !l.value {
				return true
			}
		}
	}
	return false
}

// An orphan is a page of a tree that the walk did not reach.
type orphan struct {
	r       ref // count and checksum are those of the page as it is
	level   int
	first   []byte // key, of a branch separator
	last    []byte
	refs    []ref
	headers []orphanHeader
	buckets bool // a leaf of nothing but buckets
	inUse   bool
	below   bool // a page found in use refers to it
	named   bool // any page found refers to it
	proven  bool // and has its checksum
	set     *orphan
}

// An orphanHeader is a nested bucket in an orphan.
type orphanHeader struct {
	name     []byte
	root     ref
	sequence uint64
}

// scan reads all pages that the walk did not reach, and keeps those of trees.
func (g *salvage) scan() error {
	s := g.s
	p := make(page, s.pageSize)
	for i := range s.kinds {
		if i%1024 == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		s.advance(1)
		if s.kinds[i] != UnknownPage {
			continue
		}
		pgno := uint32(i)
		if readFull(s.f, p, int64(i)*int64(s.pageSize)) != nil || p.birth() > s.txid || p.sound(pgno) != nil {
			continue
		}
		o := newOrphan(p, s.seed)
		o.inUse = s.books != nil && !s.books.overlaps(run{pgno, 1})
		if o.inUse || s.books == nil || len(o.refs)+len(o.headers) > 0 {
			g.found[pgno] = o
		}
	}
	return nil
}

// newOrphan keeps what is needed of a sound page.
func newOrphan(p page, seed uint64) *orphan {
	o := &orphan{level: p.level()}
	o.r = ref{pgno: p.pgno(), birth: p.birth(), count: p.total(), sum: checksum(seed, p.pgno(), p.birth(), p)}
	o.set = o
	from := min(p.level(), 1) // the first separator of a branch is empty
	if from < p.count() {
		o.first, o.last = bytes.Clone(p.storedKey(from)), bytes.Clone(p.storedKey(p.count()-1))
	}
	o.buckets = p.level() == 0
	for i := range p.count() {
		if p.level() > 0 {
			o.refs = append(o.refs, p.ref(i))
			continue
		}
		flags, v := p.payload(i)
		if flags != cellBucket {
			o.buckets = false
			continue
		}
		var b Bucket
		if b.setHeader(v) == nil && b.inline == nil && b.root.pgno != 0 && !p.isLong(i) {
			o.headers = append(o.headers, orphanHeader{bytes.Clone(p.storedKey(i)), b.root, b.sequence})
		}
	}
	return o
}

// at returns the orphan that r means, nil if it is not there.
func (g *salvage) at(r ref, level int) *orphan {
	o := g.found[r.pgno]
	if o == nil || o.r.birth != r.birth || level >= 0 && o.level != level || g.s.sealed && o.r.sum != r.sum {
		return nil
	}
	return o
}

// top is the representative of the pages that are known to have been in one tree.
func (o *orphan) top() *orphan {
	for o.set != o {
		o.set = o.set.set
		o = o.set
	}
	return o
}

// link finds which orphans refer to which, and puts those of one tree together. A page that
// was copied on write refers to the same children as its older version, except for those that
// changed; so versions of a tree hang together by the pages they share.
func (g *salvage) link() {
	owner := map[*orphan]*surveyed{}
	conflict := map[*orphan]bool{}
	for _, o := range g.sorted() {
		for _, r := range o.refs {
			if c := g.at(r, o.level-1); c != nil {
				c.referred(o, g.s.sealed)
				c.top().set = o.top()
			}
		}
		for _, h := range o.headers {
			if c := g.at(h.root, -1); c != nil {
				c.referred(o, g.s.sealed)
			}
		}
		if b := g.ownerBelow(o); b != nil {
			owner[o] = b
		}
	}
	for o, b := range owner {
		t := o.top()
		if other := g.labels[t]; other != nil && other != b {
			conflict[t] = true
		}
		g.labels[t] = b
	}
	for t := range conflict {
		delete(g.labels, t)
	}
	for _, o := range g.sorted() {
		if o.inUse && !o.below {
			g.roots = append(g.roots, o)
		}
	}
}

// referred notes that from refers to o.
func (o *orphan) referred(from *orphan, sealed bool) {
	o.named = true
	o.below = o.below || from.inUse
	o.proven = o.proven || sealed
}

// sorted returns the orphans, the highest level first, of one level the newest first.
func (g *salvage) sorted() []*orphan {
	all := make([]*orphan, 0, len(g.found))
	for _, o := range g.found {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *orphan) int {
		return cmp.Or(cmp.Compare(b.level, a.level), cmp.Compare(b.r.birth, a.r.birth), cmp.Compare(a.r.pgno, b.r.pgno))
	})
	return all
}

// ownerBelow returns the bucket to which o belonged, as far as its children tell: those that
// the walk reached.
func (g *salvage) ownerBelow(o *orphan) *surveyed {
	h := make(page, headerSize)
	reached := func(r ref) *surveyed {
		if int64(r.pgno) >= int64(len(g.s.kinds)) {
			return nil
		}
		if k := g.s.kinds[r.pgno]; k != LeafPage && k != BranchPage {
			return nil
		}
		if readFull(g.s.f, h, int64(r.pgno)*int64(g.s.pageSize)) != nil || h.birth() != r.birth {
			return nil
		}
		return g.s.buckets[g.s.owners[r.pgno]]
	}
	for _, r := range o.refs {
		if b := reached(r); b != nil {
			return b
		}
	}
	for _, h := range o.headers {
		if b := reached(h.root); b != nil {
			return b.parent
		}
	}
	return nil
}

// A placeOf is where a bucket is: its name in the bucket around it.
type placeOf struct {
	parent uint32
	name   string
}

// name finds the places of trees by older versions of the entries that refer to them.
func (g *salvage) name() {
	known := map[placeOf]*surveyed{}
	for _, b := range g.s.buckets[1:] {
		known[placeOf{b.parent.id, string(b.name)}] = b
	}
	if root := g.oldRoot(known); root != nil {
		g.labels[root.top()] = g.s.buckets[0]
	}
	wanted := map[*orphan]bool{}
	for _, o := range g.roots {
		wanted[o.top()] = true
	}
	newest := g.sorted()
	slices.SortStableFunc(newest, func(a, b *orphan) int { return cmp.Compare(b.r.birth, a.r.birth) })
	for again := true; again; {
		again = false
		for _, o := range newest {
			parent := g.labels[o.top()]
			if parent == nil || parent.depth >= maxSurveyDepth {
				continue
			}
			for _, h := range o.headers {
				c := g.at(h.root, -1)
				if c != nil && wanted[c.top()] && g.labels[c.top()] == nil {
					g.labels[c.top()] = g.nameOne(known, parent, h)
					again = true
				}
			}
		}
	}
}

// nameOne returns the bucket of an older entry, which is made known if it is not.
func (g *salvage) nameOne(known map[placeOf]*surveyed, parent *surveyed, h orphanHeader) *surveyed {
	at := placeOf{parent.id, string(h.name)}
	if known[at] == nil {
		b := g.addLoose(parent, h.name, ref{}, h.sequence)
		b.losses = append(b.losses, &loss{bucket: b, level: -1, reason: errEntryLost})
		known[at] = b
	}
	return known[at]
}

var errEntryLost = errors.New("its entry in the bucket around it is lost")

// oldRoot returns the newest older version of the bucket tree's root: a leaf of nothing but
// buckets to which nothing refers, and one of which is known unless the root is lost. Every
// commit writes the root anew.
func (g *salvage) oldRoot(known map[placeOf]*surveyed) *orphan {
	lost := slices.ContainsFunc(g.s.buckets[0].losses, func(l *loss) bool { return l.level < 0 && !l.value })
	var root *orphan
	for _, o := range g.found {
		if !o.buckets || o.named || o.inUse || root != nil && o.r.birth < root.r.birth {
			continue
		}
		if lost || slices.ContainsFunc(o.headers, func(h orphanHeader) bool { return known[placeOf{0, string(h.name)}] != nil }) {
			root = o
		}
	}
	return root
}

// place gives every root among the orphans its place, from the highest level down: walking a
// tree claims what is below it and may bring up further losses.
func (g *salvage) place() error {
	for level := maxLevel; level >= 0; level-- {
		var free []*orphan
		fits := map[*loss][]*orphan{}
		losses, hidden := g.s.openLosses(), g.mayHideBuckets()
		for _, o := range g.roots {
			if o.level != level || g.s.kinds[o.r.pgno] != UnknownPage {
				continue
			}
			if l := g.fit(o, losses); l != nil {
				fits[l] = append(fits[l], o)
			} else {
				free = append(free, o)
			}
		}
		for _, l := range losses {
			if fits[l] != nil {
				free = append(free, g.resolve(l, fits[l], hidden)...)
			}
		}
		for _, o := range free {
			g.setApart(o)
		}
		if err := g.s.walk(); err != nil {
			return err
		}
	}
	return g.placeUnproven()
}

// openLosses returns the losses below which trees may have stood.
func (s *survey) openLosses() []*loss {
	var all []*loss
	for _, b := range s.buckets {
		for _, l := range b.losses {
			if !l.value && l.level != 0 {
				all = append(all, l)
			}
		}
	}
	return all
}

// fit returns the one loss below which o may have been: of several in one bucket the lowest,
// for their ranges contain each other.
func (g *salvage) fit(o *orphan, losses []*loss) *loss {
	label := g.labels[o.top()]
	keys := g.extremes(o)
	var only *loss
	for _, l := range losses {
		switch {
		case label != nil && l.bucket != label, !l.mayHold(o, keys):
		case only == nil:
			only = l
		case only.bucket != l.bucket:
			return nil
		case only.level < 0 || l.level >= 0 && l.level < only.level:
			only = l
		}
	}
	return only
}

// mayHold tells whether a tree with keys in the range may have stood below the lost page.
func (l *loss) mayHold(o *orphan, keys bounds) bool {
	return l.r.pgno != o.r.pgno && (l.level < 0 || o.level < l.level) && (l.r.birth == 0 || o.r.birth <= l.r.birth) &&
		bytes.Compare(keys.lo, l.lo) >= 0 && below(keys.hi, l.hi)
}

// extremes returns the lowest and the highest key below o, as far as its pages are there.
func (g *salvage) extremes(o *orphan) bounds {
	keys := bounds{o.first, o.last}
	for c := o; c.level > 0; {
		if c = g.at(c.refs[0], c.level-1); c == nil {
			break
		}
		keys.lo = c.first
	}
	for c := o; c.level > 0; {
		if c = g.at(c.refs[len(c.refs)-1], c.level-1); c == nil {
			break
		}
		keys.hi = c.last
	}
	return keys
}

// resolve puts those of the trees below the lost page that are certain to have been there, and
// returns the others: trees whose keys overlap those of another, and, if there are more entries
// than the page had or if they may be nested buckets, those without a label.
func (g *salvage) resolve(l *loss, trees []*orphan, hidden bool) (rest []*orphan) {
	had := len(l.trees)
	keep, rest := g.apartFromEachOther(l.trees, trees)
	total := uint64(0)
	for _, o := range append(slices.Clone(l.trees), keep...) {
		total += o.r.count
	}
	if l.r.count > 0 && total > l.r.count || total != l.r.count && hidden {
		unsure := func(o *orphan) bool { return g.labels[o.top()] == nil }
		for _, o := range keep {
			if unsure(o) {
				rest = append(rest, o)
			}
		}
		keep = slices.DeleteFunc(keep, unsure)
	}
	for _, o := range keep {
		g.unproven[o.r.pgno] = !o.proven
		g.s.tree(l.bucket, o.r, o.level, l.lo, l.hi)
	}
	if l.trees = append(l.trees, keep...); len(l.trees) > had {
		slices.SortFunc(l.trees, g.byKeys)
	}
	return rest
}

func (g *salvage) byKeys(a, b *orphan) int {
	return bytes.Compare(g.extremes(a).lo, g.extremes(b).lo)
}

// apartFromEachOther parts trees into those whose keys do not overlap those of any other, nor
// of the ones that have their place, and the rest.
func (g *salvage) apartFromEachOther(placed, trees []*orphan) (keep, rest []*orphan) {
	all := append(slices.Clone(placed), trees...)
	slices.SortFunc(all, g.byKeys)
	clash := make(map[*orphan]bool)
	var widest *orphan
	for _, o := range all {
		keys := g.extremes(o)
		if widest != nil && bytes.Compare(g.extremes(widest).hi, keys.lo) >= 0 {
			clash[widest], clash[o] = true, true
		}
		if widest == nil || bytes.Compare(keys.hi, g.extremes(widest).hi) > 0 {
			widest = o
		}
	}
	for _, o := range trees {
		if clash[o] {
			rest = append(rest, o)
		} else {
			keep = append(keep, o)
		}
	}
	return keep, rest
}

// mayHideBuckets tells whether a lost page may have had entries of nested buckets: then a tree
// whose keys fit in somewhere may be one of those.
func (g *salvage) mayHideBuckets() bool {
	for _, b := range g.s.buckets[:g.first] {
		for _, l := range b.losses {
			if (b.nested || b.parent == nil) && !l.value {
				return true
			}
		}
	}
	return false
}

// setApart makes a bucket of its own of a tree whose place is not known.
func (g *salvage) setApart(o *orphan) {
	if g.apart == nil {
		g.apart = g.addLoose(g.s.buckets[0], []byte(g.freeName()), ref{}, 0)
	}
	g.addLoose(g.apart, fmt.Appendf(nil, "page-%d", o.r.pgno), o.r, 0)
	g.unproven[o.r.pgno] = !o.proven
}

// addLoose takes up a bucket that has no entry in the one around it.
func (g *salvage) addLoose(parent *surveyed, name []byte, root ref, sequence uint64) *surveyed {
	b := g.s.add(parent, name, root, sequence)
	b.loose = true
	return b
}

// freeName returns a name for the bucket of what has no place, which no other bucket has.
func (g *salvage) freeName() string {
	name := "lost+found"
	for n := 2; ; n++ {
		used := slices.ContainsFunc(g.s.buckets[1:], func(b *surveyed) bool {
			return b.parent == g.s.buckets[0] && string(b.name) == name
		})
		if !used {
			return name
		}
		name = fmt.Sprintf("lost+found-%d", n)
	}
}

// placeUnproven sets apart what may be old, if that is wanted.
func (g *salvage) placeUnproven() error {
	if !g.opts.Unproven || g.s.books != nil {
		return nil
	}
	for _, o := range g.sorted() {
		if g.s.kinds[o.r.pgno] != UnknownPage {
			continue
		}
		from := len(g.s.buckets)
		g.setApart(o)
		if err := g.s.walk(); err != nil {
			return err
		}
		for _, b := range g.s.buckets[from:] {
			b.losses = nil // versions share pages: nothing of it need be lost
		}
	}
	return nil
}

// findState looks for the newest state in a file without a valid meta.
func (g *salvage) findState() error {
	s := g.s
	s.txid = mask48
	s.seed, s.sealed = g.findSeed()
	if err := g.scan(); err != nil {
		return err
	}
	g.link()
	newest, root := uint64(0), (*orphan)(nil)
	for _, o := range g.sorted() {
		newest = max(newest, o.r.birth)
		if !o.named && g.ofBuckets(o) && (root == nil || o.r.birth > root.r.birth) {
			root = o
		}
	}
	if newest == 0 {
		return &CorruptError{Reason: "no page of a tree is whole"}
	}
	s.txid = newest
	if root != nil && (root.r.birth == newest || g.opts.Unproven) {
		s.root, s.txid = root.r, root.r.birth
	}
	g.findLog()
	g.found, g.roots = map[uint32]*orphan{}, nil
	clear(g.labels)
	return nil
}

// judgeRoot compares what the walk from a root without a meta has reached with what the free log
// says is in use. Where the true root is lost, a leaf of some bucket that holds but buckets looks
// like one, and would give its buckets wrong paths.
func (g *salvage) judgeRoot() error {
	s := g.s
	if g.in.at >= 0 || s.root.pgno == 0 {
		return nil
	}
	switch rest := s.unreached(); {
	case s.books == nil || rest && s.openEnds():
		g.guessed = true
	case rest: // what is not lost of this tree is not all there is
		s.restart()
		return s.run()
	}
	return nil
}

// unreached tells whether the walk has not come to a page that is in use.
func (s *survey) unreached() bool {
	for i := metaPages; i < min(int(s.end), len(s.kinds)); i++ {
		if s.kinds[i] == UnknownPage && !s.books.overlaps(run{uint32(i), 1}) {
			return true
		}
	}
	return false
}

// openEnds tells whether more pages may have been below one that is lost.
func (s *survey) openEnds() bool {
	for _, b := range s.buckets {
		for _, l := range b.losses {
			if !l.value && (l.level != 0 || b.nested || b.parent == nil) {
				return true
			}
		}
	}
	return false
}

// restart makes the survey one that has not begun, and knows no root.
func (s *survey) restart() {
	clear(s.kinds[min(metaPages, len(s.kinds)):])
	clear(s.owners)
	clear(s.inCell)
	s.root, s.buckets, s.walked = ref{}, nil, 0
}

// findSeed returns the seed of the checksums from what is left of the metas, if it is right:
// then pages that refer to each other match.
func (g *salvage) findSeed() (uint64, bool) {
	s := g.s
	b := make([]byte, metaSize)
	parent, child := make(page, s.pageSize), make(page, s.pageSize)
	for slot := range int64(metaPages) {
		if readFull(s.f, b, slot*int64(s.pageSize)) != nil {
			continue
		}
		seed := le.Uint64(b[24:])
		for i := metaPages; i < len(s.kinds); i++ {
			if readFull(s.f, parent, int64(i)*int64(s.pageSize)) != nil || parent.kind() != kindBranch || parent.sound(uint32(i)) != nil {
				continue
			}
			r := parent.ref(0)
			if readFull(s.f, child, int64(r.pgno)*int64(s.pageSize)) == nil && verifyPage(seed, r, child) == nil {
				return seed, true
			}
		}
	}
	return 0, false
}

// ofBuckets tells whether o is the root of a tree that holds buckets only, as far as its first
// leaf tells.
func (g *salvage) ofBuckets(o *orphan) bool {
	for o.level > 0 {
		if o = g.at(o.refs[0], o.level-1); o == nil {
			return false
		}
	}
	return o.buckets
}

// findLog finds the free log of the state: the page of it that was written with the root.
func (g *salvage) findLog() {
	s := g.s
	p := make(page, s.pageSize)
	for i := metaPages; i < len(s.kinds); i++ {
		if readFull(s.f, p, int64(i)*int64(s.pageSize)) != nil || p.kind() != kindFreeLog || p.pgno() != uint32(i) || p.birth() != s.txid {
			continue
		}
		s.log = ref{pgno: p.pgno(), birth: p.birth(), sum: checksum(s.seed, p.pgno(), p.birth(), p)}
		s.books = s.replayFound()
		return
	}
}

// replayFound replays the free log that was found, nil if it is not whole.
func (s *survey) replayFound() *runSet {
	var chain []page
	for r := s.log; r.pgno != 0; {
		p := make(page, s.pageSize)
		if len(chain) > len(s.kinds) || s.read(r, p) != nil || p.kind() != kindFreeLog {
			return nil
		}
		chain = append(chain, p)
		r = getRef(p[headerSize:])
	}
	free := newRunSet()
	replay := newLogReplay(free)
	for _, p := range slices.Backward(chain) {
		if readRecords(p, replay) != nil {
			return nil
		}
	}
	s.end = replay.hwm
	return free
}

// lost lists the losses of the walk.
func (s *survey) lost() []SalvageLoss {
	var all []SalvageLoss
	for _, b := range s.buckets {
		for _, l := range b.losses {
			all = append(all, l.describe())
		}
	}
	return all
}

func (l *loss) describe() SalvageLoss {
	d := SalvageLoss{
		Pgno: l.r.pgno, Pages: l.pages, Bucket: l.bucket.path(), Lo: l.lo, Hi: l.hi, Entries: int64(l.r.count), Reason: l.reason,
	}
	if l.value {
		d.Lo, d.Key = nil, l.lo
	}
	for _, o := range l.trees {
		d.Recovered += int64(o.r.count)
	}
	return d
}

// account sums up what is missing.
func (g *salvage) account() {
	if g.apart != nil {
		g.report.LostAndFound = string(g.apart.name)
	}
	for _, b := range g.s.buckets[g.first:] {
		if b.loose && !g.isApart(b) {
			g.report.Named = append(g.report.Named, b.path())
			g.report.regain(b.parent.path())
		}
	}
	for _, l := range g.report.Losses {
		g.report.Lost += max(0, l.Entries-l.Recovered)
	}
}

// regain takes note that an entry of a bucket, lost with one of its pages, is known again.
func (r *SalvageReport) regain(bucket [][]byte) {
	for i := range r.Losses {
		l := &r.Losses[i]
		if l.Key == nil && l.Recovered < l.Entries && slices.EqualFunc(l.Bucket, bucket, bytes.Equal) {
			l.Recovered++
			return
		}
	}
}

// store writes all that was found to dst.
func (g *salvage) store(ctx context.Context, dst *DB) error {
	g.losses = map[cellAt]*loss{}
	children := map[*surveyed][]*surveyed{}
	for _, b := range g.s.buckets {
		for _, l := range b.losses {
			if len(l.trees) > 0 {
				g.losses[cellAt{l.r.pgno, int(b.id)}] = l
			}
		}
		if b.loose {
			children[b.parent] = append(children[b.parent], b)
		}
	}
	g.stamps = make([]uint32, len(g.s.kinds))
	return dst.UpdateContext(ctx, func(tx *Tx) error {
		if tx.root.Count() > 0 {
			return errors.New("salvaging: the destination is not empty")
		}
		if err := g.storeInside(ctx, g.s.buckets[0], &tx.root, children); err != nil {
			return err
		}
		return g.repeat(tx)
	})
}

// repeat does what the redo log tells of, as far as it is whole: also in buckets that are lost, which
// it creates.
func (g *salvage) repeat(tx *Tx) error {
	if g.in.at < 0 {
		return nil
	}
	m := g.in.slots[g.in.at].meta
	if m.redo.pages == 0 {
		return nil
	}
	records, last, err := (&DB{seed: m.seed}).redoRecords(g.in.f, m)
	if err != nil {
		g.report.RedoDamage = err
	}
	for _, r := range records {
		if err := tx.repeat(r, true); err != nil {
			return err
		}
	}
	g.report.Txid, g.report.Redone = int(last), int64(len(records))
	return nil
}

// storeBucket writes a bucket to the empty bucket to: first its pairs, then the buckets in it.
func (g *salvage) storeBucket(ctx context.Context, b *surveyed, to *Bucket, children map[*surveyed][]*surveyed) error {
	g.report.Buckets++
	if b.sequence != 0 {
		if err := to.SetSequence(b.sequence); err != nil {
			return err
		}
	}
	if err := to.Load(ctx, g.pairs(b)); err != nil {
		return err
	}
	return g.storeInside(ctx, b, to, children)
}

// storeInside writes the buckets inside b: those of its entries, and those whose entries are lost.
func (g *salvage) storeInside(ctx context.Context, b *surveyed, to *Bucket, children map[*surveyed][]*surveyed) error {
	var err error
	if b.nested {
		e := g.emission(b)
		e.bucket = func(name []byte, header *Bucket, nested *surveyed) bool {
			var next *Bucket
			if next, err = to.CreateBucket(name); err != nil {
				err = nil // only a forged file names a key and a bucket alike
				g.drop(b, name)
				return true
			}
			if nested != nil {
				err = g.storeBucket(ctx, nested, next, children)
			} else {
				err = g.storeInline(ctx, e, header, next)
			}
			return err == nil
		}
		if e.all(); err != nil {
			return err
		}
	}
	for _, child := range children[b] {
		next, err := createFree(to, child)
		if err == nil {
			err = g.storeBucket(ctx, child, next, children)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// createFree makes a bucket whose entry is lost; if its name is taken by now, it gets another.
func createFree(to *Bucket, child *surveyed) (*Bucket, error) {
	name := child.name
	for n := 2; ; n++ {
		next, err := to.CreateBucket(child.name)
		if !errors.Is(err, ErrBucketExists) && !errors.Is(err, ErrIncompatibleValue) {
			return next, err
		}
		child.name = fmt.Appendf(nil, "%s-%d", name, n)
	}
}

// storeInline writes a bucket that stands in the entry at which around is.
func (g *salvage) storeInline(ctx context.Context, around *emission, header *Bucket, to *Bucket) error {
	g.report.Buckets++
	if header.sequence != 0 {
		if err := to.SetSequence(header.sequence); err != nil {
			return err
		}
	}
	return to.Load(ctx, func(yield func(k, v []byte) bool) {
		e := g.emission(around.b)
		for i := range header.inline.count() {
			_, v := header.inline.payload(i)
			more := e.take(header.inline.storedKey(i), func(k []byte) bool {
				g.count(around)
				return yield(k, v)
			})
			if !more {
				return
			}
		}
	})
}

// pairs gives the pairs of a bucket in order.
func (g *salvage) pairs(b *surveyed) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		e := g.emission(b)
		e.pair = func(k, v []byte) bool {
			g.count(e)
			return yield(k, v)
		}
		e.all()
	}
}

// count counts the pair at which an emission is.
func (g *salvage) count(e *emission) {
	g.report.Pairs++
	if !g.s.sealed || g.guessed || e.unproven {
		g.report.Unverified++
	}
	switch {
	case g.isApart(e.b):
		g.report.Apart++
	case e.placed:
		g.report.Placed++
	}
}

func (g *salvage) isApart(b *surveyed) bool {
	for ; b != nil; b = b.parent {
		if b == g.apart {
			return true
		}
	}
	return false
}

// drop reports an entry that was not taken for its key.
func (g *salvage) drop(b *surveyed, key []byte) {
	g.report.Losses = append(g.report.Losses, SalvageLoss{
		Bucket: b.path(), Key: bytes.Clone(key), Entries: 1, Reason: errors.New("its key is not above the one before it"),
	})
}

// An emission is a second walk of a bucket, in order and through what was found for its losses.
type emission struct {
	g        *salvage
	b        *surveyed
	pair     func(k, v []byte) bool
	bucket   func(name []byte, header *Bucket, nested *surveyed) bool
	bufs     [maxLevel + 1]page
	last     []byte // the key before, nil at first
	some     bool
	stamp    uint32
	placed   bool // the page was found
	unproven bool // and its checksum is not known
}

func (g *salvage) emission(b *surveyed) *emission {
	g.stamp++
	return &emission{g: g, b: b, stamp: g.stamp}
}

func (e *emission) all() { e.tree(e.b.root, -1) }

// tree gives what is in and below the page of r, and tells whether more is wanted.
func (e *emission) tree(r ref, level int) bool {
	s := e.g.s
	if l := e.g.losses[cellAt{r.pgno, int(e.b.id)}]; l != nil {
		return e.found(l)
	}
	if r.pgno == 0 || int64(r.pgno) >= int64(len(s.kinds)) || s.owners[r.pgno] != e.b.id || e.g.stamps[r.pgno] == e.stamp {
		return true
	}
	if k := s.kinds[r.pgno]; k != LeafPage && k != BranchPage {
		return true
	}
	e.g.stamps[r.pgno] = e.stamp
	if e.pair != nil {
		s.advance(1)
	}
	p := e.buffer(level)
	if s.readTree(r, level, p) != nil {
		return true // it was whole a moment ago: whoever changes the file meanwhile loses it
	}
	if p.level() == 0 {
		return e.leaf(r, p)
	}
	for i := range p.count() {
		if !e.tree(p.ref(i), p.level()-1) {
			return false
		}
	}
	return true
}

func (e *emission) buffer(level int) page {
	if level < 0 {
		return make(page, e.g.s.pageSize)
	}
	e.bufs[level] = e.bufs[level].sized(e.g.s.pageSize)
	return e.bufs[level]
}

// found gives the trees that were found for a loss.
func (e *emission) found(l *loss) bool {
	defer func(before bool) { e.placed = before }(e.placed)
	e.placed = true
	for _, o := range l.trees {
		if !e.tree(o.r, o.level) {
			return false
		}
	}
	return true
}

func (e *emission) leaf(r ref, p page) bool {
	e.unproven = e.g.unproven[r.pgno]
	for i := range p.count() {
		flags, v := p.payload(i)
		nested := e.g.s.inCell[cellAt{r.pgno, i}]
		if nested == lostEntry || (flags == cellBucket) != (e.bucket != nil) {
			continue
		}
		key, ok := e.key(p, i)
		if !ok {
			continue
		}
		more := e.take(key, func(k []byte) bool {
			switch flags {
			case cellInline:
				return e.pair(k, v)
			case cellExtent:
				value, err := e.g.s.readExtent(getExtent(v), true)
				return err != nil || e.pair(k, value)
			}
			var header Bucket
			return header.setHeader(v) != nil || e.bucket(k, &header, nested)
		})
		if !more {
			return false
		}
	}
	return true
}

func (e *emission) key(p page, i int) ([]byte, bool) {
	if !p.isLong(i) {
		return p.storedKey(i), true
	}
	_, long := p.longKey(i)
	key, err := e.g.s.readExtent(long, true)
	return key, err == nil
}

// take gives a key to fn unless it does not follow the one before it.
func (e *emission) take(key []byte, fn func(k []byte) bool) bool {
	if e.some && bytes.Compare(key, e.last) <= 0 {
		e.g.drop(e.b, key)
		return true
	}
	e.some, e.last = true, append(e.last[:0], key...)
	return fn(key)
}

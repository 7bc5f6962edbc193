package main

import (
	"fmt"
	"os"
	"runtime"
)

// A colour is what a terminal shows text in: the parameter of its escape sequence. Empty is
// the terminal's own.
type colour string

const (
	plain colour = ""
	bold  colour = "1"
	dim   colour = "2"
	red   colour = "1;31"
)

// paint returns text in a colour, where colours are wanted.
func (c *cli) paint(with colour, text string) string {
	if with == plain || !c.colours {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", with, text)
}

// wantsColours tells whether the terminal shows colours and the user wants them: see
// no-color.org.
func wantsColours(terminal bool) bool {
	kind := os.Getenv("TERM")
	return terminal && os.Getenv("NO_COLOR") == "" && kind != "dumb" && (kind != "" || runtime.GOOS == "windows")
}

// bucketColours are for text that belongs to buckets, one after the other.
var bucketColours = []colour{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

func bucketColour(i int) colour { return bucketColours[i%len(bucketColours)] }

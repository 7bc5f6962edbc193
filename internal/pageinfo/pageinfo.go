// Package pageinfo tells what a page of a store is. It is internal because it is of use only to
// package bolt, whose API has such a call.
package pageinfo

// An Info describes a page.
type Info struct {
	Type     string // "meta", "branch", "leaf", "freelist", "value" or "free"
	Count    int    // keys, or children
	Overflow int    // pages that follow in the same extent
}

// Of describes page pgno of the state that a *folio.Tx sees. It walks the whole state. Package
// folio sets it at start-up.
var Of func(tx any, pgno uint32) (Info, error)

// Package common holds the types that bbolt's API shows though it keeps them internal. They
// are here for the same reason: programs use them without naming them.
package common

import "fmt"

// A Pgid is the number of a page.
type Pgid uint64

// A PageInfo describes a page.
type PageInfo struct {
	ID            int
	Type          string
	Count         int
	OverflowCount int
}

// A Page stands for the bytes of a page. It shows nothing of them: they are not laid out as
// bbolt's are.
type Page struct{}

// An InBucket is what a bucket's header says, as it was when the bucket was opened. What is set
// here is not stored; Bucket.SetSequence and Bucket.NextSequence store.
type InBucket struct {
	root     Pgid
	sequence uint64
}

// NewInBucket returns a header.
func NewInBucket(root Pgid, seq uint64) InBucket { return InBucket{root: root, sequence: seq} }

// RootPage returns the number of the bucket's root page, 0 if it stands in its parent's page.
func (b *InBucket) RootPage() Pgid { return b.root }

// SetRootPage sets what RootPage returns.
func (b *InBucket) SetRootPage(id Pgid) { b.root = id }

// InSequence returns the sequence number.
func (b *InBucket) InSequence() uint64 { return b.sequence }

// SetInSequence sets what InSequence returns.
func (b *InBucket) SetInSequence(v uint64) { b.sequence = v }

// IncSequence adds one to what InSequence returns.
func (b *InBucket) IncSequence() { b.sequence++ }

// InlinePage returns nil: the page of an inline bucket cannot be had.
func (b *InBucket) InlinePage(v []byte) *Page { return nil }

// String returns the header for people.
func (b *InBucket) String() string { return fmt.Sprintf("<pgid=%d,seq=%d>", b.root, b.sequence) }

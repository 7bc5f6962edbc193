package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// An Op is one operation. Which fields count depends on the Kind; see its text.
//
// Lists need not be sensible: an operation whose transaction, cursor or savepoint is not there
// does nothing, so any part of a list is a list, and shrinking is leaving out.
type Op struct {
	Kind  Kind
	Tx    int  // 0: the write transaction, else the number of a read transaction
	Path  Path // the bucket; for Create, Ensure, Drop and Move the bucket itself
	To    Path // Move: the bucket that it goes to
	Key   Blob // a key, or a lower bound
	Hi    Blob // an upper bound
	Value Blob
	N     int // a number: of a cursor, a savepoint, a position, pairs; a sequence
}

// Kind tells what an operation does.
type Kind uint8

// The kinds. A writing transaction is opened by Update or Begin and ended by Commit, Rollback,
// Fail or Panic: within Update these mean to return nil, to return an error (both of them), and
// to panic. N of Release and Undo counts all savepoints of the transaction from its beginning.
const (
	Update Kind = iota
	Begin
	Commit
	Rollback
	Fail
	Panic
	Save
	Release
	Undo
	Read    // begins read transaction N
	EndRead // ends it
	Sync
	Reopen
	Check
	Create
	Ensure
	Drop
	Move
	Put
	PutReader
	Load // N ascending pairs, of values like Value, into a bucket that is empty
	Get
	GetMany // N keys from Key's number on
	Delete
	DeleteRange
	NextSeq
	SetSeq
	Seq
	Count
	CountRange
	Rank
	At
	All
	Backward
	Prefix
	Range
	Cursors // opens cursor N of the transaction
	First
	Last
	Next
	Prev
	Seek
	Remove  // deletes at the cursor
	Sweep   // walks the whole bucket by a cursor; every N-th pair that it meets is deleted
	Scatter // the like, but a pair is put behind every N-th one met, at Key's shape
	kinds
)

// syntax gives each kind its word and what follows it: t transaction, p path, d path of the
// destination, k key, h upper bound, v value, n number.
var syntax = [kinds]struct{ word, args string }{
	Update: {"update", ""}, Begin: {"begin", ""}, Commit: {"commit", ""}, Rollback: {"rollback", ""},
	Fail: {"fail", ""}, Panic: {"panic", ""}, Save: {"savepoint", ""}, Release: {"release", "n"},
	Undo: {"undo", "n"}, Read: {"read", "n"}, EndRead: {"endread", "n"}, Sync: {"sync", ""},
	Reopen: {"reopen", ""}, Check: {"check", "t"}, Create: {"create", "tp"}, Ensure: {"ensure", "tp"},
	Drop: {"drop", "tp"}, Move: {"move", "tpd"}, Put: {"put", "tpkv"}, PutReader: {"putreader", "tpkv"},
	Load: {"load", "tpkvn"}, Get: {"get", "tpk"}, GetMany: {"getmany", "tpkn"}, Delete: {"delete", "tpk"},
	DeleteRange: {"deleterange", "tpkh"}, NextSeq: {"nextseq", "tp"}, SetSeq: {"setseq", "tpn"},
	Seq: {"seq", "tp"}, Count: {"count", "tp"}, CountRange: {"countrange", "tpkh"}, Rank: {"rank", "tpk"},
	At: {"at", "tpn"}, All: {"all", "tp"}, Backward: {"backward", "tp"}, Prefix: {"prefix", "tpk"},
	Range: {"range", "tpkh"}, Cursors: {"cursor", "tpn"}, First: {"first", "tn"}, Last: {"last", "tn"},
	Next: {"next", "tn"}, Prev: {"prev", "tn"}, Seek: {"seek", "tnk"}, Remove: {"remove", "tn"},
	Sweep: {"sweep", "tpn"}, Scatter: {"scatter", "tpkvn"},
}

func (k Kind) String() string { return syntax[k].word }

// String returns the operation as a line of a script: "put w /k1 k7*255 v3*4096".
func (op Op) String() string {
	words := []string{op.Kind.String()}
	for _, a := range syntax[op.Kind].args {
		words = append(words, op.arg(a))
	}
	return strings.Join(words, " ")
}

func (op Op) arg(a rune) string {
	switch a {
	case 't':
		if op.Tx == 0 {
			return "w"
		}
		return fmt.Sprintf("r%d", op.Tx)
	case 'p':
		return op.Path.String()
	case 'd':
		return op.To.String()
	case 'k':
		return op.Key.String()
	case 'h':
		return op.Hi.String()
	case 'v':
		return op.Value.String()
	}
	return strconv.Itoa(op.N)
}

// Format returns the operations as a script, one on a line.
func Format(ops []Op) string {
	var s strings.Builder
	for _, op := range ops {
		s.WriteString(op.String() + "\n")
	}
	return s.String()
}

// Parse reads a script; empty lines and lines that begin with # are skipped. In quoted keys
// spaces and slashes must be written as \x20 and \x2f.
func Parse(script string) ([]Op, error) {
	var ops []Op
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		op, err := parseOp(words)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func parseOp(words []string) (Op, error) {
	var op Op
	for op.Kind < kinds && syntax[op.Kind].word != words[0] {
		op.Kind++
	}
	if op.Kind == kinds {
		return op, fmt.Errorf("no such operation")
	}
	args := syntax[op.Kind].args
	if len(words)-1 != len(args) {
		return op, fmt.Errorf("has %d arguments, not %d", len(words)-1, len(args))
	}
	for i, a := range args {
		if err := op.set(a, words[i+1]); err != nil {
			return op, err
		}
	}
	return op, nil
}

func (op *Op) set(a rune, word string) (err error) {
	switch a {
	case 't':
		if word == "w" {
			return nil
		}
		op.Tx, err = strconv.Atoi(strings.TrimPrefix(word, "r"))
	case 'p':
		op.Path, err = ParsePath(word)
	case 'd':
		op.To, err = ParsePath(word)
	case 'k':
		op.Key, err = ParseBlob(word)
	case 'h':
		op.Hi, err = ParseBlob(word)
	case 'v':
		op.Value, err = ParseBlob(word)
	default:
		op.N, err = strconv.Atoi(word)
	}
	return err
}

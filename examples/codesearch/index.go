package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"unicode"

	"github.com/foliokv/folio"
)

// Three buckets:
//
//	files  path            -> id (8 bytes, big-endian), time of change (8 bytes), then its words
//	paths  id              -> path
//	words  word 0x00 id    -> nothing
//
// The files that have a word are a range of words; how many they are is known without a walk.
var (
	filesBucket = []byte("files")
	pathsBucket = []byte("paths")
	wordsBucket = []byte("words")
)

const (
	maxFile  = 1 << 20 // bytes; longer files are no source
	maxWord  = 64
	perBatch = 200 // files in one transaction
)

type index struct{ db *folio.DB }

// addTree brings the index up to date with a tree and returns how many files were read.
func (x index) addTree(tree fs.FS) (n int, err error) {
	var batch []string
	flush := func() error {
		err := x.db.Update(func(tx *folio.Tx) error {
			for _, path := range batch {
				changed, err := addFile(tx, tree, path)
				if err != nil {
					return err
				}
				if changed {
					n++
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if batch = append(batch, path); len(batch) == perBatch {
			return flush()
		}
		return nil
	})
	return n, errors.Join(err, flush())
}

// addFile indexes a file unless the index has it as it is.
func addFile(tx *folio.Tx, tree fs.FS, path string) (changed bool, err error) {
	files, err := tx.CreateBucketIfNotExists(filesBucket)
	if err != nil {
		return false, err
	}
	info, err := fs.Stat(tree, path)
	if err != nil || info.Size() > maxFile {
		return false, err
	}
	stamp := binary.BigEndian.AppendUint64(nil, uint64(info.ModTime().UnixNano()))
	old := files.Get([]byte(path))
	if old != nil && bytes.Equal(old[8:16], stamp) {
		return false, nil
	}
	text, err := fs.ReadFile(tree, path)
	if err != nil {
		return false, err
	}
	words := wordsOf(text)
	id, err := replaceWords(tx, path, old, words)
	if err != nil {
		return false, err
	}
	return true, files.Put([]byte(path), slices.Concat(id, stamp, bytes.Join(words, []byte{0})))
}

// replaceWords takes the words of the old entry of a file out, puts new ones in, and returns
// the file's id.
func replaceWords(tx *folio.Tx, path string, old []byte, words [][]byte) (id []byte, err error) {
	paths, err1 := tx.CreateBucketIfNotExists(pathsBucket)
	index, err2 := tx.CreateBucketIfNotExists(wordsBucket)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if old != nil {
		id = bytes.Clone(old[:8])
		for word := range bytes.SplitSeq(old[16:], []byte{0}) {
			if err := index.Delete(entry(word, id)); err != nil {
				return nil, err
			}
		}
	} else {
		n, err := paths.NextSequence()
		if err != nil {
			return nil, err
		}
		id = binary.BigEndian.AppendUint64(nil, n)
		if err := paths.Put(id, []byte(path)); err != nil {
			return nil, err
		}
	}
	for _, word := range words {
		if err := index.Put(entry(word, id), nil); err != nil {
			return nil, err
		}
	}
	return id, nil
}

func entry(word, id []byte) []byte { return slices.Concat(word, []byte{0}, id) }

// wordsOf returns the words of a text, each once, in order: keys that come in order are put
// faster.
func wordsOf(text []byte) [][]byte {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // not a text
	}
	words := bytes.FieldsFunc(bytes.ToLower(text), func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	words = slices.DeleteFunc(words, func(w []byte) bool { return len(w) > maxWord })
	slices.SortFunc(words, bytes.Compare)
	return slices.CompactFunc(words, bytes.Equal)
}

// search returns the paths of the files that have all of some words, in the order in which they
// were added. It goes through the files of the rarest word and looks the other words up.
func (x index) search(words []string) (found []string, err error) {
	return found, x.db.View(func(tx *folio.Tx) error {
		paths, index := tx.Bucket(pathsBucket), tx.Bucket(wordsBucket)
		if index == nil || len(words) == 0 {
			return nil
		}
		var prefixes [][]byte
		for _, w := range words {
			prefixes = append(prefixes, append(bytes.ToLower([]byte(w)), 0))
		}
		slices.SortFunc(prefixes, func(a, b []byte) int { return cmp.Compare(filesWith(index, a), filesWith(index, b)) })
	next:
		for key := range index.Prefix(prefixes[0]) {
			id := key[len(prefixes[0]):]
			for _, p := range prefixes[1:] {
				if index.Get(slices.Concat(p, id)) == nil {
					continue next
				}
			}
			found = append(found, string(paths.Get(id)))
		}
		return nil
	})
}

// filesWith returns how many entries begin with a word and its 0x00.
func filesWith(index *folio.Bucket, word []byte) uint64 {
	after := append(bytes.Clone(word[:len(word)-1]), 1)
	return index.CountRange(word, after)
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/foliokv/folio"
)

const bucketPathHelp = `BUCKET is a path: nested buckets are written a/b/c. A slash that belongs to a
name is written \/ and a backslash \\; \xNN is any byte.`

// A bucketPath names a bucket by the names that lead to it from the root.
type bucketPath [][]byte

// parseBucketPath reads a path as people write it. "/" and "" are the root.
func parseBucketPath(s string) (bucketPath, error) {
	return bucketPath(nil).resolve(s)
}

// resolve reads a path that starts at p, or at the root if it begins with a slash; "." stays
// and ".." goes up.
func (p bucketPath) resolve(s string) (bucketPath, error) {
	path := p[:len(p):len(p)]
	if strings.HasPrefix(s, "/") {
		path = nil
	}
	for _, part := range splitPath(s) {
		switch part {
		case "":
			return nil, fmt.Errorf("bucket path %s: a name in it is empty", s)
		case ".":
			continue
		case "..":
			path = path[:max(0, len(path)-1)]
			continue
		}
		name, err := unescape(part)
		if err != nil {
			return nil, fmt.Errorf("bucket path %s: %w", s, err)
		}
		path = path.child(name)
	}
	return path, nil
}

// parseBucket reads the path of a bucket, which the root is not.
func parseBucket(s string) (bucketPath, error) {
	path, err := parseBucketPath(s)
	if err == nil && len(path) == 0 {
		err = errors.New("the root holds only buckets: name one; 'kvcli buckets FILE' lists them")
	}
	return path, err
}

// splitPath cuts a path at the slashes that no backslash precedes. One slash before the first
// name and one after the last do not count.
func splitPath(s string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			if i > 0 {
				parts = append(parts, s[start:i])
			}
			start = i + 1
		}
	}
	if start < len(s) {
		parts = append(parts, s[start:])
	}
	return parts
}

// String is the path as parseBucketPath reads it.
func (p bucketPath) String() string {
	if len(p) == 0 {
		return "/"
	}
	var b strings.Builder
	for i, name := range p {
		if i > 0 {
			b.WriteByte('/')
		}
		if string(name) == "." || string(name) == ".." {
			b.WriteByte('\\')
		}
		b.Write(appendEscaped(nil, name, "/"))
	}
	return b.String()
}

// MarshalJSON gives the path as String does.
func (p bucketPath) MarshalJSON() ([]byte, error) { return jsonText(p.String()), nil }

// child is the path of the bucket name inside p.
func (p bucketPath) child(name []byte) bucketPath {
	return append(p[:len(p):len(p)], bytes.Clone(name))
}

// clone is the path with names of its own, which outlive a transaction.
func (p bucketPath) clone() bucketPath {
	c := make(bucketPath, len(p))
	for i, name := range p {
		c[i] = bytes.Clone(name)
	}
	return c
}

// find returns the bucket at the path; one that is not there is a negativeError.
func (p bucketPath) find(tx *folio.Tx) (*folio.Bucket, error) {
	var bucket *folio.Bucket
	for i, name := range p {
		next := childBucket(tx, bucket, name)
		if next == nil {
			return nil, p[:i+1].missing(tx, bucket)
		}
		bucket = next
	}
	return bucket, nil
}

// missing says why the last name of p is not a bucket in parent.
func (p bucketPath) missing(tx *folio.Tx, parent *folio.Bucket) error {
	isKey := parent != nil && parent.Get(p[len(p)-1]) != nil
	switch {
	case tx.Err() != nil:
		return tx.Err()
	case isKey:
		return fmt.Errorf("%s is a key, not a bucket", p)
	default:
		return negativef("there is no bucket %s", p)
	}
}

// create returns the bucket at the path, made where it is missing.
func (p bucketPath) create(tx *folio.Tx) (*folio.Bucket, error) {
	var bucket *folio.Bucket
	for i, name := range p {
		next, err := createChild(tx, bucket, name)
		if errors.Is(err, folio.ErrIncompatibleValue) {
			return nil, fmt.Errorf("%s is a key, not a bucket", p[:i+1])
		}
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", p[:i+1], err)
		}
		bucket = next
	}
	return bucket, nil
}

// childBucket is the bucket name inside parent; a nil parent is the root.
func childBucket(tx *folio.Tx, parent *folio.Bucket, name []byte) *folio.Bucket {
	if parent == nil {
		return tx.Bucket(name)
	}
	return parent.Bucket(name)
}

func createChild(tx *folio.Tx, parent *folio.Bucket, name []byte) (*folio.Bucket, error) {
	if parent == nil {
		return tx.CreateBucketIfNotExists(name)
	}
	return parent.CreateBucketIfNotExists(name)
}

// childBuckets are the buckets right inside parent; a nil parent is the root.
func childBuckets(tx *folio.Tx, parent *folio.Bucket) iter.Seq2[[]byte, *folio.Bucket] {
	cursor := tx.Cursor()
	if parent != nil {
		cursor = parent.Cursor()
	}
	return func(yield func([]byte, *folio.Bucket) bool) {
		for name, value := cursor.First(); name != nil; name, value = cursor.Next() {
			if value == nil && !yield(name, childBucket(tx, parent, name)) {
				return
			}
		}
	}
}

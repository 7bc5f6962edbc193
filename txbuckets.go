package folio

// The top-level buckets of a transaction.

// Bucket returns the top-level bucket called name, nil if there is none.
func (tx *Tx) Bucket(name []byte) *Bucket {
	if !tx.root.live() || tx.db.opts.Verify == VerifyAlways || !tx.begins() {
		return tx.root.Bucket(name)
	}
	b, err := tx.find(name) // guarded by View: the name may lie in the mapping
	tx.within = false
	if err != nil {
		tx.fail(err)
		return nil
	}
	return b
}

// find looks for a top-level bucket among those that the snapshot remembers, and then in the tree.
func (tx *Tx) find(name []byte) (*Bucket, error) {
	if f := tx.snap.find(name); f != nil {
		b := tx.newBucket()
		b.tx, b.parent, b.root, b.sequence = tx, &tx.root, f.root, f.sequence
		return b, nil
	}
	b, err := tx.root.bucket(name)
	if b != nil && b.inline == nil {
		tx.snap.note(name, b.root, b.sequence)
	}
	return b, err
}

// CreateBucket creates a top-level bucket; its errors are those of Bucket.CreateBucket.
func (tx *Tx) CreateBucket(name []byte) (*Bucket, error) { return tx.root.CreateBucket(name) }

// CreateBucketIfNotExists returns the top-level bucket called name and creates it if need be.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return tx.root.CreateBucketIfNotExists(name)
}

// DeleteBucket deletes a top-level bucket; its errors are those of Bucket.DeleteBucket.
func (tx *Tx) DeleteBucket(name []byte) error { return tx.root.DeleteBucket(name) }

// MoveBucket moves the bucket called child from src to dst; nil stands for the top level. Its
// errors are those of Bucket.MoveBucket.
func (tx *Tx) MoveBucket(child []byte, src, dst *Bucket) error {
	if src == nil {
		src = &tx.root
	}
	if dst == nil {
		dst = &tx.root
	}
	return src.MoveBucket(child, dst)
}

// Cursor returns a cursor over the names of the top-level buckets; its values are nil.
func (tx *Tx) Cursor() *Cursor { return tx.root.Cursor() }

// ForEach calls fn for every top-level bucket in order of their names and stops at the first
// error, which it returns.
func (tx *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	return tx.root.ForEach(func(k, _ []byte) error { return fn(k, tx.root.Bucket(k)) })
}

// Package folio is an embedded key-value store: ordered keys in named buckets, ACID
// transactions, one file.
//
// The file is mapped read-only, so a read is a walk over the page cache that takes no lock
// and, in steady state, allocates nothing. Writers copy pages, never overwrite live ones, and
// commit with one flush; transactions that run at the same time share it. Every page is
// covered by a checksum in its parent, so lost, torn and misdirected writes are seen like bit
// rot, and no file content can crash the process.
//
//	db, err := folio.Open("app.folio", 0o600, nil)
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//
//	err = db.Update(func(tx *folio.Tx) error {
//		b, err := tx.CreateBucketIfNotExists([]byte("users"))
//		if err != nil {
//			return err
//		}
//		return b.Put([]byte("ada"), []byte("lovelace"))
//	})
//
//	err = db.View(func(tx *folio.Tx) error {
//		for name, value := range tx.Bucket([]byte("users")).Prefix([]byte("a")) {
//			fmt.Printf("%s: %s\n", name, value)
//		}
//		return nil
//	})
//
// # Transactions
//
// Any number of read transactions run beside one write transaction at a time. A read
// transaction sees the state that was the newest when it began for as long as it is open, and
// keeps that state's pages from being used again meanwhile, so end it. Keys and values that
// are returned belong to the transaction: they are valid until it ends, and must not be
// changed. Input slices may be used again as soon as a call returns.
//
// Do not open a write transaction inside another on the same goroutine: it would wait for
// itself.
//
// # Errors
//
// Calls without an error result, such as Bucket.Get and cursor movements, return nil when they
// meet damage, and the transaction remembers the error: View, Update and Commit return it, and
// Tx.Err tells it.
//
// # Durability
//
// By default a committed transaction survives any crash. See Durability for the alternative,
// and docs/durability.md for what is promised and why.
package folio

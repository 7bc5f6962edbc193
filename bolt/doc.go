// Package bolt has the API of go.etcd.io/bbolt v1.5 and stores in folio's files: a program
// moves by changing an import path. With the drop-in module in bolt/dropin it changes a line of
// go.mod only. docs/from-bbolt.md shows both, and how data moves.
//
//	import bolt "github.com/foliokv/folio/bolt" // was "go.etcd.io/bbolt"
//
// What bbolt documents, and what its users rely on, is the same: results, their order, the
// identity of errors, panics, that one write transaction runs at a time, that a second Open of
// a file waits for the first, that slices are valid until the transaction ends.
//
// # Differences
//
// What bbolt leaves undefined or does by its format:
//
//	                      bbolt                             here
//	file                  its own format                    folio's; a file of bbolt is an error that tells how to
//	                                                        import it, and wraps ErrInvalid
//	page size             any, by default the system's      4, 8, 16, 32 or 64 KiB; others are rounded up
//	damage                panics, wrong data, or nothing    an error from View, Update, Commit, and from Rollback of
//	                                                        a read transaction; reads give nil from then on
//	Put of a nil value    Get gives nil until the commit,   Get gives an empty value
//	                      then an empty value
//	slices given to Put   must stay as they are until the   may be used again when Put returns
//	                      transaction ends
//	changes while         may skip keys or show old ones    goes on at the next key in order; Next after Delete
//	walking a bucket                                        gives the pair after it
//	a long read           keeps all pages freed since; a    keeps the pages it sees; nobody waits
//	transaction           writer may wait for it
//	MoveBucket            loses changes of the same         keeps them; into itself is ErrSameBuckets
//	                      transaction in the bucket
//	names of buckets      of any length                     longer than MaxKeySize is ErrKeyTooLarge, as documented
//	a bucket that was     takes writes that are lost        ErrBucketNotFound
//	deleted or moved
//	Update, Commit        two flushes each                  share one flush with all that run at the same time
//	Batch                 closures may run twice, in one    each runs once, in a transaction of its own; with the
//	                      transaction                       default delay and size no call waits for others
//	NoSync                a crash of the machine may        a crash may lose the newest transactions, one of the
//	                      damage the file                   process too; Sync and Close flush
//	a failed flush        goes on                           writes fail until the file is opened again
//	MaxSize               counts the steps the file grows   counts bytes; set by Options only
//	                      by
//	CopyFile              writes into the file              replaces the file when the copy is whole and durable
//	Check                 pages and keys                    checksums, counts and the list of free pages too
//	Tx.ID                 used again after a rollback       not used again
//	Bucket.Root           of bbolt's pages                  of folio's; 0 if the bucket stands in its parent's page
//	Info.Data             where the file is mapped          0
//	InBucket              the header itself                 a copy of it: to set something in it stores nothing
//	Logger                hears of every call               hears of Open, errors, and what no call returns
//	Stats, BucketStats    of bbolt's pages                  of folio's; what there is not is 0. See TxStats
//	Tx.Page               of bbolt's pages                  of folio's; it walks the whole store
//
// These are accepted and change nothing: FillPercent, FreelistType, NoFreelistSync, NoGrowSync,
// InitialMmapSize, MmapFlags, Mlock, AllocSize, WriteFlag, WithKVStringer.
package bolt

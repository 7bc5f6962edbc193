package workload

// The concrete types that Adapt takes: as the interfaces of this package, but with results of
// their own types. D, T, B, C and S are *folio.DB, *folio.Tx, *folio.Bucket, *folio.Cursor and
// *folio.Savepoint, or the model's.
type (
	dbOf[T any] interface {
		Begin(writable bool) (T, error)
		View(fn func(T) error) error
		Update(fn func(T) error) error
		storeMethods
	}
	txOf[B, C, S any] interface {
		Bucket(name []byte) B
		CreateBucket(name []byte) (B, error)
		CreateBucketIfNotExists(name []byte) (B, error)
		MoveBucket(child []byte, src, dst B) error
		Cursor() C
		Savepoint() S
		txMethods
	}
	bucketOf[B, C any] interface {
		comparable
		Bucket(name []byte) B
		CreateBucket(name []byte) (B, error)
		CreateBucketIfNotExists(name []byte) (B, error)
		Cursor() C
		bucketMethods
	}
)

// Adapt makes a Store of db. The type arguments follow from db: Adapt(db) is enough.
func Adapt[D dbOf[T], T txOf[B, C, S], B bucketOf[B, C], C Cursor, S Savepoint](db D) Store {
	return storeOn[D, T, B, C, S]{db, db}
}

// AdaptTx makes a Tx of a transaction, as Adapt makes a Store of a store.
func AdaptTx[T txOf[B, C, S], B bucketOf[B, C], C Cursor, S Savepoint](tx T) Tx {
	return txOn[T, B, C, S]{tx, tx}
}

type storeOn[D dbOf[T], T txOf[B, C, S], B bucketOf[B, C], C Cursor, S Savepoint] struct {
	storeMethods
	db D
}

func (s storeOn[D, T, B, C, S]) Begin(writable bool) (Tx, error) {
	tx, err := s.db.Begin(writable)
	if err != nil {
		return nil, err
	}
	return AdaptTx(tx), nil
}

func (s storeOn[D, T, B, C, S]) View(fn func(Tx) error) error {
	return s.db.View(func(tx T) error { return fn(AdaptTx(tx)) })
}

func (s storeOn[D, T, B, C, S]) Update(fn func(Tx) error) error {
	return s.db.Update(func(tx T) error { return fn(AdaptTx(tx)) })
}

type txOn[T txOf[B, C, S], B bucketOf[B, C], C Cursor, S Savepoint] struct {
	txMethods
	tx T
}

func (t txOn[T, B, C, S]) Bucket(name []byte) Bucket { return wrap[B, C](t.tx.Bucket(name)) }

func (t txOn[T, B, C, S]) CreateBucket(name []byte) (Bucket, error) {
	b, err := t.tx.CreateBucket(name)
	return wrap[B, C](b), err
}

func (t txOn[T, B, C, S]) CreateBucketIfNotExists(name []byte) (Bucket, error) {
	b, err := t.tx.CreateBucketIfNotExists(name)
	return wrap[B, C](b), err
}

func (t txOn[T, B, C, S]) MoveBucket(child []byte, src, dst Bucket) error {
	return t.tx.MoveBucket(child, unwrap[B, C](src), unwrap[B, C](dst))
}

func (t txOn[T, B, C, S]) Cursor() Cursor       { return t.tx.Cursor() }
func (t txOn[T, B, C, S]) Savepoint() Savepoint { return t.tx.Savepoint() }

type bucketOn[B bucketOf[B, C], C Cursor] struct {
	bucketMethods
	b B
}

func wrap[B bucketOf[B, C], C Cursor](b B) Bucket {
	var none B
	if b == none {
		return nil
	}
	return bucketOn[B, C]{b, b}
}

func unwrap[B bucketOf[B, C], C Cursor](b Bucket) B {
	if b == nil {
		var none B
		return none
	}
	return b.(bucketOn[B, C]).b
}

func (b bucketOn[B, C]) Bucket(name []byte) Bucket { return wrap[B, C](b.b.Bucket(name)) }

func (b bucketOn[B, C]) CreateBucket(name []byte) (Bucket, error) {
	c, err := b.b.CreateBucket(name)
	return wrap[B, C](c), err
}

func (b bucketOn[B, C]) CreateBucketIfNotExists(name []byte) (Bucket, error) {
	c, err := b.b.CreateBucketIfNotExists(name)
	return wrap[B, C](c), err
}

func (b bucketOn[B, C]) Cursor() Cursor { return b.b.Cursor() }

// native returns the store's own bucket, for methods that not every store has.
func (b bucketOn[B, C]) native() any { return b.b }

// native returns what is beneath an adapted bucket, or b.
func native(b Bucket) any {
	if n, ok := b.(interface{ native() any }); ok {
		return n.native()
	}
	return b
}

package workload

// A Profile shapes what a generator makes.
type Profile struct {
	Name      string
	Keys      int    // numbers of keys
	Shapes    string // the keys' shapes; one that stands twice is twice as likely
	KeyLens   []int  // what keys are filled up to, as Shapes
	ValueLens []int
	Buckets   int // names on each level
	Depth     int // levels of buckets
	Readers   int // read transactions open at once, at most
	TxLen     int // operations of a write transaction, on average
	Loads     int // pairs of a Load, at most
	Seqs      int // sequences are set below this
	Changes   []Weight
	Queries   []Weight
}

// A Weight makes a kind of operation so many times as likely as another.
type Weight struct {
	Kind
	N int
}

// Keys near every limit that a page of 4 to 64 KiB sets, and the format; and values likewise.
var (
	keyLens = []int{0, 0, 0, 0, 0, 0, 16, 16, 16, 255, 255, 1000, 1000, 1020, 1030, 4000, 5000,
		16400, 32768, 32769}
	valueLens = []int{0, 0, 5, 5, 20, 20, 20, 100, 100, 100, 300, 900, 990, 1000, 1010, 1024,
		1100, 3000, 4064, 4096, 4097, 9000, 16000, 20000, 102400}
)

var (
	changes = []Weight{{Put, 30}, {PutReader, 2}, {Delete, 14}, {DeleteRange, 3}, {NextSeq, 2},
		{SetSeq, 1}, {Create, 2}, {Ensure, 1}, {Drop, 1}, {Move, 1}, {Load, 1}, {Save, 4},
		{Undo, 3}, {Release, 2}, {Remove, 6}, {Sweep, 1}, {Scatter, 1}}
	queries = []Weight{{Get, 10}, {GetMany, 2}, {Seq, 1}, {Count, 3}, {CountRange, 3}, {Rank, 3},
		{At, 3}, {All, 2}, {Backward, 2}, {Prefix, 2}, {Range, 3}, {Cursors, 4}, {First, 2},
		{Last, 2}, {Next, 12}, {Prev, 8}, {Seek, 6}}
)

// The profiles. Tiny makes lists of few keys and short transactions, in which every operation
// counts; Mixed is everything at once.
var (
	Tiny = Profile{Name: "tiny", Keys: 4, Shapes: "kkb", KeyLens: []int{0},
		ValueLens: []int{0, 3, 600}, Buckets: 2, Depth: 1, Readers: 2, TxLen: 4, Loads: 20,
		Seqs: 3, Changes: changes, Queries: queries}

	Mixed = Profile{Name: "mixed", Keys: 250, Shapes: "kkkppb", KeyLens: keyLens,
		ValueLens: valueLens, Buckets: 3, Depth: 2, Readers: 3, TxLen: 25, Loads: 1000,
		Seqs: 1 << 30, Changes: changes, Queries: queries}

	DeleteHeavy = Profile{Name: "delete-heavy", Keys: 400, Shapes: "kkp", KeyLens: []int{0, 0, 40, 300},
		ValueLens: []int{0, 20, 100, 500}, Buckets: 2, Depth: 1, Readers: 2, TxLen: 30, Loads: 2000,
		Seqs: 10, Queries: queries, Changes: []Weight{{Put, 20}, {Delete, 25}, {DeleteRange, 8},
			{Remove, 15}, {Sweep, 4}, {Load, 6}, {Scatter, 2}, {Save, 3}, {Undo, 3}, {Release, 1},
			{Drop, 1}}}

	BigValues = Profile{Name: "big-values", Keys: 12, Shapes: "k", KeyLens: []int{0, 0, 2000},
		ValueLens: []int{10, 2000, 4096, 8192, 12000, 40000, 102400, 300000}, Buckets: 1, Depth: 1,
		Readers: 2, TxLen: 6, Loads: 12, Seqs: 10, Queries: queries, Changes: []Weight{{Put, 20},
			{PutReader, 10}, {Delete, 10}, {DeleteRange, 1}, {Save, 4}, {Undo, 4}, {Release, 2},
			{Sweep, 1}}}

	Nested = Profile{Name: "nested", Keys: 12, Shapes: "kkb", KeyLens: []int{0, 0, 0, 300},
		ValueLens: []int{0, 10, 200, 2000}, Buckets: 4, Depth: 4, Readers: 3, TxLen: 15, Loads: 60,
		Seqs: 100, Queries: queries, Changes: []Weight{{Put, 15}, {Delete, 5}, {Create, 10},
			{Ensure, 5}, {Drop, 6}, {Move, 8}, {DeleteRange, 3}, {NextSeq, 4}, {SetSeq, 2}, {Load, 2},
			{Save, 5}, {Undo, 4}, {Release, 2}, {Sweep, 1}}}

	// Profiles are all of them.
	Profiles = []Profile{Tiny, Mixed, DeleteHeavy, BigValues, Nested}
)

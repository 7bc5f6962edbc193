package folio

import "flag"

// Seed is where random tests begin; they print the seeds they use.
var Seed = flag.Uint64("seed", 1, "first seed of the random tests")

// Rounds is how much of random tests is run; 1 with -short.
var Rounds = flag.Int("rounds", 2, "how many rounds of each random test")

// Update makes tests write the golden files anew.
var Update = flag.Bool("update", false, "write the files in testdata that tests compare with")

// SealAhead makes groups of n members or more be sealed while a flush is under way.
func (db *DB) SealAhead(n int) { db.fewestAhead = n }

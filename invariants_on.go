//go:build invariants

package folio

// invariants makes folio panic where it would otherwise take an inconsistency for damage.
const invariants = true

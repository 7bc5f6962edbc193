// Package clients runs the test suites of programs that use bbolt on the drop-in module, by
// replace lines in go.mod. It is a module of its own, so that folio does not depend on them.
package clients

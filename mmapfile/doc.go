// Package mmapfile maps files into memory, on every platform that Go runs on.
//
// A File is a mapped file: memory ([File.Bytes]), a file with a position of its own
// ([File.Read], [File.Write], [File.Seek]) and a string to search in ([File.Find]), read-only,
// shared with the file and with other processes, or private. [View] shows its memory as numbers.
//
// Three things that usually end a process or damage memory are errors here:
//
//   - A fault (the file was cut short under the map, the disk cannot be read, read-only memory
//     was written to) is a [*FaultError] from every method of File, and from [Guard] around code
//     that works on the bytes itself.
//   - A method called after Close, or while another goroutine closes the map, returns
//     [ErrClosed].
//   - An empty file is a map of length 0.
//
// What remains to the caller: slices of Bytes are not to be used after Close or Resize, and
// uses of the same bytes by several goroutines or processes are to be kept apart, by
// [File.LockFile], [File.LockRange] or sync/atomic on a View.
//
// # For storage engines
//
// [Reserve] maps more than a file has, so that it can grow under the map. [WriteVec],
// [SyncData], [SyncFull], [ReadDevice], [DropCache], [LockHandle], [LockHandleAt] and [UnlockHandle] work on an
// *os.File, [SyncDir] on a directory. [Prefetch] lets cache misses overlap, [ReadAt] reads of many
// goroutines.
//
// # Platforms
//
// Linux, macOS, FreeBSD, OpenBSD, NetBSD, DragonFly BSD and Windows map files. What differs
// between them:
//
//   - Windows cannot shorten a file that is mapped, nor map past its end. Resize unmaps the file
//     first, and cannot shorten a file that has other maps.
//   - On OpenBSD a map shows what write(2) did only after [Region.Refresh], and a File what was
//     written through other handles not reliably at all.
//   - Locks of ranges belong to the File on Linux, macOS and Windows, to the process on the BSDs;
//     there Files of one process still contend, but a handle on the file that the program closes
//     takes the locks with it. Locks are advisory everywhere.
//   - Where the hardware or an emulator does not tell the address of a fault, it looks like a nil
//     pointer and passes Guard (seen with qemu-user on arm64).
//
// Elsewhere (js, wasip1, plan9, solaris, aix) there are no maps: the file is read into memory,
// up to 2 GiB of it, and a ReadWrite map is written back, block by block where it differs, by
// Flush, FlushRange, Resize and Close. Two maps of one file do not see each other there,
// ReadOnly memory can be written to without effect on the file, and locks work within the
// process.
package mmapfile

package mmapfile

// ofdSetLock is F_OFD_SETLK of macOS' <fcntl.h>.
const ofdSetLock = 90

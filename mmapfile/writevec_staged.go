//go:build !linux && !darwin && !openbsd

package mmapfile

import "os"

const maxStage = 1 << 20

// writeVec gathers small buffers in a staging buffer; a buffer that would fill it alone is
// written from where it is.
func writeVec(f *os.File, bufs [][]byte, off int64) (total int, err error) {
	var stage []byte
	write := func(b []byte) error {
		n, err := f.WriteAt(b, off+int64(total))
		total += n
		return err
	}
	for i, b := range bufs {
		if len(stage)+len(b) > maxStage {
			if err := write(stage); err != nil {
				return total, err
			}
			stage = stage[:0]
		}
		if len(b) >= maxStage || len(stage) == 0 && i == len(bufs)-1 {
			if err := write(b); err != nil {
				return total, err
			}
			continue
		}
		if stage == nil {
			stage = make([]byte, 0, stageSize(bufs[i:]))
		}
		stage = append(stage, b...)
	}
	return total, write(stage)
}

// stageSize is how large a buffer is worth having for bufs.
func stageSize(bufs [][]byte) (size int) {
	for _, b := range bufs {
		if size += len(b); size >= maxStage {
			return maxStage
		}
	}
	return size
}

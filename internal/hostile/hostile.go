// Package hostile builds small model files that ask for much memory or time: many tiny items, references to one place
// from everywhere, graphs that call each other, sizes that are announced and not there. It writes their bytes itself, so
// that it can say what no importer's own writer would.
//
// Tests of the readers and internal/acceptance import it. It imports nothing of this module.
package hostile

import "runtime"

// File is one file. Its extension is that of its format.
type File struct {
	Name string
	Data []byte
}

// Limit is what reading the file may take, in bytes: twice the file and 64 MiB, tensors not counted.
func (f File) Limit() uint64 { return 2*uint64(len(f.Data)) + 64<<20 }

// Allocated is what read allocates for the file and the file itself, garbage included.
func (f File) Allocated(read func(data []byte) error) (bytes uint64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = read(f.Data)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc + uint64(len(f.Data)), err
}

// Models lists files of all formats.
func Models() []File {
	var all []File
	for _, list := range [][]File{ONNX(), TFLite(), Edge()} {
		all = append(all, list...)
	}
	return all
}

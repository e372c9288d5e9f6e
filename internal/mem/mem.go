// Package mem holds memory that the collector neither sizes the heap by nor scans: files that are mapped, and large blocks.
//
// Slices of such memory do not keep it: what was got here stays as long as its Mapping or Block can be reached, so whoever uses a slice keeps
// that. Where a system has no mappings files are read and blocks lie on the heap. A mapped file that is cut short, or whose medium fails, faults where it
// is read; Recover makes errors of that. Importers: the readers of model files, and runtime.
package mem

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// Mapping is the content of a file. It must not be written to, and shows what becomes of the file meanwhile.
type Mapping struct {
	Data   []byte
	mapped bool
}

// Map maps the first size bytes of a file. Closing the file leaves the mapping as it is.
func Map(f *os.File, size int) (*Mapping, error) {
	if size < 0 {
		return nil, fmt.Errorf("mapping of %d bytes", size)
	}
	m := &Mapping{}
	if size == 0 {
		return m, nil
	}
	if data, err := mapFile(f, size); err == nil {
		m.Data, m.mapped = data, true
		files.add(data, f.Name())
		runtime.AddCleanup(m, func(data []byte) {
			files.remove(data)
			unmap(data)
		}, data)
		return m, nil
	}
	m.Data = make([]byte, size)
	if _, err := f.ReadAt(m.Data, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return m, nil
}

// Mapped reports whether the data are those of the file, and not a copy.
func (m *Mapping) Mapped() bool { return m.mapped }

// Open maps a whole regular file of at most limit bytes.
func Open(path string, limit int64) (*Mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("no regular file of at most %d bytes", limit)
	}
	return Map(f, int(st.Size()))
}

// Block is memory of its own, zeroed, that begins at a page.
type Block struct{ Data []byte }

// NewBlock makes n bytes.
func NewBlock(n int) *Block {
	b := &Block{}
	if n == 0 {
		b.Data = []byte{}
		return b
	}
	data, err := anonymous(n)
	if err != nil {
		b.Data = make([]byte, n+pageSize-1)
		off := int(-uintptr(unsafe.Pointer(&b.Data[0])) & (pageSize - 1))
		b.Data = b.Data[off : off+n : off+n]
		return b
	}
	b.Data = data
	runtime.AddCleanup(b, unmap, data)
	return b
}

const pageSize = 1 << 12

// Drop tells the system that data will not be needed soon. Where they lie in a mapped file their pages go, and come back from the file when
// they are read; elsewhere nothing happens.
func Drop(data []byte) {
	if len(data) > 0 {
		drop(files.around(data, nearby))
	}
}

// nearby is the size to which systems round what they bring of a file when a part of it is read.
const nearby = 1 << 16

// ranges lists what is mapped from files, by address.
type ranges struct {
	mu   sync.Mutex
	list []span
}

type span struct {
	from, to uintptr
	data     unsafe.Pointer
	name     string // of the file
}

var files ranges

func (r *ranges) find(at uintptr) (int, bool) {
	return slices.BinarySearchFunc(r.list, at, func(s span, at uintptr) int { return cmp.Compare(s.from, at) })
}

// before is the number of the last range that begins at or before an address; -1 where none does.
func (r *ranges) before(at uintptr) int {
	i, ok := r.find(at)
	if !ok {
		i--
	}
	return i
}

func (r *ranges) add(data []byte, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := unsafe.Pointer(&data[0])
	s := span{uintptr(p), uintptr(p) + uintptr(len(data)), p, name}
	i, _ := r.find(s.from)
	r.list = slices.Insert(r.list, i, s)
}

func (r *ranges) remove(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.find(uintptr(unsafe.Pointer(&data[0]))); ok {
		r.list = slices.Delete(r.list, i, i+1)
	}
}

// around is data, with what lies around it up to multiples of step, as far as the range that data lies in goes; nil where it lies in none.
func (r *ranges) around(data []byte, step uintptr) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := uintptr(unsafe.Pointer(&data[0]))
	to := from + uintptr(len(data))
	i := r.before(from)
	if i < 0 || to > r.list[i].to {
		return nil
	}
	from, to = max(from&^(step-1), r.list[i].from), min((to+step-1)&^(step-1), r.list[i].to)
	// The range is one mapping, which the caller's slice keeps from ending.
	whole := unsafe.Slice((*byte)(r.list[i].data), r.list[i].to-r.list[i].from)
	return whole[from-r.list[i].from : to-r.list[i].from]
}

package mem

import (
	"errors"
	"os"
	"runtime"
	"sync"
)

// Scratch is a file for blocks that need not stay in memory: Drop frees their pages, which the system keeps in the file.
type Scratch struct {
	mu    sync.Mutex
	f     *os.File
	size  int64
	limit int64
	parts []*shared
}

// shared is a part of the file.
type shared struct{ data []byte }

// NewScratch takes a file, which it closes in the end; limit bounds what may be written.
func NewScratch(f *os.File, limit int64) *Scratch {
	s := &Scratch{f: f, limit: limit}
	runtime.AddCleanup(s, func(f *os.File) { f.Close() }, f)
	return s
}

// Make returns n bytes, zeroed, that stay as long as the Scratch can be reached.
func (s *Scratch) Make(n int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := int64(max(os.Getpagesize(), nearby))
	if n <= 0 || int64(n) > s.limit-s.size {
		return nil, errors.New("no room in the scratch file")
	}
	// Room comes first: writing to a mapping fails by a signal where the disk is full.
	if err := reserve(s.f, s.size, int64(n)); err != nil {
		return nil, err
	}
	data, err := mapShared(s.f, s.size, n)
	if err != nil {
		return nil, err
	}
	s.size += (int64(n) + step - 1) &^ (step - 1)
	p := &shared{data}
	s.parts = append(s.parts, p)
	files.add(data, s.f.Name())
	runtime.AddCleanup(p, func(data []byte) {
		files.remove(data)
		unmap(data)
	}, data)
	return data, nil
}

package kerneltest

import (
	"bytes"
	"unsafe"
)

// place says where a buffer lies.
type place int

const (
	atEnd   place = iota // its last byte is the last before an unmapped page
	atStart              // its first byte is the first after an unmapped page
	shifted              // one element past a 64-byte boundary
	numPlaces
)

// buffer is memory with guards around it.
type buffer struct {
	data []byte
	was  []byte // of inputs
	mem  []byte // of outputs: everything between the guards, filled with sentinel before the call
	at   int    // where data begin in mem
}

// sentinel fills what a kernel must not write to.
const sentinel = 0xa5

func (b *buffer) pointer() unsafe.Pointer {
	if len(b.data) == 0 {
		return nil
	}
	return unsafe.Pointer(&b.data[0])
}

// unchanged fails if an input was written to.
func (b *buffer) unchanged(t T, what string) {
	if !bytes.Equal(b.data, b.was) {
		t.Errorf("the kernel wrote to its input %s", what)
	}
}

// outside fails if anything around an output was written to, where no guard page would tell.
func (b *buffer) outside(t T) {
	for i, v := range b.mem {
		if v != sentinel && (i < b.at || i >= b.at+len(b.data)) {
			t.Errorf("the kernel wrote to byte %d of its output's %d", i-b.at, len(b.data))
			return
		}
	}
}

// between fails if anything between n runs of so many bytes, which begin stride bytes apart, was written to.
func (b *buffer) between(t T, n, bytes, stride int) {
	for i := range n - 1 {
		for _, v := range b.data[i*stride+bytes : (i+1)*stride] {
			if v != sentinel {
				t.Errorf("the kernel wrote between runs of its output, behind run %d", i)
				return
			}
		}
	}
}

// space hands out the buffers of one case.
type space struct {
	guarded [8]region
	next    int
}

// make returns n bytes at a place. elem is the size of an element.
func (s *space) make(n, elem int, at place) *buffer {
	r := &s.guarded[s.next]
	s.next++
	mem := r.bytes(n + 128)
	switch at {
	case atEnd:
		return &buffer{data: mem[len(mem)-n:]}
	case shifted:
		return &buffer{data: mem[64+elem : 64+elem+n : 64+elem+n]}
	}
	return &buffer{data: mem[:n:n]}
}

// output is make with sentinels in and around it.
func (s *space) output(n, elem int, at place) *buffer {
	b := s.make(n, elem, at)
	b.mem = s.guarded[s.next-1].mem
	for i := range b.mem {
		b.mem[i] = sentinel
	}
	switch at {
	case atEnd:
		b.at = len(b.mem) - n
	case shifted:
		b.at = 64 + elem
	}
	return b
}

// input is make with contents.
func (s *space) input(content []byte, elem int, at place) *buffer {
	b := s.make(len(content), elem, at)
	copy(b.data, content)
	b.was = content
	return b
}

func (s *space) reset() { s.next = 0 }

func (s *space) free() {
	for i := range s.guarded {
		s.guarded[i].free()
	}
}

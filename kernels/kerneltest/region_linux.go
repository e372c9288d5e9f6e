package kerneltest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// region is memory between two unmapped pages; it grows as needed.
type region struct{ all, mem []byte }

// bytes returns memory of at least n bytes that both begins and ends at an unmapped page.
func (r *region) bytes(n int) []byte {
	if len(r.mem) >= n {
		return r.mem
	}
	r.free()
	page := unix.Getpagesize()
	size := (n + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(fmt.Sprintf("cannot guard memory: %v", err))
	}
	r.all, r.mem = all, all[page:page+size:page+size]
	for _, guard := range [][]byte{all[:page], all[page+size:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			panic(fmt.Sprintf("cannot guard memory: %v", err))
		}
	}
	return r.mem
}

func (r *region) free() {
	if r.all != nil {
		_ = unix.Munmap(r.all) // the mapping is ours, so this cannot fail
		r.all, r.mem = nil, nil
	}
}

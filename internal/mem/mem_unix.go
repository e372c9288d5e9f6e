//go:build linux || darwin || freebsd || netbsd || openbsd

package mem

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
}

func anonymous(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

// unmap takes what mapFile or anonymous returned.
func unmap(data []byte) { _ = unix.Munmap(data) }

// drop frees the pages that lie within data. They belong to a file, which has what was written to them, so nothing is lost.
func drop(data []byte) {
	if len(data) == 0 {
		return
	}
	size := uintptr(os.Getpagesize())
	p := uintptr(unsafe.Pointer(&data[0]))
	skip := int(-p & (size - 1))
	if skip >= len(data) {
		return
	}
	data = data[skip:]
	if data = data[:len(data)&^int(size-1)]; len(data) > 0 {
		_ = unix.Madvise(data, unix.MADV_DONTNEED)
	}
}

func mapShared(f *os.File, off int64, n int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), off, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

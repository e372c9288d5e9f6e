package mem

import (
	"os"

	"golang.org/x/sys/unix"
)

func reserve(f *os.File, off, n int64) error { return unix.Fallocate(int(f.Fd()), 0, off, n) }

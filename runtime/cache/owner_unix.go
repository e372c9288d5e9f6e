//go:build unix

package cache

import (
	"io/fs"
	"os"
	"syscall"
)

// trusted fails unless the folder or file belongs to this user and nobody else may write to it.
func trusted(st fs.FileInfo) error {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0 {
		return ErrUntrusted
	}
	return nil
}

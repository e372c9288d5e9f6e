//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package mem

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func anonymous(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) {}

func drop([]byte) {}

func mapShared(*os.File, int64, int) ([]byte, error) { return nil, errors.ErrUnsupported }

package container

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// The fixed parts of a file.
const (
	magic      = "\x89EDGE\r\n\x1a"
	version    = 1
	headerSize = 48
	sigMagic   = "SIGS"
	sigHeader  = 12
	maxSigs    = 64 << 10 // bytes of all signatures
)

// header is the beginning of a file.
type header struct {
	encoding Encoding // of the manifest: Raw or Zstd
	stored   uint64   // bytes of the manifest in the file
	size     uint64   // bytes of the manifest decoded
	area     uint64   // bytes of all chunks
}

func (h header) bytes() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.encoding))
	b = binary.LittleEndian.AppendUint64(b, h.stored)
	b = binary.LittleEndian.AppendUint64(b, h.size)
	b = binary.LittleEndian.AppendUint64(b, h.area)
	return append(b, make([]byte, headerSize-len(b))...)
}

// Write writes m as an unsigned file. The same Model gives the same bytes.
func Write(w io.Writer, m *Model) error {
	raw, stored, err := manifest(m)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	h := header{size: uint64(len(raw))}
	if z := compress(raw); len(z) < len(raw) {
		h.encoding, raw = Zstd, z
	}
	h.stored = uint64(len(raw))
	for _, b := range stored {
		h.area += uint64(len(b))
	}
	for _, b := range append([][]byte{h.bytes(), raw, sigBytes(nil)}, stored...) {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes m to path, unsigned. The file appears whole or not at all.
func WriteFile(path string, m *Model) error {
	return replace(path, 0o666, func(w io.Writer) error { return Write(w, m) })
}

// replace writes a temporary file beside path, makes sure that it is on disk, and renames it. A new file gets the mode
// less the process's umask.
func replace(path string, mode os.FileMode, write func(w io.Writer) error) (err error) {
	dir, base := filepath.Split(path)
	f, err := os.OpenFile(filepath.Join(dir, "."+base+"."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	b := bufio.NewWriterSize(f, 1<<20)
	if err = write(b); err == nil {
		err = errors.Join(b.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename within dir durable, where the system lets a directory be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

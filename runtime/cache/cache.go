// Package cache keeps what loading a model computes in files that the next process maps.
//
// A file holds named sections of bytes for one key. It is trusted because nobody but this user can have written it: a folder or file that
// belongs to somebody else, or that others may write to, is refused, as ssh does it with its keys. Checksums find what a disk or a crash
// damaged, and nothing else. A file is never changed once it has its name, so what is mapped stays as it is.
//
// docs/cache.md describes the layout and what the keys are made of. Importers: runtime and commands.
package cache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgerun/edgerun/internal/mem"
)

// DefaultLimit bounds the bytes of all files unless Open is told otherwise.
const DefaultLimit = 2 << 30

// Errors that callers tell apart.
var (
	// ErrUntrusted: somebody else could have written the folder or file.
	ErrUntrusted = errors.New("not only this user can write it")
	// ErrDamaged: the file is not what was written, or not of this key.
	ErrDamaged = errors.New("damaged cache file")
)

// Key names the content of a file.
type Key [sha256.Size]byte

// KeyOf is the key of a list of texts, all of which matter.
func KeyOf(parts ...string) Key {
	h := sha256.New()
	for _, p := range parts {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(p)))
		io.WriteString(h, p)
	}
	return Key(h.Sum(nil))
}

// Dir is a folder of cache files.
type Dir struct {
	root  *os.Root
	limit int64
}

// Open opens a folder, made where it is missing. limit bounds the bytes of all files in it; 0 means DefaultLimit.
func Open(path string, limit int64) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	st, err := root.Stat(".")
	if err == nil {
		err = trusted(st)
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if limit == 0 {
		limit = DefaultLimit
	}
	return &Dir{root, limit}, nil
}

// Close closes the folder.
func (d *Dir) Close() error { return d.root.Close() }

// Section is one part of a file.
type Section struct {
	Name string
	Data []byte
}

// File is a mapped cache file.
type File struct {
	Sections []Section
	mapping  *mem.Mapping
	byName   map[string]int
}

// Find returns a section's bytes. They stay as long as the File can be reached, and must not be written to.
func (f *File) Find(name string) ([]byte, bool) {
	i, ok := f.byName[name]
	if !ok {
		return nil, false
	}
	return f.Sections[i].Data, true
}

const (
	magic      = "EDGEPACK"
	version    = 1
	headerSize = 80
	pageSize   = 4096
	tempPrefix = "tmp-"
	suffix     = ".pack"
	// maxIndex bounds the list of sections, in bytes.
	maxIndex = 64 << 20
	maxName  = 1 << 16
	// blockSize is what is checked at once.
	blockSize = 1 << 20
)

// The header, little-endian: magic, version u32, CRC-32C of the index u32, key, size of the index u64, size of the file u64, reserved u32, CRC-32C of
// all this u32. The index follows: per section the length of its name u32, CRC-32C of its data u32, offset u64, size u64, name. Data begin at multiples
// of a page, or where they are shorter than one, of 64 bytes.
type header struct {
	Magic               [8]byte
	Version, IndexSum   uint32
	Key                 Key
	IndexSize, FileSize uint64
	Reserved, Sum       uint32
	Fill                [8]byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (d *Dir) name(kind string, key Key) string {
	return kind + "-" + hex.EncodeToString(key[:16]) + suffix
}

// Read maps and checks the file of a key; fs.ErrNotExist is wrapped where there is none. A file that is damaged goes. all says that most of it will be
// needed soon.
func (d *Dir) Read(kind string, key Key, all bool) (*File, error) {
	return d.read(kind, key, all, true)
}

// Reread is Read of what this process has just written. Its data are not checked again.
func (d *Dir) Reread(kind string, key Key) (*File, error) { return d.read(kind, key, true, false) }

func (d *Dir) read(kind string, key Key, all, check bool) (*File, error) {
	name := d.name(kind, key)
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := trusted(st); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !st.Mode().IsRegular() || st.Size() > math.MaxInt/2 {
		return nil, fmt.Errorf("%s: %w", name, ErrDamaged)
	}
	file, err := read(f, st.Size(), key, all, check)
	if err != nil {
		_ = d.root.Remove(name)
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if now := time.Now(); now.Sub(st.ModTime()) > time.Hour { // of use, for the limit
		_ = d.root.Chtimes(name, now, now)
	}
	return file, nil
}

func read(f *os.File, size int64, key Key, all, check bool) (_ *File, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	if size < headerSize {
		return nil, ErrDamaged
	}
	m, err := mem.Map(f, int(size))
	if err != nil {
		return nil, err
	}
	var h header
	if err := binary.Read(bytes.NewReader(m.Data[:headerSize]), binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	if string(h.Magic[:]) != magic || h.Version != version || h.Key != key || h.FileSize != uint64(size) || h.Sum != headerSum(m.Data) ||
		h.IndexSize > maxIndex || h.IndexSize > uint64(size)-headerSize {
		return nil, ErrDamaged
	}
	index := m.Data[headerSize : headerSize+h.IndexSize]
	if crc32.Checksum(index, castagnoli) != h.IndexSum {
		return nil, ErrDamaged
	}
	file := &File{mapping: m, byName: map[string]int{}}
	var sums []uint32
	for len(index) > 0 {
		if len(index) < 24 {
			return nil, ErrDamaged
		}
		n, sum := binary.LittleEndian.Uint32(index), binary.LittleEndian.Uint32(index[4:])
		off, count := binary.LittleEndian.Uint64(index[8:]), binary.LittleEndian.Uint64(index[16:])
		if index = index[24:]; n > maxName || int(n) > len(index) || off > uint64(size) || count > uint64(size)-off || off%64 != 0 {
			return nil, ErrDamaged
		}
		name := string(index[:n])
		index = index[n:]
		if _, twice := file.byName[name]; twice {
			return nil, ErrDamaged
		}
		file.byName[name] = len(file.Sections)
		file.Sections = append(file.Sections, Section{name, m.Data[off : off+count : off+count]})
		sums = append(sums, sum)
	}
	if check {
		err = file.check(sums, all)
	}
	if !all {
		mem.Drop(m.Data)
	}
	return file, err
}

func headerSum(b []byte) uint32 { return crc32.Checksum(b[:headerSize-12], castagnoli) }

// check compares the checksums of all sections, on as many threads as Go uses. Unless all of the file will be needed soon, what was read of large ones is
// dropped again.
func (f *File) check(sums []uint32, all bool) error {
	var wrong atomic.Bool
	mem.Parallel(len(sums), func(i int) {
		if wrong.Load() {
			return
		}
		sum := uint32(0)
		for b := f.Sections[i].Data; len(b) > 0; {
			n := min(len(b), blockSize)
			sum = crc32.Update(sum, castagnoli, b[:n])
			if len(f.Sections[i].Data) >= pageSize && !all {
				mem.Drop(b[:n])
			}
			b = b[n:]
		}
		if sum != sums[i] {
			wrong.Store(true)
		}
	})
	if wrong.Load() {
		return ErrDamaged
	}
	return nil
}

// Write writes the file of a key, for readers from then on. Processes may write the same one at once: the last one stays. Data are read while it is
// written.
func (d *Dir) Write(kind string, key Key, sections []Section) error {
	at, size, err := layout(sections)
	if err != nil {
		return err
	}
	if size > d.limit {
		return fmt.Errorf("%d bytes pass the cache's limit of %d", size, d.limit)
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	temp := tempPrefix + hex.EncodeToString(random)
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(write(f, key, sections, at, size), f.Close())
	if err == nil {
		err = d.root.Rename(temp, d.name(kind, key))
	}
	if err != nil {
		_ = d.root.Remove(temp)
		return err
	}
	return d.trim(d.name(kind, key))
}

// layout says where the sections begin and the file ends.
func layout(sections []Section) (at []int64, size int64, err error) {
	size = headerSize
	for _, s := range sections {
		if len(s.Name) > maxName {
			return nil, 0, fmt.Errorf("section with a name of %d bytes", len(s.Name))
		}
		size += 24 + int64(len(s.Name))
	}
	if size > maxIndex {
		return nil, 0, fmt.Errorf("%d sections", len(sections))
	}
	for _, s := range sections {
		align := int64(64)
		if len(s.Data) >= pageSize {
			align = pageSize
		}
		size = (size + align - 1) &^ (align - 1)
		at = append(at, size)
		size += int64(len(s.Data))
	}
	return at, size, nil
}

// write writes a whole file, each block as its checksum is made.
func write(f *os.File, key Key, sections []Section, at []int64, size int64) (err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	var index []byte
	for i, s := range sections {
		sum := uint32(0)
		for off := 0; off < len(s.Data); off += blockSize {
			b := s.Data[off:min(off+blockSize, len(s.Data))]
			sum = crc32.Update(sum, castagnoli, b)
			if _, err := f.WriteAt(b, at[i]+int64(off)); err != nil {
				return err
			}
		}
		index = binary.LittleEndian.AppendUint32(index, uint32(len(s.Name)))
		index = binary.LittleEndian.AppendUint32(index, sum)
		index = binary.LittleEndian.AppendUint64(index, uint64(at[i]))
		index = binary.LittleEndian.AppendUint64(index, uint64(len(s.Data)))
		index = append(index, s.Name...)
	}
	h := header{Version: version, Key: key, IndexSize: uint64(len(index)), FileSize: uint64(size), IndexSum: crc32.Checksum(index, castagnoli)}
	copy(h.Magic[:], magic)
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, &h); err != nil {
		return err
	}
	head := append(b.Bytes(), index...)
	binary.LittleEndian.PutUint32(head[headerSize-12:], headerSum(head))
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Truncate(size)
}

// trim removes the files that were used longest ago until the rest keep to the limit, keep apart, and what interrupted writers left.
func (d *Dir) trim(keep string) error {
	list, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range list {
		st, err := e.Info()
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		switch {
		case strings.HasPrefix(e.Name(), tempPrefix):
			if time.Since(st.ModTime()) > time.Hour {
				_ = d.root.Remove(e.Name())
			}
		case strings.HasSuffix(e.Name(), suffix):
			files = append(files, st)
			total += st.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= d.limit {
			break
		}
		if f.Name() != keep && d.root.Remove(f.Name()) == nil {
			total -= f.Size()
		}
	}
	return nil
}

// Scratch makes a file without a name in the folder, for data that need not stay in memory.
func (d *Dir) Scratch() (*mem.Scratch, error) {
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	temp := tempPrefix + hex.EncodeToString(random)
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.root.Remove(temp); err != nil {
		f.Close()
		return nil, err
	}
	return mem.NewScratch(f, d.limit), nil
}

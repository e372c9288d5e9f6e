package container

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Policy says which files Open accepts.
type Policy struct {
	Trusted []PublicKey
	// Threshold is the number of trusted keys that must have signed; 0 means one.
	Threshold int
	// AllowUnsigned accepts files without enough signatures. A wrong signature of a trusted key is refused all the same.
	AllowUnsigned bool
	// MaxMemory bounds the bytes of all tensors that one call loads; 0 means DefaultMaxMemory.
	MaxMemory int64
}

// DefaultMaxMemory is what a Policy without MaxMemory allows.
const DefaultMaxMemory = 4 << 30

// File is an open .edge file.
type File struct {
	r      io.ReaderAt
	close  func() error
	c      *contents
	base   int64 // where the chunks begin
	sigs   []Signature
	digest [32]byte
	limit  int64
}

// Sniff reports whether a file that begins with head looks like a .edge file.
func Sniff(head []byte) bool { return len(head) >= len(magic) && string(head[:len(magic)]) == magic }

// Open opens a file and verifies its signatures.
func Open(path string, p Policy) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil {
		var e *File
		if e, err = OpenReader(f, st.Size(), p); err == nil {
			e.close = f.Close
			return e, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("%s: %w", path, err)
}

// OpenReader is Open for size bytes of r, which must stay as they are while the File is in use.
func OpenReader(r io.ReaderAt, size int64, p Policy) (*File, error) {
	e, err := readEnvelope(r, size)
	if err != nil {
		return nil, err
	}
	if err := e.verify(p); err != nil {
		return nil, err
	}
	raw := e.manifest
	if e.header.encoding == Zstd {
		raw = make([]byte, e.header.size)
		if err = decompress(raw, e.manifest); err != nil {
			return nil, bad("manifest: %v", err)
		}
	}
	c, err := parseManifest(raw, int64(e.header.area))
	if err != nil {
		return nil, err
	}
	f := &File{r: r, close: func() error { return nil }, c: c, base: e.base, sigs: e.sigs, digest: e.digest, limit: p.MaxMemory}
	if f.limit == 0 {
		f.limit = DefaultMaxMemory
	}
	for i := range c.chunks {
		c.chunks[i].Offset += f.base
	}
	// Everything that the structure promises is checked now, so that later calls fail on chunks only.
	if _, err := f.c.decoder().graphOf(&c.graph); err != nil {
		return nil, err
	}
	return f, nil
}

// envelope is what stands before the chunks.
type envelope struct {
	header   header
	manifest []byte // as stored
	digest   [32]byte
	sigs     []Signature
	base     int64
}

func readEnvelope(r io.ReaderAt, size int64) (*envelope, error) {
	read := func(what string, at, n int64) ([]byte, error) {
		if at+n > size {
			return nil, bad("%s: bytes %d to %d of a file of %d", what, at, at+n, size)
		}
		b := make([]byte, n)
		if _, err := r.ReadAt(b, at); err != nil && !(err == io.EOF && at+n == size) {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		return b, nil
	}
	b, err := read("header", 0, headerSize)
	if err != nil {
		return nil, err
	}
	if string(b[:8]) != magic {
		return nil, bad("no .edge file: it begins with %q", b[:8])
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return nil, fmt.Errorf("version %d: %w", v, ErrUnsupported)
	}
	e := &envelope{}
	enc := binary.LittleEndian.Uint32(b[12:])
	h := header{Encoding(enc), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:])}
	switch {
	case enc != uint32(Raw) && enc != uint32(Zstd):
		return nil, fmt.Errorf("manifest encoding %d: %w", enc, ErrUnsupported)
	case h.size == 0 || h.size > MaxManifest || h.stored == 0 || h.stored > h.size || enc == uint32(Raw) && h.stored != h.size:
		return nil, bad("manifest of %d bytes, %d stored", h.size, h.stored)
	case h.area > uint64(size):
		return nil, bad("chunks of %d bytes in a file of %d", h.area, size)
	case binary.LittleEndian.Uint64(b[40:]) != 0:
		return nil, bad("header: reserved bytes are not zero")
	}
	e.header = h
	if e.manifest, err = read("manifest", headerSize, int64(h.stored)); err != nil {
		return nil, err
	}
	e.digest = digest(b, e.manifest)
	at := headerSize + int64(h.stored)
	if b, err = read("signatures", at, sigHeader); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if string(b[:4]) != sigMagic || n > maxSigs {
		return nil, bad("signatures: header % x", b)
	}
	count := binary.LittleEndian.Uint32(b[4:])
	if b, err = read("signatures", at+sigHeader, int64(n)); err != nil {
		return nil, err
	}
	if e.sigs, err = parseSigs(b, count); err != nil {
		return nil, err
	}
	e.base = at + sigHeader + int64(n)
	if end := e.base + int64(h.area); end != size {
		return nil, bad("it should have %d bytes and has %d", end, size)
	}
	return e, nil
}

// digest identifies a header and manifest, and with them all contents.
func digest(header, manifest []byte) [32]byte {
	h := sha256.New()
	h.Write(header)
	h.Write(manifest)
	return [32]byte(h.Sum(nil))
}

// Close closes the file that Open opened.
func (f *File) Close() error { return f.close() }

// Digest identifies the file's content, signatures apart: the SHA-256 of header and manifest, in hexadecimal.
func (f *File) Digest() string { return hex.EncodeToString(f.digest[:]) }

// Signatures lists all signatures, verified or not.
func (f *File) Signatures() []Signature { return slices.Clone(f.sigs) }

// Chunks lists the chunks in the order of the file.
func (f *File) Chunks() []Chunk { return slices.Clone(f.c.chunks) }

// ReadChunk reads, checks and decodes the i-th chunk.
func (f *File) ReadChunk(i int) ([]byte, error) {
	if i < 0 || i >= len(f.c.chunks) {
		return nil, fmt.Errorf("chunk %d of %d does not exist", i, len(f.c.chunks))
	}
	b := make([]byte, f.c.chunks[i].Size)
	return b, f.readChunk(i, b, &buffers{})
}

// buffers are what chunks pass through while they are read, one after the other.
type buffers struct{ stored, planes []byte }

// grow is b with n elements, whatever they are.
func grow(b *[]byte, n int) []byte {
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	return (*b)[:n]
}

// readChunk is ReadChunk into dst, which has the chunk's size; it holds nothing of use where that fails.
func (f *File) readChunk(i int, dst []byte, s *buffers) error {
	c := &f.c.chunks[i]
	b := dst
	if c.Encoding != Raw {
		b = grow(&s.stored, c.Stored)
	}
	if n, err := f.r.ReadAt(b, c.Offset); n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("chunk %d at offset %d: %w", i, c.Offset, err)
	}
	if sha256.Sum256(b) != c.StoredHash {
		return fmt.Errorf("chunk %d: stored hash mismatch at offset %d: %w", i, c.Offset, ErrCorrupt)
	}
	if c.Encoding == Raw {
		return nil
	}
	if err := decode(c.Encoding, dst, b, s); err != nil {
		return fmt.Errorf("chunk %d (%v) at offset %d: %w: %w", i, c.Encoding, c.Offset, ErrFormat, err)
	}
	if sha256.Sum256(dst) != c.ID {
		return fmt.Errorf("chunk %d: identity mismatch at offset %d: %w", i, c.Offset, ErrCorrupt)
	}
	return nil
}

// Check reads every chunk and so proves that the file is whole.
func (f *File) Check() error {
	errs := make([]error, len(f.c.chunks))
	mem.Parallel(len(errs), func(i int) { _, errs[i] = f.ReadChunk(i) })
	return firstError(errs)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// part says which tensors are loaded.
type part uint8

const (
	graphData part = 1 << iota
	goldenData
	documents
)

// Outline gives everything but the constants' and golden vectors' data, labels, documents' bytes and histograms.
func (f *File) Outline() (*Model, error) { return f.read(0) }

// Load gives everything.
func (f *File) Load() (*Model, error) { return f.read(graphData | goldenData | documents) }

// Graph gives the network with its constants.
func (f *File) Graph() (*model.Graph, error) {
	m, err := f.read(graphData)
	if err != nil {
		return nil, err
	}
	return m.Graph, nil
}

// Documents is Outline with labels, documents and histograms.
func (f *File) Documents() (*Model, error) { return f.read(documents) }

// Golden gives the golden vectors.
func (f *File) Golden() ([]Golden, error) {
	m, err := f.read(goldenData)
	if err != nil {
		return nil, err
	}
	return m.Golden, nil
}

func (f *File) read(parts part) (*Model, error) {
	d := f.c.decoder()
	m := f.c.Model
	m.Golden = nil
	var err error
	if m.Graph, err = d.graphOf(&f.c.graph); err != nil {
		return nil, err
	}
	need := d.must
	if parts&graphData != 0 {
		for i := range d.built {
			need[i] = true
		}
	}
	var after []func()
	document := func(w *wireDocument, dst **Document) error {
		if w == nil {
			return nil
		}
		*dst = &Document{Schema: w.Schema}
		if parts&documents == 0 {
			return nil
		}
		need[w.Tensor] = true
		t, err := d.tensor(w.Tensor)
		after = append(after, func() { (*dst).Data = t.Data })
		return err
	}
	if err := errors.Join(document(f.c.pipeline, &m.Pipeline), document(f.c.certificate, &m.Certificate)); err != nil {
		return nil, err
	}
	if i := f.c.labels; i >= 0 && parts&documents != 0 {
		need[i] = true
		t, err := d.tensor(i)
		if err != nil {
			return nil, err
		}
		after = append(after, func() { m.Labels = t.Str })
	}
	if h := f.c.histograms; h != nil && parts&documents != 0 {
		need[h.Ranges], need[h.Counts] = true, true
		r, err1 := d.tensor(h.Ranges)
		n, err2 := d.tensor(h.Counts)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		after = append(after, func() { m.Histograms = histograms(h.Names, r, n) })
	}
	for i, g := range f.c.Golden {
		for _, l := range []struct {
			from []wireNamed
			to   *[]Named
		}{{f.c.golden[i].in, &g.Inputs}, {f.c.golden[i].out, &g.Outputs}} {
			for _, w := range l.from {
				t, err := d.tensor(w.Tensor)
				if err != nil {
					return nil, err
				}
				if parts&goldenData != 0 {
					need[w.Tensor] = true
				}
				*l.to = append(*l.to, Named{w.Name, t})
			}
		}
		m.Golden = append(m.Golden, g)
	}
	if err := f.fill(d.built, need); err != nil {
		return nil, err
	}
	for _, fix := range d.fix {
		if err := fix(); err != nil {
			return nil, err
		}
	}
	for _, a := range after {
		a()
	}
	return &m, nil
}

func histograms(names []string, ranges, counts *tensor.Tensor) []Histogram {
	r, n := tensor.Of[float32](ranges), tensor.Of[uint64](counts)
	list := make([]Histogram, len(names))
	for i := range list {
		list[i] = Histogram{Name: names[i], Lo: r[2*i], Hi: r[2*i+1]}
		copy(list[i].Counts[:], n[HistogramBins*i:])
	}
	return list
}

// run is a stretch of a chunk that belongs to a tensor.
type run struct {
	dst []byte
	at  int
}

// fill gives the needed tensors their data. Each chunk is decoded once.
func (f *File) fill(built map[int]*tensor.Tensor, need map[int]bool) error {
	var order []int
	for i := range need {
		order = append(order, i)
		for _, k := range f.c.tensors[i].elems {
			if !need[int(k)] {
				order = append(order, int(k))
			}
		}
	}
	slices.Sort(order)
	order = slices.Compact(order)
	total := int64(0)
	for _, i := range order {
		if m := f.c.tensors[i].memory(); m > f.limit-total {
			return fmt.Errorf("tensor %d: %d bytes and more, %d are allowed: %w", i, total+m, f.limit, ErrTooLarge)
		} else {
			total += m
		}
	}
	runs := make([][]run, len(f.c.chunks))
	raw := make([][]byte, len(order))
	for k, i := range order {
		s := &f.c.tensors[i]
		if s.dtype == tensor.Sequence {
			continue
		}
		raw[k] = tensor.AlignedBytes(int(s.bytes))
		left, at := raw[k], s.offset
		for _, c := range s.chunks {
			n := min(len(left), f.c.chunks[c].Size-at)
			runs[c] = append(runs[c], run{left[:n], at})
			left, at = left[n:], 0
		}
	}
	type scratch struct {
		buffers
		whole []byte
	}
	free := sync.Pool{New: func() any { return &scratch{} }}
	errs := make([]error, len(runs))
	mem.Parallel(len(runs), func(i int) {
		if len(runs[i]) == 0 {
			return
		}
		s := free.Get().(*scratch)
		defer free.Put(s)
		if r := runs[i][0]; len(runs[i]) == 1 && len(r.dst) == f.c.chunks[i].Size {
			errs[i] = f.readChunk(i, r.dst, &s.buffers)
			return
		}
		b := grow(&s.whole, f.c.chunks[i].Size)
		if errs[i] = f.readChunk(i, b, &s.buffers); errs[i] != nil {
			return
		}
		for _, r := range runs[i] {
			copy(r.dst, b[r.at:])
		}
	})
	if err := firstError(errs); err != nil {
		return err
	}
	for k, i := range order {
		t := built[i]
		switch t.DType {
		case tensor.Sequence:
		case tensor.String:
			var err error
			if t.Str, err = splitStrings(raw[k], t.Len()); err != nil {
				return fmt.Errorf("tensor %d: %w", i, err)
			}
		default:
			if t.DType == tensor.Bool && slices.ContainsFunc(raw[k], func(b byte) bool { return b > 1 }) {
				return fmt.Errorf("tensor %d: %w: a bool that is neither 0 nor 1", i, ErrFormat)
			}
			t.Data = raw[k]
		}
	}
	return nil
}

func splitStrings(b []byte, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, bad("string %d passes the tensor's end", i)
		}
		k := int(binary.LittleEndian.Uint32(b))
		out[i], b = string(b[4:4+k]), b[4+k:]
	}
	if len(b) != 0 {
		return nil, bad("%d bytes after the last string", len(b))
	}
	return out, nil
}

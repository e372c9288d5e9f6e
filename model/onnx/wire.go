package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Errors that callers tell apart.
var (
	// ErrFormat: the file is damaged or not what it should be.
	ErrFormat = errors.New("malformed onnx")
	// ErrLimit: a limit on sizes, counts or nesting is passed.
	ErrLimit = errors.New("onnx limit passed")
	// ErrUnsupported: the file is good but says something that this package cannot express.
	ErrUnsupported = errors.New("unsupported onnx feature")
)

// Limits that no sane model passes.
const (
	maxNesting   = 24       // depth of subgraphs, and of functions that call functions
	maxTypeDepth = 8        // depth of sequence and optional types and values
	maxFile      = 2 << 30  // what protobuf itself permits
	slack        = 40 << 20 // bytes that structures may take besides the size of the file
)

// decoder reads protobuf messages. It charges what it allocates to two budgets.
type decoder struct {
	budget  int      // bytes left for structures
	tensors int      // bytes left for the data of tensors
	mapped  bool     // the file is mapped, so that its bytes may change and cost memory where they are read
	root    *os.Root // the folder of external data; nil where there is none
	seen    func(location string)
	files   map[string]*os.File
}

func newDecoder(size int, o Options) *decoder {
	if o.MaxTensorBytes == 0 {
		o.MaxTensorBytes = DefaultMaxTensorBytes
	}
	return &decoder{budget: size + slack, tensors: int(min(o.MaxTensorBytes, math.MaxInt)), root: o.Root, seen: o.External, files: map[string]*os.File{}}
}

func (d *decoder) close() {
	for _, f := range d.files {
		f.Close()
	}
}

// charge takes n bytes from the budget of structures.
func (d *decoder) charge(n int) error {
	if d.budget -= n; d.budget < 0 {
		return fmt.Errorf("%w: the graph needs more memory than its file explains", ErrLimit)
	}
	return nil
}

// chargeTensor takes the size of a tensor's data from the budget of tensors.
func (d *decoder) chargeTensor(t tensor.DType, n int) error {
	size := tensor.ByteSize(t, n)
	if t == tensor.String {
		size = n * int(unsafe.Sizeof(""))
	}
	if size > d.tensors {
		return fmt.Errorf("%w: tensors need more than the permitted memory (%d bytes here): %w", ErrLimit, size, tensor.ErrTooLarge)
	}
	d.tensors -= size
	return nil
}

// msg is the body of a message and its place in the file.
type msg struct {
	b   []byte
	off int
}

func (m msg) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w: %w", m.off, ErrFormat, fmt.Errorf(format, args...))
}

// field is one field of a message: u holds numbers, b everything else.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64
	msg
}

// each calls f for every field of m, in order.
func each(m msg, f func(fd *field) error) error {
	var fd field
	for b := m.b; len(b) > 0; {
		fd = field{msg: msg{off: m.off + len(m.b) - len(b)}}
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fd.errorf("%w", protowire.ParseError(n))
		}
		b = b[n:]
		fd.num, fd.typ = num, typ
		start := m.off + len(m.b) - len(b)
		switch typ {
		case protowire.VarintType:
			fd.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			fd.u = uint64(v)
		case protowire.Fixed64Type:
			fd.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			fd.b, n = protowire.ConsumeBytes(b)
			start += n - len(fd.b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fd.errorf("field %d: %w", num, protowire.ParseError(n))
		}
		b = b[n:]
		fd.off = start
		if err := f(&fd); err != nil {
			return err
		}
	}
	return nil
}

func (fd *field) want(t protowire.Type) error {
	if fd.typ != t {
		return fd.errorf("field %d has wire type %d, want %d", fd.num, fd.typ, t)
	}
	return nil
}

// text reads a string.
func (fd *field) text(dst *string) error {
	if err := fd.want(protowire.BytesType); err != nil {
		return err
	}
	*dst = string(fd.b) // a copy, which may outlive the file's bytes
	return nil
}

func (fd *field) int(dst *int64) error {
	if err := fd.want(protowire.VarintType); err != nil {
		return err
	}
	*dst = int64(fd.u)
	return nil
}

// message reads a nested message with f.
func (fd *field) message(f func(m msg) error) error {
	if err := fd.want(protowire.BytesType); err != nil {
		return err
	}
	return f(fd.msg)
}

// numbers calls f for each element of a repeated number of wire type t, packed or not.
func (fd *field) numbers(t protowire.Type, f func(u uint64) error) error {
	if fd.typ == t {
		return f(fd.u)
	}
	if err := fd.want(protowire.BytesType); err != nil {
		return err
	}
	for b := fd.b; len(b) > 0; {
		var u uint64
		var n int
		switch t {
		case protowire.VarintType:
			u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			u = uint64(v)
		default:
			u, n = protowire.ConsumeFixed64(b)
		}
		if n < 0 {
			return msg{off: fd.off + len(fd.b) - len(b)}.errorf("field %d: %w", fd.num, protowire.ParseError(n))
		}
		if err := f(u); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// appendInts reads a repeated integer.
func (d *decoder) appendInts(fd *field, dst *[]int64) error {
	return fd.numbers(protowire.VarintType, func(u uint64) error { return grow(d, dst, int64(u)) })
}

// grow appends v to list and charges for the memory that this takes, what the old list took included.
func grow[T any](d *decoder, list *[]T, v T) error {
	old := cap(*list)
	if *list = append(*list, v); cap(*list) == old {
		return nil
	}
	return d.charge(cap(*list) * int(unsafe.Sizeof(v)))
}

// appendText reads one element of a repeated string.
func (d *decoder) appendText(fd *field, dst *[]string) error {
	var s string
	if err := fd.text(&s); err != nil {
		return err
	}
	return grow(d, dst, s)
}

// external reads n bytes at off of a file in the model's folder; n < 0 means up to the end.
func (d *decoder) external(location string, off, n int64, want int) ([]byte, error) {
	if d.root == nil {
		return nil, fmt.Errorf("%w: data in file %q, but the model was read without its folder", ErrUnsupported, location)
	}
	if !localPath(location) {
		return nil, fmt.Errorf("%w: external data %q is not a path inside the model's folder", ErrFormat, location)
	}
	if d.seen != nil {
		d.seen(location)
	}
	f := d.files[location]
	if f == nil {
		// Stat first: opening a pipe would block.
		st, err := d.root.Stat(location)
		if err != nil {
			return nil, fmt.Errorf("external data: %w", err)
		}
		if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: external data %q is no regular file", ErrFormat, location)
		}
		if f, err = d.root.Open(location); err != nil {
			return nil, fmt.Errorf("external data: %w", err)
		}
		if len(d.files) < 64 {
			d.files[location] = f
		} else {
			defer f.Close()
		}
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	size := st.Size()
	if off < 0 || off > size {
		return nil, fmt.Errorf("%w: external data %q: offset %d, but the file has %d bytes", ErrFormat, location, off, size)
	}
	if n < 0 {
		n = min(size-off, int64(want))
	}
	if n != int64(want) {
		return nil, fmt.Errorf("%w: external data %q: length %d, but the tensor has %d bytes", ErrFormat, location, n, want)
	}
	if n > size-off {
		return nil, fmt.Errorf("%w: external data %q: bytes %d to %d, but the file has %d", ErrFormat, location, off, off+n, size)
	}
	data := tensor.AlignedBytes(want)
	if _, err := f.ReadAt(data, off); err != nil && !(err == io.EOF && n == 0) {
		return nil, fmt.Errorf("external data %q: %w", location, err)
	}
	return data, nil
}

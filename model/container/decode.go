package container

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
)

// features lists what this version knows of a manifest's "requires".
var features []string

func checkFeatures(list []string) error {
	for _, r := range list {
		if !slices.Contains(features, r) {
			return fmt.Errorf("feature %.80q: %w", r, ErrUnsupported)
		}
	}
	return nil
}

// contents is a decoded manifest.
type contents struct {
	Model       // without tensors and documents
	strings     []string
	chunks      []Chunk // Offset counts from the first chunk here
	tensors     []stored
	quants      []wireQuant
	values      []wireValue
	graph       wireGraph
	labels      int // -1: none
	pipeline    *wireDocument
	certificate *wireDocument
	histograms  *wireHistograms
	golden      []goldenRefs
}

type goldenRefs struct{ in, out []wireNamed }

// stored is a tensor whose place in the chunks has been checked.
type stored struct {
	dtype  tensor.DType
	shape  tensor.Shape
	quant  int
	bytes  int64
	offset int
	chunks []uint32
	elems  []uint32
}

// memory is what the tensor takes once it is loaded.
func (s *stored) memory() int64 {
	if s.dtype == tensor.String {
		return s.bytes + 16*int64(s.shape.Len())
	}
	return s.bytes + 256
}

func parseManifest(raw []byte, area int64) (*contents, error) {
	if err := scan(raw, area); err != nil {
		return nil, err
	}
	f := fields{}
	if err := decMode.Unmarshal(raw, &f); err != nil {
		return nil, bad("manifest: %v", err)
	}
	c := &contents{labels: -1}
	schema := 0
	if err := f.need("schema", &schema); err != nil {
		return nil, err
	}
	if schema != 1 {
		return nil, fmt.Errorf("manifest schema %d: %w", schema, ErrUnsupported)
	}
	if _, err := f.take("requires", &c.Requires); err != nil {
		return nil, err
	}
	if err := checkFeatures(c.Requires); err != nil {
		return nil, err
	}
	var chunks []wireChunk
	var tensors []wireTensor
	var inputs, outputs, golden []fields
	var provenance fields
	for _, x := range []struct {
		key string
		dst any
	}{{"name", &c.Name}, {"strings", &c.strings}, {"quants", &c.quants}, {"values", &c.values}, {"graph", &c.graph}, {"chunks", &chunks}, {"tensors", &tensors}, {"inputs", &inputs}, {"outputs", &outputs}} {
		if err := f.need(x.key, x.dst); err != nil {
			return nil, err
		}
	}
	for _, x := range []struct {
		key string
		dst any
	}{{"version", &c.Version}, {"labels", &c.labels}, {"pipeline", &c.pipeline}, {"certificate", &c.certificate}, {"histograms", &c.histograms}, {"golden", &golden}, {"provenance", &provenance}} {
		if _, err := f.take(x.key, x.dst); err != nil {
			return nil, err
		}
	}
	c.Extra = f.extra()
	if err := c.parseChunks(chunks, area); err != nil {
		return nil, err
	}
	if err := c.parseTensors(tensors); err != nil {
		return nil, err
	}
	var err error
	if c.Inputs, err = parsePorts("inputs", inputs); err != nil {
		return nil, err
	}
	if c.Outputs, err = parsePorts("outputs", outputs); err != nil {
		return nil, err
	}
	if len(inputs) != len(c.graph.Inputs) || len(outputs) != len(c.graph.Outputs) {
		return nil, bad("inputs and outputs: %d and %d are described, the graph has %d and %d", len(inputs), len(outputs), len(c.graph.Inputs), len(c.graph.Outputs))
	}
	if provenance != nil {
		if c.Provenance, err = parseProvenance(provenance); err != nil {
			return nil, err
		}
	}
	for i, g := range golden {
		if err := c.parseGolden(g); err != nil {
			return nil, fmt.Errorf("golden %d: %w", i, err)
		}
	}
	return c, c.checkRefs()
}

// checkRefs holds the parts that lie in tensors to their types.
func (c *contents) checkRefs() error {
	is := func(what string, i int, d tensor.DType, dims ...int) error {
		if i < 0 || i >= len(c.tensors) {
			return bad("%s: tensor %d of %d", what, i, len(c.tensors))
		}
		t := &c.tensors[i]
		if t.dtype != d || dims != nil && !t.shape.Equal(dims) || dims == nil && len(t.shape) != 1 {
			return bad("%s: tensor %d is %v%v", what, i, t.dtype, t.shape)
		}
		return nil
	}
	var errs []error
	if c.labels != -1 {
		errs = append(errs, is("labels", c.labels, tensor.String))
	}
	if c.pipeline != nil {
		errs = append(errs, is("pipeline", c.pipeline.Tensor, tensor.U8))
	}
	if c.certificate != nil {
		errs = append(errs, is("certificate", c.certificate.Tensor, tensor.U8))
	}
	if h := c.histograms; h != nil {
		errs = append(errs, is("histograms", h.Ranges, tensor.F32, len(h.Names), 2), is("histograms", h.Counts, tensor.U64, len(h.Names), HistogramBins))
	}
	for i, q := range c.quants {
		if len(q.Scale)%4 != 0 || len(q.Scale) > 4*maxInline || len(q.Zero) > maxInline || q.Axis < 0 || q.Axis >= tensor.MaxRank {
			return bad("quants: entry %d", i)
		}
		if q.ScaleT != 0 {
			errs = append(errs, is("quants", q.ScaleT-1, tensor.F32))
		}
		if q.ZeroT != 0 {
			errs = append(errs, is("quants", q.ZeroT-1, tensor.I32))
		}
	}
	return errors.Join(errs...)
}

func (c *contents) parseChunks(list []wireChunk, area int64) error {
	if len(list) > MaxChunks {
		return bad("%d chunks: at most %d are possible", len(list), MaxChunks)
	}
	c.chunks = make([]Chunk, len(list))
	seen := make(map[[32]byte]bool, len(list))
	at := int64(0)
	for i, w := range list {
		x := &c.chunks[i]
		switch {
		case len(w.ID) != 32 || len(w.Hash) != 32 && len(w.Hash) != 0:
			return bad("chunk %d: hash of %d and %d bytes", i, len(w.ID), len(w.Hash))
		case w.Encoding >= uint64(encodings):
			return fmt.Errorf("chunk %d: encoding %d: %w", i, w.Encoding, ErrUnsupported)
		case w.Size == 0 || w.Size > MaxChunk:
			return bad("chunk %d: %d bytes decoded, 1 to %d are possible", i, w.Size, MaxChunk)
		case w.Stored == 0 || w.Stored > w.Size:
			return bad("chunk %d: %d bytes stored for %d decoded", i, w.Stored, w.Size)
		case Encoding(w.Encoding) == Raw && w.Stored != w.Size:
			return bad("chunk %d: %d bytes stored raw for %d", i, w.Stored, w.Size)
		case (Encoding(w.Encoding) == Raw) != (len(w.Hash) == 0):
			return bad("chunk %d: a hash of the stored bytes belongs to encoded chunks only", i)
		case int64(w.Stored) > area-at:
			return bad("chunk %d: bytes %d to %d of the chunks, which end at %d", i, at, at+int64(w.Stored), area)
		}
		*x = Chunk{ID: [32]byte(w.ID), StoredHash: [32]byte(w.ID), Encoding: Encoding(w.Encoding), Size: int(w.Size), Stored: int(w.Stored), Offset: at}
		if len(w.Hash) != 0 {
			x.StoredHash = [32]byte(w.Hash)
		}
		if seen[x.ID] {
			return bad("chunk %d: identity %x is listed twice", i, x.ID[:8])
		}
		seen[x.ID] = true
		at += int64(w.Stored)
	}
	if at != area {
		return bad("chunks: they end at %d of %d bytes", at, area)
	}
	return nil
}

func (c *contents) parseTensors(list []wireTensor) error {
	c.tensors = make([]stored, len(list))
	for i, w := range list {
		if err := c.parseTensor(&c.tensors[i], w, i); err != nil {
			return fmt.Errorf("tensor %d: %w", i, err)
		}
	}
	return nil
}

func (c *contents) parseTensor(t *stored, w wireTensor, index int) error {
	name, err := c.symbol(w.DType)
	if err != nil {
		return err
	}
	if t.dtype, err = tensor.ParseDType(name); err != nil {
		return fmt.Errorf("%v: %w", err, ErrUnsupported)
	}
	if t.shape, err = shape(w.Dims, false); err != nil {
		return err
	}
	n, err := t.shape.Size()
	if err != nil {
		return bad("%v", err)
	}
	if w.Quant < 0 || w.Quant > len(c.quants) {
		return bad("quantisation %d of %d", w.Quant, len(c.quants))
	}
	t.quant, t.chunks = w.Quant, w.Chunks
	switch t.dtype {
	case tensor.Sequence:
		if len(w.Dims)+len(w.Chunks) > 0 || w.Length != 0 || w.Offset != 0 {
			return bad("a sequence with dimensions or bytes")
		}
		for _, k := range w.Elems {
			// Elements come before their sequence and are none themselves.
			if int(k) >= index || c.tensors[k].dtype == tensor.Sequence {
				return bad("element %d of a sequence", k)
			}
		}
		t.elems = w.Elems
		return nil
	case tensor.String:
		// Each string has a length of four bytes.
		if w.Length > math.MaxInt/2 || uint64(n) > w.Length/4 {
			return bad("%d strings in %d bytes", n, w.Length)
		}
		t.bytes = int64(w.Length)
	default:
		if t.bytes = int64(tensor.ByteSize(t.dtype, n)); w.Length != 0 || t.bytes < 0 {
			return bad("length %d of %v%v", w.Length, t.dtype, t.shape)
		}
	}
	if len(w.Elems) > 0 || len(w.Chunks) == 0 && w.Offset != 0 {
		return bad("elements or an offset of %v%v", t.dtype, t.shape)
	}
	left := t.bytes
	for i, k := range w.Chunks {
		if int64(k) >= int64(len(c.chunks)) {
			return bad("chunk %d of %d", k, len(c.chunks))
		}
		size := int64(c.chunks[k].Size)
		if i == 0 {
			if w.Offset >= uint64(size) {
				return bad("offset %d in chunk %d of %d bytes", w.Offset, k, size)
			}
			t.offset = int(w.Offset)
			size -= int64(w.Offset)
		}
		if left <= 0 {
			return bad("more chunks than its %d bytes need", t.bytes)
		}
		left -= size
	}
	if left > 0 {
		return bad("%v%v needs %d bytes more than its chunks hold", t.dtype, t.shape, left)
	}
	return nil
}

func (c *contents) symbol(i int) (string, error) {
	if i < 0 || i >= len(c.strings) {
		return "", bad("string %d of %d", i, len(c.strings))
	}
	return c.strings[i], nil
}

// shape checks extents; open ones may be -1.
func shape(dims []int64, open bool) (tensor.Shape, error) {
	if dims == nil {
		if !open {
			return nil, bad("no dimensions")
		}
		return nil, nil
	}
	if len(dims) > tensor.MaxRank {
		return nil, bad("rank %d, at most %d is possible", len(dims), tensor.MaxRank)
	}
	s := make(tensor.Shape, len(dims))
	for i, d := range dims {
		if d < -1 || d < 0 && !open || d > math.MaxInt/2 {
			return nil, bad("dimension %d is %d", i, d)
		}
		s[i] = int(d)
	}
	return s, nil
}

func parsePorts(what string, list []fields) ([]Port, error) {
	out := make([]Port, len(list))
	for i, f := range list {
		p := &out[i]
		var dtype string
		var dims []int64
		err := errors.Join(f.need("name", &p.Name), f.need("dtype", &dtype))
		if err == nil && dtype != tensor.Invalid.String() {
			if p.DType, err = tensor.ParseDType(dtype); err != nil {
				err = fmt.Errorf("%v: %w", err, ErrUnsupported)
			}
		}
		for _, x := range []struct {
			key string
			dst any
		}{{"shape", &dims}, {"dims", &p.Dims}, {"layout", &p.Layout}} {
			if _, e := f.take(x.key, x.dst); e != nil {
				err = errors.Join(err, e)
			}
		}
		if err == nil {
			p.Shape, err = shape(dims, true)
		}
		if err == nil && p.Dims != nil && len(p.Dims) != len(p.Shape) {
			err = bad("%d names for %d dimensions", len(p.Dims), len(p.Shape))
		}
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
		p.Extra = f.extra()
	}
	return out, nil
}

func parseProvenance(f fields) (*Provenance, error) {
	p := &Provenance{}
	var options map[string]text
	for _, x := range []struct {
		key string
		dst any
	}{{"format", &p.SourceFormat}, {"file", &p.SourceName}, {"tool", &p.Tool}, {"created", &p.Created}, {"source", &p.Source}, {"calibration", &p.Calibration}, {"evaluation", &p.Evaluation}, {"options", &options}} {
		if _, err := f.take(x.key, x.dst); err != nil {
			return nil, fmt.Errorf("provenance: %w", err)
		}
	}
	for _, h := range [][]byte{p.Source, p.Calibration, p.Evaluation} {
		if len(h) != 0 && len(h) != 32 {
			return nil, bad("provenance: a hash of %d bytes", len(h))
		}
	}
	if options != nil {
		p.Options = map[string]string{}
		for k, v := range options {
			p.Options[k] = string(v)
		}
	}
	p.Extra = f.extra()
	return p, nil
}

func (c *contents) parseGolden(f fields) error {
	var g Golden
	var r goldenRefs
	var t fields
	if err := errors.Join(f.need("name", &g.Name), f.need("in", &r.in), f.need("out", &r.out), f.need("tolerance", &t)); err != nil {
		return err
	}
	for _, x := range []struct {
		key string
		dst any
	}{{"rtol", &g.Tolerance.RTol}, {"atol", &g.Tolerance.ATol}, {"cosine", &g.Tolerance.Cosine}, {"equal", &g.Tolerance.Equal}, {"top1", &g.Tolerance.Top1}} {
		if _, err := t.take(x.key, x.dst); err != nil {
			return err
		}
	}
	for _, n := range slices.Concat(r.in, r.out) {
		if n.Tensor < 0 || n.Tensor >= len(c.tensors) {
			return bad("%s: tensor %d of %d", n.Name, n.Tensor, len(c.tensors))
		}
	}
	g.Tolerance.Extra = t.extra()
	g.Extra = f.extra()
	c.Golden = append(c.Golden, g)
	c.golden = append(c.golden, r)
	return nil
}

package container

import (
	"fmt"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Flat is a graph in parts: what it is, in the manifest's encoding, and the bytes of its tensors. Tensors that lie at the same place share theirs.
// It is no file format; package runtime keeps graphs in it that passes have been applied to.
type Flat struct {
	Structure []byte
	Data      [][]byte
}

// flatPack collects tensors whose bytes stay where they are.
type flatPack struct {
	data   [][]byte
	places map[flatPlace]uint32
	known  map[string]int // tensors
}

type flatPlace struct {
	at *byte
	n  int
}

func (p *flatPack) add(e *encoder, t *tensor.Tensor, w wireTensor) (int, error) {
	b, err := payload(t)
	if err != nil {
		return 0, err
	}
	for _, d := range t.Shape {
		w.Dims = append(w.Dims, int64(d))
	}
	if t.DType == tensor.String {
		w.Length = uint64(len(b))
	}
	if len(b) > 0 {
		at := flatPlace{unsafe.SliceData(b), len(b)}
		i, ok := p.places[at]
		if !ok {
			i = uint32(len(p.data))
			p.places[at] = i
			p.data = append(p.data, b)
		}
		w.Chunks = append(w.Chunks, i)
	}
	key := fmt.Sprint(w.DType, w.Dims, w.Quant, w.Length, w.Chunks)
	if i, ok := p.known[key]; ok {
		return i, nil
	}
	e.pack.entries = append(e.pack.entries, entry{wire: w})
	p.known[key] = len(e.pack.entries) - 1
	return len(e.pack.entries) - 1, nil
}

// Flatten takes a graph apart. Data refers to the graph's tensors.
func Flatten(g *model.Graph) (*Flat, error) {
	e, f := newEncoder(), fields{}
	e.flat = &flatPack{places: map[flatPlace]uint32{}, known: map[string]int{}}
	w, err := e.graph(g)
	if err != nil {
		return nil, err
	}
	tensors := make([]wireTensor, len(e.pack.entries))
	for i := range tensors {
		tensors[i] = e.pack.entries[i].wire
	}
	for key, v := range map[string]any{"graph": w, "strings": e.strings, "quants": e.quants, "values": e.values, "tensors": tensors} {
		if err := f.put(key, v); err != nil {
			return nil, err
		}
	}
	b, err := encMode.Marshal(f)
	return &Flat{b, e.flat.data}, err
}

// Graph puts the graph together. Its tensors refer to Data.
func (f *Flat) Graph() (*model.Graph, error) {
	area := int64(0)
	c := &contents{labels: -1, chunks: make([]Chunk, len(f.Data))}
	for i, b := range f.Data {
		area += int64(len(b))
		c.chunks[i].Size = len(b)
	}
	if err := scan(f.Structure, area); err != nil {
		return nil, err
	}
	m := fields{}
	if err := decMode.Unmarshal(f.Structure, &m); err != nil {
		return nil, bad("%v", err)
	}
	var tensors []wireTensor
	for key, dst := range map[string]any{"graph": &c.graph, "strings": &c.strings, "quants": &c.quants, "values": &c.values, "tensors": &tensors} {
		if err := m.need(key, dst); err != nil {
			return nil, err
		}
	}
	if err := c.parseTensors(tensors); err != nil {
		return nil, err
	}
	if err := c.checkRefs(); err != nil {
		return nil, err
	}
	d := c.decoder()
	g, err := d.graphOf(&c.graph)
	if err != nil {
		return nil, err
	}
	for i, t := range d.built {
		s := &c.tensors[i]
		if t.DType == tensor.Sequence {
			continue
		}
		b := []byte{}
		if len(s.chunks) > 0 {
			b = f.Data[s.chunks[0]]
		}
		if len(s.chunks) > 1 || s.offset != 0 || int64(len(b)) != s.bytes {
			return nil, bad("tensor %d of %d bytes has %d", i, s.bytes, len(b))
		}
		if t.DType != tensor.String {
			t.Data = b
			continue
		}
		if t.Str, err = splitStrings(b, t.Len()); err != nil {
			return nil, fmt.Errorf("tensor %d: %w", i, err)
		}
	}
	for _, fix := range d.fix {
		if err := fix(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

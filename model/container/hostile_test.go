package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// compose makes a file of a manifest and the bytes of all chunks, with lengths that fit.
func compose(manifest, area []byte) []byte {
	h := header{stored: uint64(len(manifest)), size: uint64(len(manifest)), area: uint64(len(area))}
	return bytes.Join([][]byte{h.bytes(), manifest, sigBytes(nil), area}, nil)
}

// parts takes a file apart.
func parts(t testing.TB, b []byte) (manifest, area []byte) {
	t.Helper()
	e, err := readEnvelope(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	m := e.manifest
	if e.header.encoding == Zstd {
		m = make([]byte, e.header.size)
		if err := decompress(m, e.manifest); err != nil {
			t.Fatal(err)
		}
	}
	return m, b[e.base:]
}

// forge changes fields of a small file's manifest.
func forge(t testing.TB, change func(f fields, area *[]byte)) []byte {
	t.Helper()
	m, area := parts(t, write(t, small()))
	f := fields{}
	if err := decMode.Unmarshal(m, &f); err != nil {
		t.Fatal(err)
	}
	change(f, &area)
	out, err := encMode.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return compose(out, area)
}

// edit is a change of one field.
func edit[T any](key string, change func(v *T)) func(f fields, area *[]byte) {
	return func(f fields, _ *[]byte) {
		var v T
		if err := decMode.Unmarshal(f[key], &v); err != nil {
			panic(err)
		}
		change(&v)
		if err := f.put(key, v); err != nil {
			panic(err)
		}
	}
}

// use opens a file and reads all of it.
func use(b []byte, p Policy) error {
	f, err := OpenReader(bytes.NewReader(b), int64(len(b)), p)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Load()
	return errors.Join(err, f.Check())
}

// useParts is use, and reads the parts one by one.
func useParts(b []byte, p Policy) error {
	err := use(b, p)
	f, open := OpenReader(bytes.NewReader(b), int64(len(b)), p)
	if open != nil {
		return err
	}
	defer f.Close()
	// A part may not be worse than the whole.
	_, outline := f.Outline()
	_, graph := f.Graph()
	_, golden := f.Golden()
	_, documents := f.Documents()
	if part := errors.Join(outline, graph, golden, documents); err == nil && part != nil {
		return fmt.Errorf("BUG: the whole is read and a part is not: %w", part)
	}
	return err
}

var unsigned = Policy{AllowUnsigned: true}

func TestForgedManifests(t *testing.T) {
	type chunks = []wireChunk
	type tensors = []wireTensor
	setFirst := func(enc Encoding, size int, b []byte) func(f fields, area *[]byte) {
		return func(f fields, area *[]byte) {
			edit("chunks", func(c *chunks) {
				old := (*c)[0]
				h := sha256.Sum256(b)
				(*c)[0] = wireChunk{ID: old.ID, Encoding: uint64(enc), Size: uint64(size), Stored: uint64(len(b)), Hash: h[:]}
				*area = append(bytes.Clone(b), (*area)[old.Stored:]...)
			})(f, area)
		}
	}
	bomb := zstdBest().EncodeAll(make([]byte, 1<<20), nil)
	for _, c := range []struct {
		name   string
		change func(f fields, area *[]byte)
		want   string
		is     error
	}{
		{"chunks overlap", edit("chunks", func(c *chunks) { (*c)[1].Stored += 5; (*c)[1].Size += 5 }), "chunks, which end at", ErrFormat},
		{"chunk beyond the end", edit("chunks", func(c *chunks) { (*c)[0].Stored = 1 << 19; (*c)[0].Size = 1 << 19 }), "chunk 0: bytes 0 to 524288 of the chunks", ErrFormat},
		{"hidden bytes", func(f fields, area *[]byte) { *area = append(*area, 0) }, "chunks: they end at", ErrFormat},
		{"oversized chunk", edit("chunks", func(c *chunks) { (*c)[0].Size = MaxChunk + 1 }), "chunk 0: 1048577 bytes decoded", ErrFormat},
		{"huge chunk", edit("chunks", func(c *chunks) { (*c)[0].Size = 1 << 63 }), "bytes decoded", ErrFormat},
		{"raw chunk that is short", edit("chunks", func(c *chunks) {
			i := slices.IndexFunc(*c, func(c wireChunk) bool { return c.Encoding == uint64(Raw) })
			(*c)[i].Size++
		}), "bytes stored raw for", ErrFormat},
		{"empty chunk", edit("chunks", func(c *chunks) { (*c)[0].Size = 0 }), "0 bytes decoded", ErrFormat},
		{"encoding", edit("chunks", func(c *chunks) { (*c)[0].Encoding = 99 }), "chunk 0: encoding 99", ErrUnsupported},
		{"short identity", edit("chunks", func(c *chunks) { (*c)[0].ID = []byte{1} }), "chunk 0: hash of 1", ErrFormat},
		{"same chunk twice", edit("chunks", func(c *chunks) { (*c)[1].ID = (*c)[0].ID }), "listed twice", ErrFormat},
		{"wrong stored hash", edit("chunks", func(c *chunks) { (*c)[0].Hash, (*c)[0].Encoding = make([]byte, 32), uint64(Zstd) }), "chunk 0: stored hash mismatch at offset", ErrCorrupt},
		{"wrong identity", setFirst(Zstd, 32, compress(make([]byte, 32))), "chunk 0: identity mismatch at offset", ErrCorrupt},
		{"bomb", setFirst(Zstd, 1<<17, bomb), "chunk 0 (zstd) at offset", ErrFormat},
		{"short stream", setFirst(Zstd, 100, compress(make([]byte, 32))), "32 bytes decoded, 100 declared", ErrFormat},
		{"no stream", setFirst(Planes32, 32, []byte("hello")), "chunk 0 (planes32)", ErrFormat},
		{"odd planes", setFirst(Planes32, 33, compress(make([]byte, 33))), "no whole elements", ErrFormat},
		{"nibbles", setFirst(NibblesU, 32, make([]byte, 17)), "17 bytes of nibbles for 32", ErrFormat},
		{"offset", edit("tensors", func(v *tensors) { (*v)[0].Offset = 1 << 40 }), "tensor 0: offset 1099511627776 in chunk", ErrFormat},
		{"chunk number", edit("tensors", func(v *tensors) { (*v)[0].Chunks[0] = 77 }), "tensor 0: chunk 77 of", ErrFormat},
		{"beyond its chunk", edit("tensors", func(v *tensors) { (*v)[0].Dims[0] = 5 }), "needs 8 bytes more", ErrFormat},
		{"too many chunks", edit("tensors", func(v *tensors) { (*v)[0].Chunks = append((*v)[0].Chunks, 0) }), "more chunks than", ErrFormat},
		{"negative dimension", edit("tensors", func(v *tensors) { (*v)[0].Dims[0] = -1 }), "dimension 0 is -1", ErrFormat},
		{"huge dimension", edit("tensors", func(v *tensors) { (*v)[0].Dims = []int64{1 << 29, 1 << 29, 1 << 29} }), "too large", ErrFormat},
		{"rank", edit("tensors", func(v *tensors) { (*v)[0].Dims = make([]int64, 17) }), "rank 17", ErrFormat},
		{"strings without bytes", edit("tensors", func(v *tensors) { (*v)[1].Dims = []int64{1 << 26} }), "tensor 1: 67108864 strings in", ErrFormat},
		{"cyclic sequence", func(f fields, area *[]byte) {
			n := 0
			edit("strings", func(s *[]string) { n = len(*s); *s = append(*s, "sequence") })(f, area)
			edit("tensors", func(v *tensors) { (*v)[0] = wireTensor{DType: n, Dims: []int64{}, Elems: []uint32{0}} })(f, area)
		}, "element 0 of a sequence", ErrFormat},
		{"value number", edit("graph", func(g *wireGraph) { g.Nodes[0].In[0] = 9 }), "mm: reference 9 after 1 values", ErrFormat},
		{"not defined", edit("graph", func(g *wireGraph) { g.Inputs = nil }), "inputs and outputs: 1 and 1 are described", ErrFormat},
		{"cycle", edit("graph", func(g *wireGraph) { g.Nodes[0].In[0], g.Nodes[0].Out[0] = 1, 4 }), "", ErrFormat},
		{"absent output", edit("graph", func(g *wireGraph) { g.Outputs[0] = 0 }), "an input or output is absent", ErrFormat},
		{"deep", edit("graph", func(g *wireGraph) {
			for range 17 {
				*g = wireGraph{Nodes: []wireNode{{Name: "n", Graphs: []wireSub{{Graph: *g}}}}}
			}
		}), "nested more than", ErrFormat},
		{"attribute", edit("graph", func(g *wireGraph) { g.Nodes[0].Attrs[0].Value = []byte{0xf5} }), "attribute alpha: value 0xf5", ErrFormat},
		{"attribute twice", edit("graph", func(g *wireGraph) { g.Nodes[0].Attrs = append(g.Nodes[0].Attrs, g.Nodes[0].Attrs[0]) }), "attribute alpha twice", ErrFormat},
		{"string number", edit("graph", func(g *wireGraph) { g.Nodes[0].Op = -1 }), "string -1 of", ErrFormat},
		{"numerics", edit("graph", func(g *wireGraph) { g.Nodes[0].Num = 1 }), "unknown numerics", ErrUnsupported},
		{"required feature", func(f fields, _ *[]byte) { f.put("requires", []string{"telepathy"}) }, `feature "telepathy"`, ErrUnsupported},
		{"schema", func(f fields, _ *[]byte) { f.put("schema", 2) }, "manifest schema 2", ErrUnsupported},
		{"field missing", func(f fields, _ *[]byte) { delete(f, "values") }, "values is missing", ErrFormat},
		{"field type", func(f fields, _ *[]byte) { f.put("values", "x") }, "values:", ErrFormat},
		{"labels", func(f fields, _ *[]byte) { f.put("labels", 0) }, "labels: tensor 0 is f32[4,2]", ErrFormat},
		{"labels number", func(f fields, _ *[]byte) { f.put("labels", -5) }, "labels: tensor -5", ErrFormat},
		{"histograms", edit("histograms", func(h *wireHistograms) { h.Names = append(h.Names, "z") }), "histograms: tensor", ErrFormat},
		{"golden", edit("golden", func(g *[]fields) { (*g)[0].put("in", []wireNamed{{Name: "x", Tensor: 99}}) }), "golden 0: x: tensor 99 of", ErrFormat},
		{"dims", edit("inputs", func(p *[]fields) { (*p)[0].put("dims", []string{"a"}) }), "inputs 0: 1 names for 2", ErrFormat},
		{"float", func(f fields, _ *[]byte) { f["schema"] = []byte{0xf9, 0x3c, 0} }, "schema", ErrFormat},
	} {
		err := use(forge(t, c.change), unsigned)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestForgedHeaders(t *testing.T) {
	whole := write(t, small())
	put32 := func(at int, v uint32) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	put64 := func(at int, v uint64) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
	}
	sigs := headerSize + int(binary.LittleEndian.Uint64(whole[16:]))
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"empty", func(b []byte) []byte { return nil }, "header: bytes 0 to 48 of a file of 0"},
		{"magic", func(b []byte) []byte { b[0] = 'P'; return b }, "it begins with"},
		{"version", put32(8, 7), "version 7: needs a newer"},
		{"manifest encoding", put32(12, 3), "manifest encoding 3"},
		{"manifest beyond the end", func(b []byte) []byte { return put64(16, 2000)(put64(24, 2000)(b)) }, "manifest: bytes 48 to"},
		{"huge manifest", put64(24, 1<<40), "manifest of 1099511627776 bytes"},
		{"negative manifest", put64(16, 1<<63), "manifest of"},
		{"wrong manifest size", put64(24, 5000), "manifest:"},
		{"huge area", put64(32, 1<<62), "chunks of"},
		{"wrong area", put64(32, 1), "it should have"},
		{"reserved", put64(40, 1), "reserved bytes are not zero"},
		{"signature magic", put32(sigs, 0), "signatures: header"},
		{"signature count", put32(sigs+4, 1<<30), "1073741824 signatures"},
		{"signatures missing", put32(sigs+4, 2), "signature 0: truncated"},
		{"signature length", put32(sigs+8, 1<<31), "signatures: header"},
		{"longer", func(b []byte) []byte { return append(b, 0) }, "it should have"},
	} {
		if err := use(c.change(bytes.Clone(whole)), unsigned); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for n := range whole {
		if err := use(whole[:n], unsigned); !errors.Is(err, ErrFormat) {
			t.Fatalf("truncated to %d: %v", n, err)
		}
	}
}

// Every byte of a file is covered by the signature or by a hash; only the signature block is not.
func TestEveryByteIsCovered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.edge")
	if err := WriteFile(path, small()); err != nil {
		t.Fatal(err)
	}
	key, pub := newKey(t, Ed25519)
	if err := Sign(path, key); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Trusted: []PublicKey{pub}}
	if err := use(b, p); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x10
		if err := use(b, p); err == nil {
			t.Errorf("byte %d changed unseen", i)
		}
		b[i] ^= 0x10
	}
}

func TestMemoryLimit(t *testing.T) {
	m := &Model{Graph: weights(1, []string{"a", "b"}, []int{1000, 2000})}
	b := write(t, m)
	if err := use(b, Policy{AllowUnsigned: true, MaxMemory: 13_000}); err != nil {
		t.Error(err)
	}
	err := use(b, Policy{AllowUnsigned: true, MaxMemory: 10_000})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "10000 are allowed") {
		t.Error(err)
	}
	// Many tensors over the same chunk count each.
	var tensors []wireTensor
	raw, area := parts(t, b)
	f := fields{}
	if err := decMode.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	edit("tensors", func(v *[]wireTensor) {
		for range 10_000 {
			*v = append(*v, (*v)[0])
		}
		tensors = *v
	})(f, &area)
	edit("graph", func(g *wireGraph) {
		a := wireAttr{Name: 0}
		for i := range tensors {
			v, err := encMode.Marshal([]any{attrTensor, i})
			if err != nil {
				t.Fatal(err)
			}
			a.Value = v
			g.Nodes = append(g.Nodes, wireNode{Name: fmt.Sprint("n", i), In: []uint32{}, Attrs: []wireAttr{a}, Graphs: []wireSub{}, Out: []uint32{}})
		}
	})(f, &area)
	out, err := encMode.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(compose(out, area), Policy{AllowUnsigned: true, MaxMemory: 20 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "truncated"},
		{"indefinite", []byte{0x9f, 0xff}, "indefinite"},
		{"tag", []byte{0xc0, 0}, "tag"},
		{"long number", []byte{0x18, 5}, "shortest"},
		{"long number 2", []byte{0x19, 0, 255}, "shortest"},
		{"long length", []byte{0x9a, 0, 0, 255, 255}, "shortest"},
		{"array without items", []byte{0x9b, 0xff, 0, 0, 0, 0, 0, 0, 0}, "truncated"},
		{"string without bytes", []byte{0x65, 'a'}, "truncated"},
		{"long string", append([]byte{0x7a, 0, 1, 0, 1}, make([]byte, 70000)...), "string of 65537"},
		{"wide map", []byte{0xb9, 0x10, 0x01}, "map of 4097 entries"},
		{"deep", append(bytes.Repeat([]byte{0x81}, 60), 0), "nested more than 48"},
		{"many", append([]byte{0x9a, 0, 0x20, 0, 0}, make([]byte, 1<<21)...), "more than 1048576 items"},
		{"rest", []byte{0, 0}, "1 bytes after"},
	} {
		if err := scan(c.b, 0); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCodec(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	seen := map[Encoding]bool{}
	for i := range 400 {
		n := rng.IntN(40)
		if i%25 < 2 {
			n = rng.IntN(40_000)
		}
		width := []int{1, 2, 4, 8}[rng.IntN(4)]
		b := make([]byte, n*width)
		switch i % 4 {
		case 0: // small signed or unsigned numbers
			for k := range b {
				b[k] = byte(rng.IntN(16) - 8*(i/4%2))
			}
		case 1:
			v := tensor.New(tensor.F32, tensor.Shape{n * width / 4})
			for k := range tensor.Of[float32](v) {
				tensor.Of[float32](v)[k] = float32(rng.NormFloat64())
			}
			b, width = v.Data, 4
		case 2:
			for k := range b {
				b[k] = byte(rng.Uint32())
			}
		case 3:
			for k := 0; k+width <= len(b); k += width {
				b[k] = byte(rng.Uint32())
			}
		}
		if len(b) == 0 {
			continue
		}
		e, s := encode(b, width, i%3 > 0)
		seen[e] = true
		got := dirty(len(b))
		err := decode(e, got, s, &buffers{})
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("case %d, %v: %v", i, e, err)
		}
		if len(s) > len(b) {
			t.Errorf("case %d, %v: %d bytes of %d", i, e, len(s), len(b))
		}
		for _, e := range []Encoding{Planes16, Planes32, Planes64, Rot16, Rot32, Rot64} {
			if len(b)%e.width() != 0 {
				continue
			}
			if join(got, split(b, e), e); !bytes.Equal(got, b) {
				t.Fatalf("case %d: %v does not invert", i, e)
			}
		}
	}
	for _, e := range []Encoding{Raw, Zstd, NibblesU, NibblesS, Rot32} {
		if !seen[e] {
			t.Errorf("%v was never the smallest", e)
		}
	}
}

func TestLog2(t *testing.T) {
	for c := uint32(1); c < 1<<18; c += 1 + c/97 {
		if want := math.Log2(float64(c)) * one; math.Abs(float64(log2(c))-want) > 1.01 {
			t.Errorf("log2(%d) = %d, want %.2f", c, log2(c), want)
		}
	}
	if log2(0) != 0 || log2(1) != 0 || log2(1<<17) != 17*one {
		t.Errorf("log2 of powers: %d, %d, %d", log2(0), log2(1), log2(1<<17))
	}
}

// Every machine writes these bytes.
func TestSameBytesEverywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	b := make([]byte, 300_000)
	for i := range b {
		b[i] = byte(rng.Uint32N(uint32(2 + i/2000)))
	}
	h := sha256.Sum256(compress(b))
	if got, want := fmt.Sprintf("%x", h[:8]), "98449ac936f84438"; got != want {
		t.Errorf("the compressed bytes have the hash %s, want %s", got, want)
	}
}

// The frames of the entropy coder are plain zstd, whatever their size.
func TestEntropyFrame(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, n := range []int{1, 2, 11, 12, 255, 256, 257, 1023, 1024, 16383, 16384, 65791, 65792, 131072, 131073, 1 << 20} {
		for _, kind := range []string{"skewed", "constant", "noise", "mixed"} {
			b := make([]byte, n)
			for i := range b {
				switch {
				case kind == "skewed" || kind == "mixed" && i < n/2:
					b[i] = byte(rng.ExpFloat64() * 5)
				case kind == "noise" || kind == "mixed":
					b[i] = byte(rng.Uint32())
				}
			}
			f := entropyFrame(nil, b)
			got := dirty(n)
			err := decompress(got, f)
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%d bytes, %s: %v", n, kind, err)
			}
			if len(f) > n+20+3*n/maxBlock || kind == "skewed" && n > 2000 && len(f) > n*6/10 {
				t.Errorf("%d bytes, %s: %d stored", n, kind, len(f))
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	m, area := parts(f, write(f, small()))
	f.Add(m)
	f.Add(compose(m, area))
	f.Add(write(f, small()))
	for seed := range uint64(6) {
		b := write(f, &Model{Graph: newGen(seed).graph(1)})
		if len(b) < 3000 {
			f.Add(b)
			m, _ := parts(f, b)
			f.Add(m)
		}
	}
	p := Policy{AllowUnsigned: true, MaxMemory: 8 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := useParts(b, p); err != nil && strings.HasPrefix(err.Error(), "BUG") {
			t.Fatal(err)
		}
		// The same bytes as a manifest, in a file whose lengths fit.
		c := compose(b, area)
		f, err := OpenReader(bytes.NewReader(c), int64(len(c)), p)
		if err != nil {
			return
		}
		all, err := f.Load()
		if err != nil {
			return
		}
		// What can be read can be written, and then says the same.
		var w bytes.Buffer
		if err := Write(&w, all); err != nil {
			t.Fatal(err)
		}
		if err := useParts(w.Bytes(), p); err != nil {
			t.Fatal(err)
		}
	})
}

// dirty is n bytes that something else has left.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }

func FuzzDecode(f *testing.F) {
	for e := range encodings {
		f.Add(uint8(e), compress([]byte("abcdabcdabcdabcdabcdabcd")), 24)
	}
	f.Fuzz(func(t *testing.T, e uint8, b []byte, size int) {
		if size <= 0 || size > MaxChunk {
			return
		}
		one, two := make([]byte, size), dirty(size)
		if decode(Encoding(e), one, b, &buffers{}) == nil && (decode(Encoding(e), two, b, &buffers{planes: dirty(size)}) != nil || !bytes.Equal(one, two)) {
			t.Fatal("what is decoded depends on what was there")
		}
	})
}

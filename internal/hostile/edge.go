package hostile

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
)

// edgeFile writes an unsigned .edge file without chunks around a manifest, which is compressed.
func edgeFile(name string, manifest []byte) File {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	z := enc.EncodeAll(manifest, nil)
	b := append([]byte("\x89EDGE\r\n\x1a"), 1, 0, 0, 0, 1, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(z)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(manifest)))
	b = append(append(b, make([]byte, 16)...), z...)
	return File{name + ".edge", append(b, "SIGS\x00\x00\x00\x00\x00\x00\x00\x00"...)}
}

// Edge lists .edge files. Most hold nearly as many items as the format permits.
func Edge() []File {
	type m = map[string]any
	type l = []any
	repeat := func(n int, v any) l {
		list := make(l, n)
		for i := range list {
			list[i] = v
		}
		return list
	}
	manifest := func(change m) []byte {
		f := m{"schema": 1, "name": "x", "strings": l{}, "chunks": l{}, "tensors": l{}, "quants": l{}, "values": l{},
			"graph": l{"g", m{}, l{}, l{}, l{}}, "inputs": l{}, "outputs": l{}}
		for k, v := range change {
			f[k] = v
		}
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic("BUG: " + err.Error())
		}
		b, err := mode.Marshal(f)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return b
	}
	graph := func(nodes l) l { return l{"g", m{}, l{}, nodes, l{}} }
	node := func(attrs l) l { return l{"", 0, 0, l{}, attrs, l{}, l{}} }
	var names, attrs l
	for i := range 4000 {
		names = append(names, fmt.Sprint("a", i))
		attrs = append(attrs, l{i, i})
	}
	var chunks l
	for i := range 100_000 {
		id := make([]byte, 32)
		binary.LittleEndian.PutUint32(id, uint32(i))
		chunks = append(chunks, l{id, 0, 1, 1, []byte{}})
	}
	wide := m{}
	for i := range 4000 {
		wide[fmt.Sprint(i)] = ""
	}
	return []File{
		edgeFile("bomb", make([]byte, 16<<20)),
		edgeFile("many strings", manifest(m{"strings": repeat(900_000, "")})),
		edgeFile("many long strings", manifest(m{"strings": repeat(250, strings.Repeat("s", 60_000))})),
		edgeFile("many nodes", manifest(m{"strings": l{"A"}, "graph": graph(repeat(46_000, node(l{})))})),
		edgeFile("many attributes", manifest(m{"strings": names, "graph": graph(repeat(45, node(attrs)))})),
		edgeFile("many lists", manifest(m{"strings": l{"A", "a"}, "graph": graph(repeat(29_000, node(l{l{1, l{1, l{}}}})))})),
		edgeFile("many tensors", manifest(m{"strings": l{"f32"}, "tensors": repeat(51_000, l{0, l{0}, 0, l{}, 0, 0, l{}})})),
		edgeFile("many values", manifest(m{"strings": l{"f32"}, "values": repeat(76_000, l{"", 1, l{1}, nil, 0, 0}), "graph": l{"g", m{}, repeat(76_000, 1), l{}, l{}}})),
		edgeFile("many quants", manifest(m{"quants": repeat(92_000, l{0, []byte{0, 0, 0, 0}, l{}, 0, 0})})),
		edgeFile("many inputs", manifest(m{"inputs": repeat(53_000, m{"name": "", "dtype": "f32"})})),
		edgeFile("many empty inputs", manifest(m{"inputs": repeat(900_000, m{})})),
		edgeFile("many golden vectors", manifest(m{"golden": repeat(21_000, m{"name": "", "in": l{}, "out": l{}, "tolerance": m{}})})),
		edgeFile("many chunks", manifest(m{"chunks": chunks})),
		edgeFile("many entries", manifest(m{"graph": graph(repeat(38, l{"", 0, 0, l{}, l{}, l{l{0, l{"g", wide, l{}, l{}, l{}}}}, l{}})), "strings": l{"A"}})),
		edgeFile("unknown fields", manifest(m{"later": repeat(38, wide)})),
	}
}

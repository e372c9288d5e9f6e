package hostile

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// field appends a field of bytes.
func field(num int, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	b := protowire.AppendTag(nil, protowire.Number(num), protowire.BytesType)
	return append(protowire.AppendVarint(b, uint64(len(body))), body...)
}

func word(num int, s string) []byte { return field(num, []byte(s)) }

func number(num int, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(num), protowire.VarintType), v)
}

// until repeats parts up to n bytes.
func until(n int, part []byte) []byte { return bytes.Repeat(part, n/len(part)) }

func onnxFile(name string, graph []byte, more ...[]byte) File {
	head := [][]byte{number(1, 10), field(8, number(2, 17)), field(7, graph)}
	return File{name + ".onnx", bytes.Join(append(head, more...), nil)}
}

// ONNX lists ONNX models.
func ONNX() []File {
	const mb = 1 << 20
	node := func(parts ...[]byte) []byte { return field(1, append(parts, word(4, "A"))...) }
	var functions [][]byte
	for i := range 20 {
		f := [][]byte{word(1, fmt.Sprint("F", i)), word(10, "f"), word(4, "a"), word(5, "r0"), field(9, word(1, "f"), number(2, 1))}
		for k := range 8 {
			f = append(f, field(7, word(1, "a"), word(2, fmt.Sprint("r", k)), word(4, fmt.Sprint("F", i+1)), word(7, "f")))
		}
		functions = append(functions, field(25, f...))
	}
	deep := []byte{}
	for range 2000 {
		deep = field(1, word(4, "If"), field(5, word(1, "then_branch"), number(20, 5), field(6, deep)))
	}
	return []File{
		onnxFile("many nodes", until(mb, node())),
		onnxFile("many attributes", node(until(mb, field(5, word(1, "a"), number(20, 2))))),
		onnxFile("many values", until(mb, field(13, word(1, "")))),
		onnxFile("many dimensions", field(11, word(1, "x"), field(2, field(1, number(1, 1), field(2, until(mb, field(1))))))),
		onnxFile("many empty weights", until(mb, field(5, number(2, 1)))),
		onnxFile("many metadata", nil, until(mb, field(14, word(1, "k")))),
		onnxFile("many integers", node(field(5, word(1, "a"), number(20, 7), field(8, until(mb, []byte{1}))))),
		onnxFile("many outputs", node(until(mb, word(2, "")))),
		onnxFile("functions that call each other", field(1, word(2, "y"), word(4, "F0"), word(7, "f")), functions...),
		onnxFile("deep subgraphs", deep),
		onnxFile("huge dimensions", field(5, word(8, "w"), number(1, 1<<40), number(1, 1<<40), number(2, 1), field(9))),
		onnxFile("negative dimension", field(5, word(8, "w"), number(1, 1<<63), number(2, 1), field(9))),
		onnxFile("large sparse weight", until(mb, field(15, field(1, word(8, "w"), number(1, 0), number(2, 1)), number(3, 1<<26)))),
	}
}

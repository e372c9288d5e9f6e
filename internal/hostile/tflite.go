package hostile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Codes of TFLite's operators.
const (
	tfAdd    = 0
	tfLSTM   = 44
	tfPack   = 83
	tfIf     = 118
	tfWhile  = 119
	tfDepth  = 4
	tfString = 5 // element type
)

type offset = flatbuffers.UOffsetT

// table writes a table whose fields are offset, int32, uint32, int8 or bool; nil leaves one out.
func table(b *flatbuffers.Builder, fields ...any) offset {
	b.StartObject(len(fields))
	for i, f := range fields {
		switch f := f.(type) {
		case offset:
			b.PrependUOffsetTSlot(i, f, 0)
		case int32:
			b.PrependInt32Slot(i, f, 0)
		case uint32:
			b.PrependUint32Slot(i, f, 0)
		case int8:
			b.PrependInt8Slot(i, f, 0)
		case bool:
			b.PrependBoolSlot(i, f, false)
		}
	}
	return b.EndObject()
}

func tables(b *flatbuffers.Builder, list ...offset) offset {
	b.StartVector(4, len(list), 4)
	for i := len(list) - 1; i >= 0; i-- {
		b.PrependUOffsetT(list[i])
	}
	return b.EndVector(len(list))
}

func ints(b *flatbuffers.Builder, n int, f func(i int) int32) offset {
	b.StartVector(4, n, 4)
	for i := n - 1; i >= 0; i-- {
		b.PrependInt32(f(i))
	}
	return b.EndVector(n)
}

func list(b *flatbuffers.Builder, v ...int32) offset {
	return ints(b, len(v), func(i int) int32 { return v[i] })
}

func times(n int, o offset) []offset {
	v := make([]offset, n)
	for i := range v {
		v[i] = o
	}
	return v
}

func tfFile(name string, codes []int, build func(b *flatbuffers.Builder) (graphs, buffers []offset)) File {
	b := flatbuffers.NewBuilder(1 << 20)
	graphs, buffers := build(b)
	var ops []offset
	for _, c := range codes {
		ops = append(ops, table(b, int8(c), nil, nil, int32(c)))
	}
	gv, bv, cv := tables(b, graphs...), tables(b, append([]offset{table(b)}, buffers...)...), tables(b, ops...)
	b.FinishWithFileIdentifier(table(b, uint32(3), cv, gv, nil, bv), []byte("TFL3"))
	return File{name + ".tflite", b.FinishedBytes()}
}

// TFLite lists TFLite models.
func TFLite() []File {
	type builder = *flatbuffers.Builder
	graph := func(b builder, tensors []offset, in, out offset, ops ...offset) []offset {
		return []offset{table(b, tables(b, tensors...), in, out, tables(b, ops...))}
	}
	files := []File{
		tfFile("one operator many times", []int{tfAdd}, func(b builder) ([]offset, []offset) {
			t := table(b, list(b, 1))
			op := table(b, nil, list(b, 0, 0), list(b, 1))
			return graph(b, []offset{t, t}, list(b, 0), list(b, 1), times(200_000, op)...), nil
		}),
		tfFile("one long name many times", []int{tfPack}, func(b builder) ([]offset, []offset) {
			t := table(b, list(b, 1), nil, nil, b.CreateString(strings.Repeat("n", 500_000)))
			n := 20_000
			op := table(b, nil, ints(b, n, func(i int) int32 { return int32(i) }), list(b, int32(n)))
			return graph(b, times(n+1, t), list(b, 0), list(b, int32(n)), op), nil
		}),
		tfFile("one buffer in many tensors", []int{tfPack}, func(b builder) ([]offset, []offset) {
			data := b.CreateByteVector(make([]byte, 1_000_001)) // aligned for bytes alone
			n := 50_000
			t := table(b, list(b, 1_000_001), int8(9), uint32(1))
			op := table(b, nil, ints(b, n, func(i int) int32 { return int32(i) }), list(b, int32(n)))
			return graph(b, append(times(n, t), table(b)), list(b), list(b, int32(n)), op), []offset{table(b, data)}
		}),
		tfFile("one weight moved many times", []int{tfDepth}, func(b builder) ([]offset, []offset) {
			data := b.CreateByteVector(make([]byte, 1_000_000))
			x, w, y := table(b, list(b, 1, 1, 1, 1_000_000), int8(9)), table(b, list(b, 1, 1, 1, 1_000_000), int8(9), uint32(1)), table(b, list(b, 1, 1, 1, 1_000_000), int8(9))
			opts := table(b, int8(1), int32(1), int32(1), int32(1), nil, int32(1), int32(1))
			var ops []offset
			tensors := []offset{x, w}
			for i := range 20_000 {
				ops = append(ops, table(b, nil, list(b, 0, 1), list(b, int32(i+2)), nil, opts))
				tensors = append(tensors, y)
			}
			return graph(b, tensors, list(b, 0), list(b, 2), ops...), []offset{table(b, data)}
		}),
		tfFile("one list of scales many times", []int{tfPack}, func(b builder) ([]offset, []offset) {
			b.StartVector(4, 250_000, 4)
			for range 250_000 {
				b.PrependFloat32(1)
			}
			q := table(b, nil, nil, b.EndVector(250_000))
			t := table(b, list(b, 250_000), int8(9), nil, nil, q)
			n := 20_000
			op := table(b, nil, ints(b, n, func(i int) int32 { return int32(i) }), list(b, int32(n)))
			return graph(b, times(n+1, t), list(b, 0), list(b, int32(n)), op), nil
		}),
		tfFile("one long shape many times", []int{tfPack}, func(b builder) ([]offset, []offset) {
			t := table(b, ints(b, 250_000, func(int) int32 { return 1 }))
			op := table(b, nil, list(b, 0, 0), list(b, 1))
			return graph(b, []offset{t, t}, list(b, 0), list(b, 1), times(1000, op)...), nil
		}),
		tfFile("large state", []int{tfAdd}, func(b builder) ([]offset, []offset) {
			s := table(b, list(b, 1<<20, 255), nil, nil, nil, nil, true)
			var tensors, ops []offset
			for i := range int32(64) {
				tensors = append(tensors, s)
				ops = append(ops, table(b, nil, list(b, i, i), list(b, 64+i)))
			}
			return graph(b, append(tensors, times(64, table(b, list(b, 1)))...), list(b), list(b, 64), ops...), nil
		}),
		tfFile("huge LSTM", []int{tfLSTM}, func(b builder) ([]offset, []offset) {
			x, w, r := table(b, list(b, 1, 1, 1<<30)), table(b, list(b, 1<<30, 1<<30)), table(b, list(b, 1<<30, 1<<30))
			in := ints(b, 20, func(i int) int32 { return []int32{0, 1, 1, 1, 1, 2, 2, 2, 2, -1, -1, -1, 1, 1, 1, 1, -1, -1, 0, 0}[i] })
			op := table(b, nil, in, list(b, 3), nil, table(b, int8(4)))
			return graph(b, []offset{x, w, r, table(b)}, list(b, 0), list(b, 3), op), nil
		}),
		tfFile("strings beyond the end", []int{tfAdd}, func(b builder) ([]offset, []offset) {
			data := b.CreateByteVector(append([]byte{0xff, 0xff, 0xff, 0x0f}, make([]byte, 1<<20)...))
			t := table(b, list(b, 1<<28-1), int8(tfString), uint32(1))
			op := table(b, nil, list(b, 0, 0), list(b, 1))
			return graph(b, []offset{t, table(b)}, list(b), list(b, 1), op), []offset{table(b, data)}
		}),
	}
	for name, code := range map[string]int{"branches": tfIf, "loops": tfWhile} {
		f := tfFile(name+" that hold each other", []int{code}, func(b builder) (graphs, _ []offset) {
			for i := range int32(15) {
				t := table(b, nil, int8(6))
				opts, in := table(b, i+1, i+1), list(b, 0)
				if code == tfIf {
					in = list(b, 0, 0)
				}
				var ops []offset
				for k := range int32(8) {
					ops = append(ops, table(b, nil, in, list(b, 1+k), nil, opts))
				}
				graphs = append(graphs, graph(b, times(9, t), list(b, 0), list(b, 1), ops...)...)
			}
			t := table(b, nil, int8(6))
			return append(graphs, graph(b, []offset{t}, list(b, 0), list(b, 0))...), nil
		})
		files = append(files, f)
	}
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for i := range 40_000 {
		if _, err := w.Create(fmt.Sprint(i)); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	if err := w.Close(); err != nil {
		panic("BUG: " + err.Error())
	}
	plain := tfFile("archive of many files", nil, func(b builder) ([]offset, []offset) {
		return graph(b, []offset{table(b, list(b, 1))}, list(b, 0), list(b, 0)), nil
	})
	plain.Data = append(plain.Data, z.Bytes()...)
	return append(files, plain)
}

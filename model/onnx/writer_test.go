package onnx

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// A tiny protobuf writer: each function returns a message or one of its fields.

type pb = []byte

func cat(parts ...pb) pb {
	var all pb
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func bytesField(num protowire.Number, b []byte) pb {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func text(num protowire.Number, s string) pb { return bytesField(num, []byte(s)) }

func integerField(num protowire.Number, v int64) pb {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), uint64(v))
}

func floatField(num protowire.Number, f float32) pb {
	return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), math.Float32bits(f))
}

func packed(num protowire.Number, vals ...int64) pb {
	var b pb
	for _, v := range vals {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return bytesField(num, b)
}

func unpacked(num protowire.Number, vals ...int64) pb {
	var b pb
	for _, v := range vals {
		b = append(b, integerField(num, v)...)
	}
	return b
}

// modelOf makes a model of one graph and functions.
func modelOf(opset int64, graph pb, more ...pb) pb {
	return cat(integerField(1, 8), text(2, "writer"), bytesField(8, integerField(2, opset)), bytesField(7, graph), cat(more...))
}

// graphOf joins the fields of a GraphProto.
func graphOf(fields ...pb) pb { return cat(append(fields, text(2, "g"))...) }

// node makes a node field from "name: out1, out2 = Op(in1, in2)"; the name may be left out, an absent value is "_".
func node(line string, attrs ...pb) pb {
	return bytesField(1, nodeMessage(line, attrs...))
}

func nodeMessage(line string, attrs ...pb) pb {
	left, right, _ := strings.Cut(line, " = ")
	name, outs, named := strings.Cut(left, ": ")
	if !named {
		name, outs = "", left
	}
	op, ins, _ := strings.Cut(strings.TrimSuffix(right, ")"), "(")
	domain := ""
	if i := strings.LastIndexByte(op, '.'); i >= 0 {
		domain, op = op[:i], op[i+1:]
	}
	var b pb
	for _, list := range []struct {
		num protowire.Number
		s   string
	}{{1, ins}, {2, outs}} {
		if list.s == "" {
			continue
		}
		for _, s := range strings.Split(list.s, ", ") {
			if s == "_" {
				s = ""
			}
			b = append(b, text(list.num, s)...)
		}
	}
	return cat(b, text(3, name), text(4, op), text(7, domain), cat(attrs...))
}

// attr makes an attribute field of a node. Messages of type pb are graphs.
func attr(name string, v any) pb {
	b := text(1, name)
	switch v := v.(type) {
	case float32:
		b = cat(b, floatField(2, v), integerField(20, attrFloat))
	case int:
		b = cat(b, integerField(3, int64(v)), integerField(20, attrInt))
	case string:
		b = cat(b, text(4, v), integerField(20, attrString))
	case *tensor.Tensor:
		b = cat(b, bytesField(5, tensorMessage("", v)), integerField(20, attrTensor))
	case pb:
		b = cat(b, bytesField(6, v), integerField(20, attrGraph))
	case []float32:
		for _, f := range v {
			b = append(b, floatField(7, f)...)
		}
		b = cat(b, integerField(20, attrFloats))
	case []int64:
		b = cat(b, unpacked(8, v...), integerField(20, attrInts))
	case []string:
		for _, s := range v {
			b = append(b, text(9, s)...)
		}
		b = cat(b, integerField(20, attrStrings))
	default:
		panic("no such attribute")
	}
	return bytesField(5, b)
}

// ref makes an attribute that takes its value from the function's attribute.
func ref(name, from string, typ int64) pb {
	return bytesField(5, cat(text(1, name), text(21, from), integerField(20, typ)))
}

func dimsOf(shape tensor.Shape) pb {
	var b pb
	for _, d := range shape {
		b = append(b, integerField(tensorDims, int64(d))...)
	}
	return b
}

func tensorMessage(name string, t *tensor.Tensor) pb {
	b := cat(dimsOf(t.Shape), integerField(tensorType, ElemNumber(t.DType)), text(tensorName, name))
	if t.DType == tensor.String {
		for _, s := range t.Str {
			b = append(b, text(tensorStrings, s)...)
		}
		return b
	}
	return cat(b, bytesField(tensorRaw, t.Data))
}

// initializer makes a field of a graph.
func initializer(name string, t *tensor.Tensor) pb { return bytesField(5, tensorMessage(name, t)) }

// tensorType_ makes a TypeProto. Dimensions are numbers, names or "?".
func typeMessage(d tensor.DType, dims ...any) pb {
	var shape pb
	for _, dim := range dims {
		var b pb
		switch dim := dim.(type) {
		case int:
			b = integerField(1, int64(dim))
		case string:
			if dim != "?" {
				b = text(2, dim)
			}
		}
		shape = append(shape, bytesField(1, b)...)
	}
	return bytesField(1, cat(integerField(1, ElemNumber(d)), bytesField(2, shape)))
}

func valueField(num protowire.Number, name string, typ pb) pb {
	return bytesField(num, cat(text(1, name), bytesField(2, typ)))
}

func input(name string, d tensor.DType, dims ...any) pb {
	return valueField(11, name, typeMessage(d, dims...))
}

func output(name string, d tensor.DType, dims ...any) pb {
	return valueField(12, name, typeMessage(d, dims...))
}

// untyped makes an output without a type, as exporters of subgraphs write it.
func untyped(name string) pb { return bytesField(12, text(1, name)) }

// function makes a field of a model: a function of the domain "local".
func function(name string, ins, outs, attrs []string, fields ...pb) pb {
	b := cat(text(1, name), text(10, "local"), bytesField(9, integerField(2, 18)))
	for _, s := range ins {
		b = append(b, text(4, s)...)
	}
	for _, s := range outs {
		b = append(b, text(5, s)...)
	}
	for _, s := range attrs {
		b = append(b, text(6, s)...)
	}
	return bytesField(25, cat(b, cat(fields...)))
}

// functionNode is node as a field of a function.
func functionNode(line string, attrs ...pb) pb { return bytesField(7, nodeMessage(line, attrs...)) }

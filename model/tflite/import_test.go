package tflite

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
)

// A small writer of TFLite files, for tests.
type (
	testTensor struct {
		name    string
		shape   []int32
		typ     int8
		data    []byte
		scale   []float32
		zero    []int64
		axis    int32
		isState bool
	}
	testOp struct {
		code    int
		in, out []int32
		options []any // by field: int8, int32, float32, bool, []int64
		custom  string
		data    []byte // custom options
		late    bool   // the options stand in the second table
	}
	testModel struct {
		tensors []testTensor
		ops     []testOp
		in, out []int32
	}
)

func vector32(b *flatbuffers.Builder, v []int32) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependInt32(v[i])
	}
	return b.EndVector(len(v))
}

func offsets(b *flatbuffers.Builder, v []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependUOffsetT(v[i])
	}
	return b.EndVector(len(v))
}

func (m testModel) build() []byte {
	b := flatbuffers.NewBuilder(1024)
	b.StartObject(3)
	buffers := []flatbuffers.UOffsetT{b.EndObject()}
	var tensors, ops, codes []flatbuffers.UOffsetT
	for _, t := range m.tensors {
		buffer := uint32(0)
		if t.data != nil {
			d := b.CreateByteVector(t.data)
			b.StartObject(3)
			b.PrependUOffsetTSlot(0, d, 0)
			buffer = uint32(len(buffers))
			buffers = append(buffers, b.EndObject())
		}
		var q flatbuffers.UOffsetT
		if t.scale != nil {
			b.StartVector(4, len(t.scale), 4)
			for i := len(t.scale) - 1; i >= 0; i-- {
				b.PrependFloat32(t.scale[i])
			}
			scale := b.EndVector(len(t.scale))
			b.StartVector(8, len(t.zero), 8)
			for i := len(t.zero) - 1; i >= 0; i-- {
				b.PrependInt64(t.zero[i])
			}
			zero := b.EndVector(len(t.zero))
			b.StartObject(7)
			b.PrependUOffsetTSlot(2, scale, 0)
			b.PrependUOffsetTSlot(3, zero, 0)
			b.PrependInt32Slot(6, t.axis, 0)
			q = b.EndObject()
		}
		name, shape := b.CreateString(t.name), vector32(b, t.shape)
		b.StartObject(10)
		b.PrependUOffsetTSlot(0, shape, 0)
		b.PrependInt8Slot(1, t.typ, 0)
		b.PrependUint32Slot(2, buffer, 0)
		b.PrependUOffsetTSlot(3, name, 0)
		b.PrependUOffsetTSlot(4, q, 0)
		b.PrependBoolSlot(5, t.isState, false)
		tensors = append(tensors, b.EndObject())
	}
	for i, o := range m.ops {
		custom := b.CreateString(o.custom)
		data := b.CreateByteVector(o.data)
		b.StartObject(4)
		b.PrependInt8Slot(0, int8(min(o.code, 127)), 0)
		b.PrependUOffsetTSlot(1, custom, 0)
		b.PrependInt32Slot(3, int32(o.code), 0)
		codes = append(codes, b.EndObject())
		lists := make([]flatbuffers.UOffsetT, len(o.options))
		for k, v := range o.options {
			if v, ok := v.([]int64); ok {
				b.StartVector(8, len(v), 8)
				for i := len(v) - 1; i >= 0; i-- {
					b.PrependInt64(v[i])
				}
				lists[k] = b.EndVector(len(v))
			}
		}
		b.StartObject(len(o.options))
		for k, v := range o.options {
			switch v := v.(type) {
			case []int64:
				b.PrependUOffsetTSlot(k, lists[k], 0)
			case int8:
				b.PrependInt8Slot(k, v, -128)
			case int32:
				b.PrependInt32Slot(k, v, math.MinInt32)
			case float32:
				b.PrependFloat32Slot(k, v, -12345)
			case bool:
				b.PrependBoolSlot(k, v, !v)
			}
		}
		options := b.EndObject()
		in, out := vector32(b, o.in), vector32(b, o.out)
		b.StartObject(13)
		b.PrependUint32Slot(0, uint32(i), 0)
		b.PrependUOffsetTSlot(1, in, 0)
		b.PrependUOffsetTSlot(2, out, 0)
		if o.late {
			b.PrependUOffsetTSlot(12, options, 0)
		} else {
			b.PrependUOffsetTSlot(4, options, 0)
		}
		b.PrependUOffsetTSlot(5, data, 0)
		ops = append(ops, b.EndObject())
	}
	name := b.CreateString("main")
	tv, iv, ov, opv := offsets(b, tensors), vector32(b, m.in), vector32(b, m.out), offsets(b, ops)
	b.StartObject(5)
	b.PrependUOffsetTSlot(0, tv, 0)
	b.PrependUOffsetTSlot(1, iv, 0)
	b.PrependUOffsetTSlot(2, ov, 0)
	b.PrependUOffsetTSlot(3, opv, 0)
	b.PrependUOffsetTSlot(4, name, 0)
	graphs := offsets(b, []flatbuffers.UOffsetT{b.EndObject()})
	cv, bv := offsets(b, codes), offsets(b, buffers)
	b.StartObject(8)
	b.PrependUint32Slot(0, 3, 0)
	b.PrependUOffsetTSlot(1, cv, 0)
	b.PrependUOffsetTSlot(2, graphs, 0)
	b.PrependUOffsetTSlot(4, bv, 0)
	b.FinishWithFileIdentifier(b.EndObject(), []byte("TFL3"))
	return b.FinishedBytes()
}

func floatBytes(v ...float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func intBytes(v ...int32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(f))
	}
	return b
}

// depthwiseNet is a quantised depthwise convolution with a fused ReLU6, then a reshape.
func depthwiseNet() testModel {
	w := make([]byte, 9*2)
	for i := range w {
		w[i] = byte(i)
	}
	return testModel{
		tensors: []testTensor{
			{name: "x", shape: []int32{1, 4, 4, 2}, typ: 9, scale: []float32{.5}, zero: []int64{3}},
			{name: "w", shape: []int32{1, 3, 3, 2}, typ: 9, data: w, scale: []float32{.1, .2}, zero: []int64{0, 0}, axis: 3},
			{name: "b", shape: []int32{2}, typ: 2, data: intBytes(5, -5), scale: []float32{.05, .1}, zero: []int64{0, 0}},
			{name: "y", shape: []int32{1, 2, 2, 2}, typ: 9, scale: []float32{.25}, zero: []int64{-128}},
			{name: "shape", shape: []int32{2}, typ: 2, data: intBytes(1, -1)},
			{name: "z", shape: []int32{1, 8}, typ: 9, scale: []float32{.25}, zero: []int64{-128}},
		},
		ops: []testOp{
			{code: 4, in: []int32{0, 1, 2}, out: []int32{3}, options: []any{int8(1), int32(1), int32(1), int32(1), int8(3), int32(1), int32(1)}},
			{code: 22, in: []int32{3, 4}, out: []int32{5}},
		},
		in: []int32{0}, out: []int32{5},
	}
}

func TestDepthwise(t *testing.T) {
	g, err := Import(depthwiseNet().build(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Verify(g); err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, n := range g.Nodes {
		ops = append(ops, n.Op)
	}
	if got := strings.Join(ops, " "); got != "Conv Clip Reshape" {
		t.Fatalf("operators %s", got)
	}
	conv := g.Nodes[0]
	w := conv.In[1]
	if !w.Shape.Equal(model.Shape{2, 3, 3, 1}) || w.Quant.Axis != 0 || conv.Attrs.Int("group", 0) != 2 || conv.Attrs.Str("layout", "") != "NHWC" {
		t.Errorf("weights %v along %d, %v", w.Shape, w.Quant.Axis, conv.Attrs)
	}
	// Weight [h,w,c] = h*6+w*2+c becomes [c,h,w].
	if got := tensor.Of[int8](w.Const); got[1] != 2 || got[9] != 1 || got[17] != 17 {
		t.Errorf("weights %v", got)
	}
	if !conv.Out[0].Quant.Equal(g.Nodes[1].Out[0].Quant) || conv.Out[0].DType != tensor.I8 {
		t.Error("the linear result has another quantisation than the activation's")
	}
}

func TestStates(t *testing.T) {
	m := testModel{tensors: []testTensor{{name: "x", shape: []int32{2}}, {name: "s", shape: []int32{2}, isState: true}, {name: "y", shape: []int32{2}}},
		ops: []testOp{{code: 0, in: []int32{0, 1}, out: []int32{2}, options: []any{int8(0)}}}, in: []int32{0}, out: []int32{2}}
	g, err := Import(m.build(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := g.Nodes[0].In[1]; s.Const == nil || tensor.Of[float32](s.Const)[0] != 0 {
		t.Error("a state does not begin at zero")
	}
	if g, err = Import(m.build(), Options{ExposeStates: true}); err != nil || len(g.Inputs) != 2 {
		t.Errorf("states are not exposed: %v", err)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	m := depthwiseNet()
	m.ops[0].code = 4242
	for name, c := range map[string]struct {
		data []byte
		want string
		is   error
	}{
		"unknown operator": {m.build(), "operator 0 (builtin 4242)", ErrUnsupported},
		"empty":            {nil, "offset", ErrFormat},
		"no model":         {[]byte("this is not a model at all"), "TFL3", ErrFormat},
		"truncated":        {depthwiseNet().build()[:200], "offset", ErrFormat},
	} {
		_, err := Import(c.data, Options{})
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every prefix and every changed byte is read or refused, never worse.
func TestDamagedFiles(t *testing.T) {
	b := depthwiseNet().build()
	for n := range b {
		Import(b[:n], Options{}) //nolint:errcheck
	}
	for i := range b {
		for _, v := range []byte{0, 1, 0x7f, 0xff, b[i] ^ 0x80} {
			c := append([]byte{}, b...)
			c[i] = v
			if g, err := Import(c, Options{}); err == nil {
				model.Verify(g) //nolint:errcheck
			}
		}
	}
}

func TestSharedModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata.Dir(t), "models", "*.tflite"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, f := range files {
		g, err := Open(f, Options{})
		if err == nil {
			err = model.Verify(g)
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(depthwiseNet().build())
	f.Add(testModel{tensors: []testTensor{{name: "x", shape: []int32{1, 2}}, {name: "w", shape: []int32{3, 2}, data: floatBytes(1, 2, 3, 4, 5, 6)}, {name: "y", shape: []int32{1, 3}}},
		ops: []testOp{{code: 9, in: []int32{0, 1, -1}, out: []int32{2}, options: []any{int8(1)}}}, in: []int32{0}, out: []int32{2}}.build())
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := Import(data, Options{})
		if err != nil {
			return
		}
		if err := model.Verify(g); err != nil && !errors.Is(err, model.ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func TestOpenMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing.tflite"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

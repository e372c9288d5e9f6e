package opt_test

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
	"github.com/edgerun/edgerun/runtime/ops"
)

// tables are the operators that are not defined on the reals, but by their integers.
var tables = map[string]bool{"tflite.Exp": true, "tflite.Log": true, "tflite.Rsqrt": true, "tflite.Tanh": true, "tflite.Softmax": true}

// Every recorded case of an operator on float32 runs on quantised values too, of 8 and 16 bits and with other parameters at each, whether
// the operator has an integer form or not, and comes near the operator's result on what these stand for.
func TestEveryOperatorOnQuantisedValues(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range floatCalls(t) {
		o, ok := ops.Lookup(c.Op)
		if !ok || o.Traits&(op.Impure|op.PlainIntegers|op.Sequences) != 0 || c.Op == "Quantize" || c.Op == "Dequantize" || tables[c.Op] || seen[c.Op] && testing.Short() {
			continue
		}
		for _, d := range []tensor.DType{tensor.I8, tensor.U8, tensor.I16} {
			g, reals, in := quantisedCase(c, d)
			if g == nil {
				continue
			}
			want, err := baseline(reals, in)
			if err != nil {
				continue // it depends on more than its floats
			}
			after, err := optimise(g)
			if err != nil {
				t.Errorf("%s (%s) on %v: %v", c.Name, c.Op, d, err)
				continue
			}
			got, err := evaluate(after, in)
			if err != nil {
				t.Errorf("%s (%s) on %v: %v", c.Name, c.Op, d, err)
				continue
			}
			seen[c.Op] = true
			if off := steps(got, want); off > 1 {
				t.Errorf("%s (%s) on %v is %d steps off", c.Name, c.Op, d, off)
			}
			for i, v := range g.Inputs { // and where they are constant
				v.Const = in[i]
			}
			g.Inputs = nil
			after, err = optimise(g)
			if err == nil {
				got, err = evaluate(after, nil)
			}
			if err != nil {
				t.Errorf("%s (%s) on constants of %v: %v", c.Name, c.Op, d, err)
			} else if off := steps(got, want); off > 1 {
				t.Errorf("%s (%s) on constants of %v is %d steps off", c.Name, c.Op, d, off)
			}
		}
	}
	if len(seen) < 165 {
		t.Errorf("only %d operators run", len(seen))
	}
}

// floatCalls are the recorded cases, and calls of operators that have none: those of TFLite that ONNX does not know.
func floatCalls(t *testing.T) []*op.Call {
	files, err := filepath.Glob("../op/*/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var calls []*op.Call
	for _, file := range files {
		list, err := optest.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			c, err := x.Call()
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range x.Out {
				if c.Out[i], err = v.Tensor(); err != nil {
					t.Fatal(err)
				}
			}
			calls = append(calls, c)
		}
	}
	a, b := tensor.From([]float32{.5, 3, -1.75, 2.25, -.25, 1.5}, 2, 3), tensor.From([]float32{1.25, -.5, 2}, 3)
	axes := tensor.From([]int64{1}, 1)
	for name, in := range map[string][]*tensor.Tensor{
		"SquaredDifference": {a, b}, "FloorDiv": {a, b}, "Atan2": {a, b}, "Div": {a, b}, "PRelu": {a, b}, "Max": {a, b}, "Min": {a, b},
		"Less": {a, b}, "LessOrEqual": {a, b}, "Greater": {a, b}, "GreaterOrEqual": {a, b}, "Equal": {a, b}, "ArgMax": {a}, "ArgMin": {a},
		"Square": {a}, "ZerosLike": {a}, "L2Normalization": {a}, "Sign": {a}, "Reverse": {a, axes}, "ReduceMax": {a, axes}, "ReduceMin": {a, axes},
		"ReduceSum": {a, axes}, "ReduceProd": {a, axes}, "CumSum": {a, tensor.Scalar(int64(1))}, "Rsqrt": {tensor.From([]float32{.5, 2, 4}, 3)}, "Sum": {a, b, a},
	} {
		o, ok := ops.Lookup(name)
		if !ok {
			t.Fatalf("no operator %s", name)
		}
		c := &op.Call{Name: "made", Op: name, Attrs: attr.Attrs{}, In: in, Out: []*tensor.Tensor{{}}}
		if err := op.Eval(o, c, 0); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	return calls
}

// quantisedCase makes a graph of the case's node with its float32 inputs and outputs quantised, the same with Dequantize and Quantize
// around the node, and inputs for both; nil where the case has no such values.
func quantisedCase(c *op.Call, d tensor.DType) (g, reals *model.Graph, in []*tensor.Tensor) {
	g, reals = &model.Graph{Name: "main"}, &model.Graph{Name: "main"}
	a, b := &model.Node{Name: "node", Op: c.Op, Attrs: c.Attrs}, &model.Node{Name: "node", Op: c.Op, Attrs: c.Attrs.Clone()}
	quantised := false
	for i, v := range c.In {
		switch {
		case v == nil:
			a.In, b.In = append(a.In, nil), append(b.In, nil)
			continue
		case v.Quant != nil || v.DType == tensor.Sequence || v.DType == tensor.String:
			return nil, nil, nil
		case v.DType != tensor.F32 || v.Len() == 0 || len(v.Shape) == 0:
			w := model.NewConst("const"+string(rune('a'+i)), v)
			a.In, b.In = append(a.In, w), append(b.In, w)
			continue
		}
		q := paramsFor(tensor.Of[float32](v), d)
		if q == nil {
			return nil, nil, nil
		}
		quantised = true
		name := "x" + string(rune('a'+i))
		value := &model.Value{Name: name, DType: d, Shape: v.Shape.Clone(), Quant: q}
		other := *value
		real := &model.Value{Name: name + "_real", DType: tensor.F32}
		reals.Nodes = append(reals.Nodes, &model.Node{Name: name + "_d", Op: "Dequantize", In: []*model.Value{&other}, Out: []*model.Value{real}, Attrs: attr.Attrs{}})
		a.In, b.In = append(a.In, value), append(b.In, real)
		g.Inputs, reals.Inputs = append(g.Inputs, value), append(reals.Inputs, &other)
		in = append(in, quantisedData(v, q, d))
	}
	if !quantised {
		return nil, nil, nil
	}
	reals.Nodes, g.Nodes = append(reals.Nodes, b), append(g.Nodes, a)
	for i, w := range c.Out {
		if w == nil {
			a.Out, b.Out = append(a.Out, nil), append(b.Out, nil)
			continue
		}
		name := "y" + string(rune('a'+i))
		if w.DType != tensor.F32 {
			p, r := &model.Value{Name: name, DType: w.DType}, &model.Value{Name: name, DType: w.DType}
			a.Out, b.Out = append(a.Out, p), append(b.Out, r)
			g.Outputs, reals.Outputs = append(g.Outputs, p), append(reals.Outputs, r)
			continue
		}
		q := paramsFor(tensor.Of[float32](w), d)
		if q == nil {
			return nil, nil, nil
		}
		p, real := &model.Value{Name: name, DType: d, Quant: q}, &model.Value{Name: name + "_real", DType: tensor.F32}
		r := *p
		a.Out, b.Out = append(a.Out, p), append(b.Out, real)
		reals.Nodes = append(reals.Nodes, &model.Node{Name: name + "_q", Op: "Quantize", In: []*model.Value{real}, Out: []*model.Value{&r}, Attrs: attr.Attrs{}})
		g.Outputs, reals.Outputs = append(g.Outputs, p), append(reals.Outputs, &r)
	}
	if len(g.Outputs) == 0 {
		return nil, nil, nil
	}
	return g, reals, in
}

// paramsFor covers v, with a zero point that is not 0 for 8 bits; nil where v is not finite.
func paramsFor(v []float32, d tensor.DType) *model.QParams {
	lo, hi := float32(0), float32(.5)
	for _, x := range v {
		if x-x != 0 || x > 1e6 || x < -1e6 {
			return nil
		}
		lo, hi = min(lo, x), max(hi, x)
	}
	least, most := d.IntRange()
	if d.Bits() == 16 {
		return &model.QParams{Scale: []float32{max(hi, -lo) / float32(most)}}
	}
	scale := (hi - lo) / 255
	return &model.QParams{Scale: []float32{scale}, Zero: []int32{int32(least) + int32(math.Round(float64(-lo/scale)))}}
}

func quantisedData(v *tensor.Tensor, q *model.QParams, d tensor.DType) *tensor.Tensor {
	t := tensor.New(d, v.Shape)
	t.Quant = q
	lo, hi := d.IntRange()
	for i, x := range tensor.Of[float32](v) {
		n := int64(math.Round(float64(x/q.Scale[0]))) + int64(q.ZeroAt(0))
		n = min(max(n, lo), hi)
		if d.Bits() == 16 {
			tensor.Of[int16](t)[i] = int16(n)
		} else {
			t.Data[i] = byte(n)
		}
	}
	return t
}

// steps is the largest difference of elements, a large number where types or shapes differ.
func steps(got, want []*tensor.Tensor) int64 {
	var worst int64
	for i, w := range want {
		if got[i].DType != w.DType || !slices.Equal(got[i].Shape, w.Shape) {
			return math.MaxInt64
		}
		if w.DType.Bits() > 16 || w.DType.Bits() < 8 || !w.DType.IsInt() {
			if !optest.Same(got[i], w) {
				return math.MaxInt64
			}
			continue
		}
		a, err := got[i].Ints()
		b, err2 := w.Ints()
		if err != nil || err2 != nil {
			return math.MaxInt64
		}
		for k := range b {
			worst = max(worst, a[k]-b[k], b[k]-a[k])
		}
	}
	return worst
}

// Package optest checks operators against cases that were written with their expected outputs, and against what every
// operator promises: shape rules that agree with the result however little they know, inputs left alone, the same bytes
// on any number of threads and no allocation in Run.
//
// Only tests of the operators' packages import it. cases.py, beside it, writes the cases.
package optest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// A float y meets the expected r when |y - r| <= AbsTol + RelTol*|r|.
const (
	RelTol = 1e-3
	AbsTol = 1e-4
)

// Case is one node with its inputs and the outputs that it has to give. Absent values are nil.
type Case struct {
	Name, Op string
	Attrs    map[string][2]json.RawMessage // kind and value
	In, Out  []*Value
}

// Value is a tensor as cases.py writes it.
type Value struct {
	DType string
	Shape []int
	Data  []byte
	Str   []string
	Elems []*Value
}

// Tensor makes the tensor that v describes.
func (v *Value) Tensor() (*tensor.Tensor, error) {
	if v == nil {
		return nil, nil
	}
	d, err := tensor.ParseDType(v.DType)
	if err != nil {
		return nil, err
	}
	if d == tensor.Sequence {
		t := &tensor.Tensor{DType: d, Elems: []*tensor.Tensor{}}
		for _, e := range v.Elems {
			x, err := e.Tensor()
			if err != nil {
				return nil, err
			}
			t.Elems = append(t.Elems, x)
		}
		return t, nil
	}
	t := tensor.New(d, v.Shape)
	if len(t.Data) != len(v.Data) || len(t.Str) != len(v.Str) {
		return nil, fmt.Errorf("%d bytes and %d strings for %v", len(v.Data), len(v.Str), t)
	}
	copy(t.Data, v.Data)
	copy(t.Str, v.Str)
	return t, nil
}

// Read reads a file of cases.
func Read(path string) ([]*Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []*Case
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<28)
	for s.Scan() {
		c := &Case{}
		if err := json.Unmarshal(s.Bytes(), c); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 && s.Err() == nil {
		return nil, fmt.Errorf("%s: no cases", path)
	}
	return list, s.Err()
}

// Call makes a call with fresh inputs and open outputs.
func (x *Case) Call() (*op.Call, error) {
	c := &op.Call{Name: x.Name, Op: x.Op, Attrs: attr.Attrs{}, Par: op.Serial{}}
	for name, kv := range x.Attrs {
		v, err := attribute(kv)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		c.Attrs[name] = v
	}
	for _, in := range x.In {
		t, err := in.Tensor()
		if err != nil {
			return nil, err
		}
		c.In = append(c.In, t)
	}
	for _, out := range x.Out {
		if out == nil {
			c.Out = append(c.Out, nil)
		} else {
			c.Out = append(c.Out, &tensor.Tensor{})
		}
	}
	return c, nil
}

func attribute(kv [2]json.RawMessage) (any, error) {
	var kind string
	if err := json.Unmarshal(kv[0], &kind); err != nil {
		return nil, err
	}
	switch kind {
	case "int":
		return decode[int64](kv[1])
	case "float":
		v, err := decode[real](kv[1])
		return float32(v), err
	case "ints":
		return decode[[]int64](kv[1])
	case "floats":
		v, err := decode[[]real](kv[1])
		f := make([]float32, len(v))
		for i := range v {
			f[i] = float32(v[i])
		}
		return f, err
	case "string":
		return decode[string](kv[1])
	case "strings":
		return decode[[]string](kv[1])
	case "tensor":
		v, err := decode[Value](kv[1])
		if err != nil {
			return nil, err
		}
		return v.Tensor()
	}
	return nil, fmt.Errorf("kind %q unknown", kind)
}

// real is written as text, as JSON has no NaN.
type real float32

func (r *real) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 32)
	*r = real(v)
	return err
}

func decode[T any](b []byte) (T, error) {
	var v T
	return v, json.Unmarshal(b, &v)
}

// Run checks all cases of a file.
func Run(t *testing.T, ops map[string]op.Op, path string) {
	list, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		t.Run(x.Name, func(t *testing.T) {
			if err := Check(ops, x); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check runs one case and reports the first promise that does not hold.
func Check(ops map[string]op.Op, x *Case) error {
	o, ok := ops[x.Op]
	if !ok {
		return fmt.Errorf("%s: unsupported operator", x.Op)
	}
	got, err := run(o, x, op.Serial{})
	if err != nil {
		return err
	}
	for i, w := range x.Out {
		want, err := w.Tensor()
		if err != nil {
			return err
		}
		if err := Compare(got[i], want); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	if err := shapeRules(o, x, got); err != nil {
		return err
	}
	again, err := run(o, x, split{})
	if err != nil {
		return err
	}
	for i := range got {
		if !same(got[i], again[i]) {
			return fmt.Errorf("output %d depends on the number of threads", i)
		}
	}
	return noAllocations(o, x)
}

func run(o op.Op, x *Case, par op.Par) ([]*tensor.Tensor, error) {
	c, err := x.Call()
	if err != nil {
		return nil, err
	}
	c.Par = par
	if err := op.Eval(o, c, 0); err != nil {
		return nil, err
	}
	fresh, err := x.Call()
	if err != nil {
		return nil, err
	}
	for i := range c.In {
		if !same(c.In[i], fresh.In[i]) {
			return nil, fmt.Errorf("input %d was modified", i)
		}
	}
	return c.Out, nil
}

// shapeRules gives the rule less and less: no data, ranks alone, nothing. What it then says must agree with the result.
func shapeRules(o op.Op, x *Case, got []*tensor.Tensor) error {
	for _, know := range []string{"shapes", "ranks", "types"} {
		c, err := x.Call()
		if err != nil {
			return err
		}
		for i, t := range c.In {
			if t == nil {
				continue
			}
			h := &tensor.Tensor{DType: t.DType, Shape: t.Shape}
			if know == "ranks" {
				for d := range h.Shape {
					h.Shape[d] = -1
				}
			}
			if know == "types" {
				h.Shape = nil
			}
			c.In[i] = h
		}
		for i, t := range c.Out {
			if t != nil {
				t.DType = got[i].DType
			}
		}
		if err := o.Infer(c); err != nil {
			return fmt.Errorf("shape rule, given %s: %w", know, err)
		}
		for i, t := range c.Out {
			if t == nil {
				continue
			}
			agree := t.DType == got[i].DType && (t.Shape == nil || t.DType == tensor.Sequence || len(t.Shape) == len(got[i].Shape))
			for d := range t.Shape {
				agree = agree && (t.Shape[d] == -1 || t.Shape[d] == got[i].Shape[d])
			}
			if !agree {
				return fmt.Errorf("shape rule, given %s: output %d is %v, was %v in fact", know, i, t, got[i])
			}
		}
	}
	return nil
}

// noAllocations runs operators whose shapes are known again and again. Strings and sequences are on the heap.
func noAllocations(o op.Op, x *Case) error {
	c, err := x.Call()
	if err != nil {
		return err
	}
	if err := o.Infer(c); err != nil {
		return err
	}
	for _, t := range append(slices.Clone(c.In), c.Out...) {
		if t != nil && (t.DType == tensor.String || t.DType == tensor.Sequence) {
			return nil
		}
	}
	for _, t := range c.Out {
		if t == nil {
			continue
		}
		if !t.Shape.Known() {
			return nil
		}
		*t = *tensor.New(t.DType, t.Shape)
	}
	work, err := o.Prepare(c)
	if err != nil {
		return err
	}
	if n := testing.AllocsPerRun(3, func() { err = work() }); n > 0 {
		return fmt.Errorf("%g allocations in Run", n)
	}
	return err
}

// split is a Par of four threads that gives away the smallest ranges it may, the last first.
type split struct{}

func (split) For(n, grain int, body func(lo, hi int)) {
	var wait sync.WaitGroup
	limit := make(chan struct{}, 4)
	for lo := (n - 1) / grain * grain; n > 0 && lo >= 0; lo -= grain {
		wait.Add(1)
		limit <- struct{}{}
		go func() {
			defer wait.Done()
			body(lo, min(lo+grain, n))
			<-limit
		}()
	}
	wait.Wait()
}

func (split) Threads() int { return 4 }

func same(a, b *tensor.Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.DType == b.DType && a.Shape.Equal(b.Shape) && bytes.Equal(a.Data, b.Data) && slices.Equal(a.Str, b.Str) && slices.EqualFunc(a.Elems, b.Elems, same)
}

// Compare checks an output: f64, f32, f16 and bf16 are as near as RelTol and AbsTol say, all else is equal.
func Compare(got, want *tensor.Tensor) error {
	if got == nil || want == nil {
		if got == want {
			return nil
		}
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if got.DType != want.DType || want.DType != tensor.Sequence && !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if len(got.Elems) != len(want.Elems) {
		return fmt.Errorf("got %d elements, want %d", len(got.Elems), len(want.Elems))
	}
	for i := range want.Elems {
		if err := Compare(got.Elems[i], want.Elems[i]); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	y, r := Floats(got), Floats(want)
	if r == nil {
		if !bytes.Equal(got.Data, want.Data) || !slices.Equal(got.Str, want.Str) {
			return fmt.Errorf("got %v, want %v", show(got), show(want))
		}
		return nil
	}
	for i := range r {
		if y[i] == r[i] || y[i] != y[i] && r[i] != r[i] {
			continue
		}
		if !(math.Abs(y[i]-r[i]) <= AbsTol+RelTol*math.Abs(r[i])) || math.IsInf(r[i], 0) {
			return fmt.Errorf("%v: element %d is %g, want %g", got, i, y[i], r[i])
		}
	}
	return nil
}

// Floats widens floats of 16 bits or more; nil for other types.
func Floats(t *tensor.Tensor) []float64 {
	var f []float64
	switch t.DType {
	case tensor.F64:
		f = tensor.Of[float64](t)
	case tensor.F32:
		for _, v := range tensor.Of[float32](t) {
			f = append(f, float64(v))
		}
	case tensor.F16:
		for _, v := range tensor.Of[uint16](t) {
			f = append(f, float64(half.FromF16(v)))
		}
	case tensor.BF16:
		for _, v := range tensor.Of[uint16](t) {
			f = append(f, float64(half.FromBF16(v)))
		}
	}
	return f
}

func show(t *tensor.Tensor) string {
	var s string
	if v, err := t.Ints(); err == nil {
		s = fmt.Sprint(v)
	} else if t.DType == tensor.String {
		s = fmt.Sprintf("%q", t.Str)
	} else {
		s = fmt.Sprintf("%x", t.Data)
	}
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return t.String() + " " + s
}

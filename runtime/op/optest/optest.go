// Package optest checks operators against cases that were written with their expected outputs, and against what every
// operator promises: shape rules that agree with the result however little they know, inputs left alone, the same bytes
// on any number of threads and whether the data come before Prepare or after it, and no allocation in Run.
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
	"runtime/debug"
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

// Value is a tensor as cases.py writes it. One with a Scale has quantisation parameters; as an output it may be off by Steps.
type Value struct {
	DType string
	Shape []int
	Data  []byte
	Str   []string
	Elems []*Value
	Scale []float32
	Zero  []int32
	Steps float64
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
	if v.Scale != nil {
		t.Quant = &tensor.QParams{Scale: v.Scale, Zero: v.Zero}
	}
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
		switch {
		case out == nil:
			c.Out = append(c.Out, nil)
		case out.Scale != nil:
			t, err := out.Tensor()
			if err != nil {
				return nil, err
			}
			c.Out = append(c.Out, &tensor.Tensor{DType: t.DType, Quant: t.Quant})
		default:
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

// real may be written as text, as JSON has no NaN.
type real float32

// UnmarshalJSON reads a number, or one in quotes.
func (r *real) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(bytes.Trim(b, `"`)), 32)
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
		steps := 0.0
		if w != nil {
			steps = w.Steps
		}
		if err := within(got[i], want, steps); err != nil {
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
		if !Same(got[i], again[i]) {
			return fmt.Errorf("output %d depends on the number of threads", i)
		}
	}
	for _, par := range []op.Par{op.Serial{}, split{}} {
		if err := dataLater(o, x, got, par); err != nil {
			return fmt.Errorf("data after Prepare, %d threads: %w", par.Threads(), err)
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
		if !Same(c.In[i], fresh.In[i]) {
			return nil, fmt.Errorf("input %d was modified", i)
		}
	}
	return c.Out, nil
}

// shapeRules gives the rule less and less: no data, an input of unknown rank, ranks alone, nothing. What it then says must agree with
// the result.
func shapeRules(o op.Op, x *Case, got []*tensor.Tensor) error {
	rule := func(know string, see func(i int, s tensor.Shape) tensor.Shape) error {
		c, err := x.Call()
		if err != nil {
			return err
		}
		for i, t := range c.In {
			if t != nil {
				c.In[i] = &tensor.Tensor{DType: t.DType, Quant: t.Quant, Shape: see(i, t.Shape)}
			}
		}
		for i, t := range c.Out {
			if t != nil {
				t.DType = got[i].DType
			}
		}
		if err := op.InferOf(o, c); err != nil {
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
		return nil
	}
	if err := rule("shapes", func(_ int, s tensor.Shape) tensor.Shape { return s }); err != nil {
		return err
	}
	for k := range x.In {
		err := rule(fmt.Sprintf("all shapes but input %d's", k), func(i int, s tensor.Shape) tensor.Shape {
			if i == k {
				return nil
			}
			return s
		})
		if err != nil {
			return err
		}
	}
	err := rule("ranks", func(_ int, s tensor.Shape) tensor.Shape {
		s = s.Clone()
		for i := range s {
			s[i] = -1
		}
		return s
	})
	if err != nil {
		return err
	}
	return rule("types", func(int, tensor.Shape) tensor.Shape { return nil })
}

// Prepare applies the rule and prepares; outputs, whose shapes must be known by then, get their buffers. On success without a run
// some shape depends on the data.
func Prepare(o op.Op, c *op.Call) (op.Run, error) {
	if c.Par == nil {
		c.Par = op.Serial{}
	}
	if err := op.InferOf(o, c); err != nil {
		return nil, err
	}
	for i, t := range c.Out {
		if t == nil {
			continue
		}
		if !t.Shape.Known() || t.DType == tensor.Sequence {
			return nil, nil
		}
		if !t.DType.Valid() {
			return nil, fmt.Errorf("output %d is left as %v", i, t)
		}
	}
	work, err := op.PrepareOf(o, c)
	if err != nil {
		return nil, err
	}
	for _, t := range c.Out {
		if t != nil {
			b := tensor.New(t.DType, t.Shape)
			t.Data, t.Str = b.Data, b.Str
			for i := range t.Data {
				t.Data[i] = 0x55 // what an arena may hold
			}
		}
	}
	return work, nil
}

// Later is op.Eval with inputs whose data come after Prepare, and twice, as in a session. It reports whether the shapes of the
// outputs were known without the data, so that there was anything to run.
func Later(o op.Op, c *op.Call) (bool, error) {
	full := slices.Clone(c.In)
	for i, t := range c.In {
		if t != nil {
			c.In[i] = &tensor.Tensor{DType: t.DType, Shape: t.Shape, Quant: t.Quant}
		}
	}
	work, err := Prepare(o, c)
	if work == nil || err != nil {
		return false, err
	}
	for i, t := range full {
		if t != nil {
			c.In[i].Data, c.In[i].Str, c.In[i].Elems = t.Data, t.Str, t.Elems
		}
	}
	for range 2 {
		if err := work(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// dataLater checks that the data may come after Prepare. Operators that need a constant say so.
func dataLater(o op.Op, x *Case, want []*tensor.Tensor, par op.Par) error {
	c, err := x.Call()
	if err != nil {
		return err
	}
	c.Par = par
	for i, t := range c.Out {
		if t != nil {
			t.DType = want[i].DType
		}
	}
	ran, err := Later(o, c)
	if err != nil && strings.Contains(err.Error(), "constant") {
		return nil
	}
	if err != nil || !ran {
		return err
	}
	for i := range want {
		if !Same(c.Out[i], want[i]) {
			return fmt.Errorf("output %d differs from that with constant inputs", i)
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
	work, err := Prepare(o, c)
	if work == nil || err != nil {
		return err
	}
	for _, t := range append(slices.Clone(c.In), c.Out...) {
		if t != nil && (t.DType == tensor.String || t.DType == tensor.Sequence) {
			return nil
		}
	}
	// The garbage collector's own allocations do not count.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
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

// Same reports whether the tensors have the same elements, bit by bit. Bits behind the last packed element are nobody's.
func Same(a, b *tensor.Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.DType == b.DType && a.Shape.Equal(b.Shape) && bytes.Equal(elements(a), elements(b)) && slices.Equal(a.Str, b.Str) && slices.EqualFunc(a.Elems, b.Elems, Same)
}

// elements is t.Data without the bits behind the last packed element.
func elements(t *tensor.Tensor) []byte {
	bits := t.DType.Bits()
	if bits == 0 || bits >= 8 || bits*t.Len()%8 == 0 {
		return t.Data
	}
	b := bytes.Clone(t.Data)
	b[len(b)-1] &= 1<<(bits*t.Len()%8) - 1
	return b
}

// small are the floats of at most 8 bits. Of these all NaNs are the same, and so are the zeros.
var small = map[tensor.DType]*half.Small{tensor.F8E4M3FN: half.E4M3FN, tensor.F8E4M3FNUZ: half.E4M3FNUZ, tensor.F8E5M2: half.E5M2,
	tensor.F8E5M2FNUZ: half.E5M2FNUZ, tensor.F8E8M0: half.E8M0, tensor.F4E2M1: half.E2M1}

// Compare checks an output: f64, f32, f16 and bf16 are as near as RelTol and AbsTol say, all else is equal.
func Compare(got, want *tensor.Tensor) error { return within(got, want, 0) }

// within is Compare for integers that may be off by some steps.
func within(got, want *tensor.Tensor, steps float64) error {
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
	if steps > 0 {
		a, err := got.Ints()
		if err != nil {
			return err
		}
		b, err := want.Ints()
		for i := range b {
			if d := a[i] - b[i]; math.Abs(float64(d)) > steps {
				return fmt.Errorf("%v: element %d is %d, want %d within %g", got, i, a[i], b[i], steps)
			}
		}
		return err
	}
	if f := small[got.DType]; f != nil {
		for i := range got.Len() {
			a, b := f.Widen(half.Bits(got.Data, got.DType.Bits(), i)), f.Widen(half.Bits(want.Data, want.DType.Bits(), i))
			if a != b && (a == a || b == b) {
				return fmt.Errorf("%v: element %d is %g, want %g", got, i, a, b)
			}
		}
		return nil
	}
	if r == nil {
		if !bytes.Equal(elements(got), elements(want)) || !slices.Equal(got.Str, want.Str) {
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

package nn

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var casesPath = flag.String("cases", "testdata/cases.jsonl", "backend cases, as testdata/cases.py writes them")

// backendCase is one node with its inputs and the outputs that it has to give.
type backendCase struct {
	Name, Op string
	Attrs    map[string][2]json.RawMessage // kind and value
	In, Out  []*caseTensor
}

type caseTensor struct {
	DType string
	Shape []int
	Data  []byte
}

func (x *caseTensor) tensor() (*tensor.Tensor, error) {
	if x == nil {
		return nil, nil
	}
	d, err := tensor.ParseDType(x.DType)
	if err != nil {
		return nil, err
	}
	v := tensor.New(d, x.Shape)
	if len(v.Data) != len(x.Data) {
		return nil, fmt.Errorf("%d bytes for %v", len(x.Data), v)
	}
	copy(v.Data, x.Data)
	return v, nil
}

func (x *backendCase) call() (*op.Call, error) {
	c := &op.Call{Name: x.Name, Op: x.Op, Attrs: attr.Attrs{}}
	for name, kv := range x.Attrs {
		var kind string
		var err error
		var v any
		if err := json.Unmarshal(kv[0], &kind); err != nil {
			return nil, err
		}
		switch kind {
		case "int":
			v, err = decode[int64](kv[1])
		case "float":
			v, err = decode[float32](kv[1])
		case "ints":
			v, err = decode[[]int64](kv[1])
		case "floats":
			v, err = decode[[]float32](kv[1])
		case "string":
			v, err = decode[string](kv[1])
		default:
			err = fmt.Errorf("attribute of kind %q", kind)
		}
		if err != nil {
			return nil, err
		}
		c.Attrs[name] = v
	}
	for _, in := range x.In {
		t, err := in.tensor()
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

func decode[T any](b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// reals reads a tensor of any type as float64.
func reals(t *tensor.Tensor) []float64 {
	f := make([]float64, t.Len())
	switch t.DType {
	case tensor.F32:
		for i, v := range tensor.Of[float32](t) {
			f[i] = float64(v)
		}
	case tensor.F64:
		copy(f, tensor.Of[float64](t))
	case tensor.F16:
		for i, v := range tensor.Of[uint16](t) {
			f[i] = float64(half.FromF16(v))
		}
	case tensor.BF16:
		for i, v := range tensor.Of[uint16](t) {
			f[i] = float64(half.FromBF16(v))
		}
	case tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		for i := range f {
			f[i] = float64(packed(t, i))
		}
	default:
		if widen := widenFloat(t.DType); widen != nil {
			for i := range f {
				f[i] = float64(widen(t, i))
			}
			break
		}
		v, err := t.Ints()
		if err != nil {
			panic(err)
		}
		for i, x := range v {
			f[i] = float64(x)
		}
	}
	return f
}

// near compares floats with the tolerance of the backend cases and everything else exactly.
func near(got, want *tensor.Tensor) error {
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	g, w := reals(got), reals(want)
	for i := range w {
		tolerance := 0.0
		if want.DType.IsFloat() && want.DType.Bits() >= 16 {
			tolerance = 1e-4 + 1e-3*math.Abs(w[i])
		}
		if d := math.Abs(g[i] - w[i]); !(d <= tolerance) && g[i] != w[i] && !(math.IsNaN(g[i]) && math.IsNaN(w[i])) {
			return fmt.Errorf("element %d is %g, want %g", i, g[i], w[i])
		}
	}
	return nil
}

func TestBackendCases(t *testing.T) {
	f, err := os.Open(*casesPath)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	passed, total := 0, 0
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<26)
	for s.Scan() {
		x := &backendCase{}
		if err := json.Unmarshal(s.Bytes(), x); err != nil {
			t.Fatal(err)
		}
		total++
		// Twice: as it is, and with all inputs known, so that weights are packed in Prepare.
		for _, known := range []bool{false, true} {
			if err := x.run(known); err != nil {
				t.Errorf("%s (inputs known: %v): %v", x.Name, known, err)
			} else if known {
				passed++
			}
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("passed %d of %d", passed, total)
	if total < 80 {
		t.Errorf("only %d cases", total)
	}
}

func (x *backendCase) run(known bool) error {
	c, err := x.call()
	if err != nil {
		return err
	}
	o, ok := Ops[x.Op]
	if !ok {
		return fmt.Errorf("no operator %s", x.Op)
	}
	if known {
		err = op.Eval(o, c, 0)
	} else {
		err = evalUnknown(o, c)
	}
	if err != nil {
		return err
	}
	for i, want := range x.Out {
		if want == nil {
			continue
		}
		w, err := want.tensor()
		if err != nil {
			return err
		}
		if err := near(c.Out[i], w); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// evalUnknown is op.Eval with inputs whose data come after Prepare, and twice, as in a session.
func evalUnknown(o op.Op, c *op.Call) error {
	data := make([][]byte, len(c.In))
	for i, t := range c.In {
		if t != nil {
			data[i], t.Data = t.Data, nil
		}
	}
	run, err := prepared(o, c)
	if err != nil {
		return err
	}
	for range 2 {
		for i, t := range c.In {
			if t != nil {
				t.Data = data[i]
			}
		}
		for _, t := range c.Out {
			if t != nil {
				t.Data = tensor.New(t.DType, t.Shape).Data
			}
		}
		if err := run(); err != nil {
			return err
		}
	}
	return nil
}

// prepared infers and prepares; the outputs get their data.
func prepared(o op.Op, c *op.Call) (op.Run, error) {
	if c.Par == nil {
		c.Par = op.Serial{}
	}
	if err := o.Infer(c); err != nil {
		return nil, err
	}
	for i, t := range c.Out {
		if t != nil && (!t.Shape.Known() || !t.DType.Valid()) {
			return nil, fmt.Errorf("output %d is left as %v", i, t)
		}
	}
	run, err := o.Prepare(c)
	if err != nil {
		return nil, err
	}
	for _, t := range c.Out {
		if t != nil {
			t.Data = tensor.New(t.DType, t.Shape).Data
		}
	}
	return run, nil
}

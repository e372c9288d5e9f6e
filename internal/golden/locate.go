package golden

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Layer is what Locate found of one layer.
type Layer struct {
	Name   string  `json:"name"`
	Op     string  `json:"op"`
	Output int     `json:"output"`
	MaxAbs float64 `json:"max_abs"` // largest difference from the FP32 reference
	Steps  float64 `json:"steps"`   // the same in steps of a quantised output, else 0
	RelMax float64 `json:"rel_max"` // MaxAbs over the largest reference element
}

// Locator evaluates every layer of a running session once more in FP32, on the same inputs, and remembers the first one
// whose output differs: by more than RelMax of the largest element, or by more than one step where it is quantised.
type Locator struct {
	RelMax float64
	First  *Layer
	Worst  *Layer // the largest difference, in units of what is allowed
	Layers int    // layers compared
	Err    error  // the first layer whose reference could not be evaluated

	worst float64
}

// hybridRelMax is what rounding a layer's input to 8 bits on the fly may cost, as a share of the largest element.
const hybridRelMax = 0.05

// Observe is an exec.Observer.
func (l *Locator) Observe(e *exec.Event) {
	s, in, out := e.Step, e.In, e.Out
	if s.Flow != plan.None || s.View || l.Err != nil {
		return
	}
	real := false
	for _, t := range out {
		real = real || t != nil && (t.Quant != nil || t.DType == tensor.F32)
	}
	if !real || s.Kernel.Traits&op.Impure != 0 {
		return
	}
	want, err := reference(s, in, out)
	if err != nil {
		l.Err = fmt.Errorf("reference of %s (%s): %w", s.Name, s.Op, err)
		return
	}
	l.Layers++
	for i, t := range out {
		if t == nil || t.Quant == nil && t.DType != tensor.F32 || want[i] == nil {
			continue
		}
		if err := l.compare(s, i, t, want[i]); err != nil {
			l.Err = fmt.Errorf("%s (%s): %w", s.Name, s.Op, err)
			return
		}
	}
}

func (l *Locator) compare(s *plan.Step, i int, t *tensor.Tensor, want []float64) error {
	got, err := Reals(t, t.Quant)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("output %d has %d elements, its reference %d", i, len(got), len(want))
	}
	r := Layer{Name: s.Name, Op: s.Op, Output: i}
	largest, step := 0.0, 0.0
	if t.Quant != nil {
		for _, x := range t.Quant.Scale {
			step = max(step, float64(x))
		}
	}
	lo, hi := math.Inf(-1), math.Inf(1)
	if t.Quant != nil && t.Quant.PerTensor() && t.DType.IsInt() && t.DType.Bits() <= 16 {
		a, b := t.DType.IntRange()
		z := int64(t.Quant.ZeroAt(0))
		lo, hi = float64(a-z)*step, float64(b-z)*step
	}
	for k := range got {
		w := min(max(want[k], lo), hi) // a quantised output saturates
		d := math.Abs(got[k] - w)
		if got[k] == w || math.IsNaN(got[k]) && math.IsNaN(w) {
			d = 0
		} else if math.IsNaN(d) {
			d = math.Inf(1)
		}
		r.MaxAbs = max(r.MaxAbs, d)
		if !math.IsInf(w, 0) {
			largest = max(largest, math.Abs(w))
		}
	}
	if largest > 0 {
		r.RelMax = r.MaxAbs / largest
	}
	allowed := l.RelMax
	if s.Attrs.Bool("dynamic_quantize", false) {
		allowed = max(allowed, hybridRelMax)
	}
	over := r.RelMax / allowed
	if step > 0 {
		r.Steps = r.MaxAbs / step
		// Half a step is the rounding itself; the reference's own rounding needs a little room.
		over = r.Steps / 1.001
	} else if largest == 0 && r.MaxAbs > 0 {
		over = math.Inf(1)
	}
	if over > l.worst {
		l.worst, l.Worst = over, &r
	}
	if over > 1 && l.First == nil {
		l.First = &r
	}
	return nil
}

// reference evaluates a step's operator on real numbers in FP32.
func reference(s *plan.Step, in, out []*tensor.Tensor) ([][]float64, error) {
	kernel := s.Kernel
	c := &op.Call{Name: s.Name, Op: s.Op, Attrs: s.Attrs}
	switch s.Op {
	case "Quantize", "Dequantize":
		v, err := Reals(in[0], in[0].Quant)
		return [][]float64{v}, err
	case "Table":
		name := s.Attrs.Str("of", "")
		var ok bool
		if kernel, ok = ops.Lookup(name); !ok {
			return nil, fmt.Errorf("the table stands for %q, which is no operator", name)
		}
		in = append([]*tensor.Tensor{in[0]}, in[2:]...)
	}
	if s.Attrs.Bool("dynamic_quantize", false) {
		c.Attrs = s.Attrs.Clone()
		delete(c.Attrs, "dynamic_quantize")
	}
	for _, t := range in {
		if t == nil || t.Quant == nil {
			c.In = append(c.In, t)
			continue
		}
		v, err := Reals(t, t.Quant)
		if err != nil {
			return nil, err
		}
		f := tensor.New(tensor.F32, t.Shape)
		for i, x := range v {
			tensor.Of[float32](f)[i] = float32(x)
		}
		c.In = append(c.In, f)
	}
	for _, t := range out {
		if t == nil {
			c.Out = append(c.Out, nil)
		} else {
			c.Out = append(c.Out, &tensor.Tensor{})
		}
	}
	if err := op.Eval(kernel, c, 0); err != nil {
		return nil, err
	}
	list := make([][]float64, len(out))
	for i, t := range c.Out {
		if t != nil && t.DType == tensor.F32 {
			v, err := Reals(t, nil)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
	}
	return list, nil
}

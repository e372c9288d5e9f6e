package exec

import (
	"context"
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/plan"
)

// maxIterations bounds a Loop that carries no trip count of its own, so that no model runs for ever.
const maxIterations = 1 << 31

func (x *Instance) runIf(ctx context.Context, s *step) error {
	cond := s.in[0]
	if cond.DType != tensor.Bool || len(cond.Data) != 1 {
		return fmt.Errorf("%s (If): condition is %v, want one bool", s.Name, cond)
	}
	branch := 1
	if cond.Data[0] != 0 {
		branch = 0
	}
	if err := x.runSteps(ctx, s.bodies[branch]); err != nil {
		return err
	}
	return x.copyOut(s, s.Out, s.Bodies[branch].Outputs)
}

// copyOut gives the slots dst the values of the slots src.
func (x *Instance) copyOut(s *step, dst, src []int) error {
	for i, d := range dst {
		if d < 0 {
			continue
		}
		x.follow(src[i])
		if err := x.copyTo(s, d, &x.slots[src[i]]); err != nil {
			return err
		}
	}
	return nil
}

// copyTo gives the slot dst a copy of t.
func (x *Instance) copyTo(s *step, dst int, t *tensor.Tensor) error {
	if x.Plan.Slots[dst].Kind == plan.Heap {
		// For a moment there are both.
		n := t.MemorySize()
		if err := x.grow(s, n); err != nil {
			return err
		}
		t = t.Clone()
		x.heapSize -= n
	}
	return x.put(s, dst, t)
}

// assign copies t into dst, a value that the step carries on, using dst's memory again where it suffices.
func (x *Instance) assign(s *step, dst, t *tensor.Tensor) error {
	data := dst.Data
	if n := loose(t) - loose(dst); n != 0 {
		x.carrySize += n
		if err := x.withinLimit(s); err != nil {
			x.carrySize -= n
			return err
		}
	}
	if n := len(t.Data); cap(data) < n {
		x.carrySize += n - cap(data)
		if err := x.withinLimit(s); err != nil {
			x.carrySize -= n - cap(data)
			return err
		}
		data = tensor.AlignedBytes(n)
	}
	data = data[:len(t.Data)]
	copy(data, t.Data)
	shape := append(dst.Shape[:0], t.Shape...)
	*dst = tensor.Tensor{DType: t.DType, Shape: shape, Data: data, Str: t.Str, Elems: t.Elems, Quant: t.Quant}
	if dst.Shape == nil {
		dst.Shape = tensor.Shape{}
	}
	if t.Data == nil {
		dst.Data = nil
	}
	return nil
}

// loose is what t's strings and sequences take, in bytes.
func loose(t *tensor.Tensor) int {
	if t.Str == nil && t.Elems == nil {
		return 0
	}
	return t.MemorySize() - len(t.Data)
}

// carried makes room for n values that go from one iteration to the next: two sets, because a body may hand its
// inputs on in another order.
func (s *step) carried(n int) {
	if len(s.carry[0]) != n {
		s.carry = [2][]tensor.Tensor{make([]tensor.Tensor, n), make([]tensor.Tensor, n)}
	}
}

// iterate runs the body once with the set of carried values and fills the other one from the slots outs.
func (x *Instance) iterate(ctx context.Context, s *step, set int, ins, outs []int) error {
	if err := ctx.Err(); err != nil { // the body may have no steps
		return err
	}
	for i, slot := range ins {
		x.bind(slot, &s.carry[set][i])
	}
	if err := x.runSteps(ctx, s.bodies[0]); err != nil {
		return err
	}
	for i, slot := range outs {
		x.follow(slot)
		if err := x.assign(s, &s.carry[1-set][i], &x.slots[slot]); err != nil {
			return err
		}
	}
	return nil
}

func (x *Instance) runLoop(ctx context.Context, s *step) error {
	body := s.Bodies[0]
	trips := int64(maxIterations)
	if m := s.in[0]; m != nil {
		v, err := m.Ints()
		if err != nil || len(v) != 1 {
			return fmt.Errorf("%s (Loop): trip count is %v, want one integer", s.Name, m)
		}
		trips = v[0]
	}
	cond := true
	if c := s.in[1]; c != nil {
		if c.DType != tensor.Bool || len(c.Data) != 1 {
			return fmt.Errorf("%s (Loop): condition is %v, want one bool", s.Name, c)
		}
		cond = c.Data[0] != 0
	}
	n := len(s.In) - 2
	s.carried(n)
	for i := range n {
		if err := x.assign(s, &s.carry[0][i], s.in[i+2]); err != nil {
			return err
		}
	}
	iter, keep := tensor.Scalar(int64(0)), tensor.Scalar(true)
	iter.Shape, keep.Shape = x.slots[body.Inputs[0]].Shape, x.slots[body.Inputs[1]].Shape
	x.bind(body.Inputs[0], iter)
	x.bind(body.Inputs[1], keep)
	scans := make([]stack, max(0, len(s.Out)-n))
	set := 0
	for i := int64(0); i < trips && cond; i++ {
		if i == maxIterations-1 {
			return fmt.Errorf("%s (Loop): no end after %d iterations", s.Name, i)
		}
		tensor.Of[int64](iter)[0] = i
		if err := x.iterate(ctx, s, set, body.Inputs[2:], body.Outputs[1:n+1]); err != nil {
			return err
		}
		set = 1 - set
		for k := range scans {
			if s.Out[n+k] < 0 {
				continue
			}
			slot := body.Outputs[n+1+k]
			x.follow(slot)
			if err := scans[k].push(x, s, &x.slots[slot]); err != nil {
				return err
			}
		}
		x.follow(body.Outputs[0])
		c := &x.slots[body.Outputs[0]]
		if c.DType != tensor.Bool || len(c.Data) != 1 {
			return fmt.Errorf("%s (Loop): the body's condition is %v, want one bool", s.Name, c)
		}
		cond = c.Data[0] != 0
	}
	for i, slot := range s.Out {
		if slot < 0 {
			continue
		}
		var err error
		if i < n {
			err = x.copyTo(s, slot, &s.carry[set][i])
		} else {
			err = scans[i-n].join(x, s, slot, 0, false, &x.slots[body.Outputs[i+1]])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *Instance) runScan(ctx context.Context, s *step) error {
	body := s.Bodies[0]
	scanned := s.Attrs.Int("num_scan_inputs", 0)
	states := len(s.In) - scanned
	inAxes, outAxes := s.Attrs.Ints("scan_input_axes"), s.Attrs.Ints("scan_output_axes")
	inDirs, outDirs := s.Attrs.Ints("scan_input_directions"), s.Attrs.Ints("scan_output_directions")
	at := func(list []int, i int) int {
		if i < len(list) {
			return list[i]
		}
		return 0
	}
	s.carried(states)
	for i := range states {
		if err := x.assign(s, &s.carry[0][i], s.in[i]); err != nil {
			return err
		}
	}
	trips := -1
	axes := make([]int, scanned)
	slices := make([]tensor.Tensor, scanned)
	for k := range scanned {
		t := s.in[states+k]
		a := at(inAxes, k)
		if a < 0 {
			a += len(t.Shape)
		}
		if a < 0 || a >= len(t.Shape) || t.Data == nil || t.DType.Bits() < 8 {
			return fmt.Errorf("%s (Scan): scan input %d is %v, cannot be cut along axis %d", s.Name, k, t, at(inAxes, k))
		}
		if trips >= 0 && t.Shape[a] != trips {
			return fmt.Errorf("%s (Scan): scan inputs of lengths %d and %d", s.Name, trips, t.Shape[a])
		}
		axes[k], trips = a, t.Shape[a]
		shape := t.Shape.Clone()
		shape = append(shape[:a], shape[a+1:]...)
		n := tensor.ByteSize(t.DType, shape.Len())
		if err := x.grow(s, n); err != nil {
			return err
		}
		defer func() { x.heapSize -= n }()
		slices[k] = *tensor.New(t.DType, shape)
	}
	scans := make([]stack, max(0, len(s.Out)-states))
	set := 0
	for i := range trips {
		for k := range slices {
			j := i
			if at(inDirs, k) == 1 {
				j = trips - 1 - i
			}
			cut(&slices[k], s.in[states+k], axes[k], j)
			x.bind(body.Inputs[states+k], &slices[k])
		}
		if err := x.iterate(ctx, s, set, body.Inputs[:states], body.Outputs[:states]); err != nil {
			return err
		}
		set = 1 - set
		for k := range scans {
			if s.Out[states+k] < 0 {
				continue
			}
			slot := body.Outputs[states+k]
			x.follow(slot)
			if err := scans[k].push(x, s, &x.slots[slot]); err != nil {
				return err
			}
		}
	}
	for i, slot := range s.Out {
		if slot < 0 {
			continue
		}
		var err error
		if i < states {
			err = x.copyTo(s, slot, &s.carry[set][i])
		} else {
			k := i - states
			err = scans[k].join(x, s, slot, at(outAxes, k), at(outDirs, k) == 1, &x.slots[body.Outputs[i]])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cut copies slice i of t along axis into dst.
func cut(dst, t *tensor.Tensor, axis, i int) {
	outer, n := tensor.Shape(t.Shape[:axis]).Len(), t.Shape[axis]
	inner := tensor.ByteSize(t.DType, tensor.Shape(t.Shape[axis+1:]).Len())
	for o := range outer {
		copy(dst.Data[o*inner:(o+1)*inner], t.Data[(o*n+i)*inner:])
	}
}

// stack collects one value per iteration.
type stack struct {
	list []*tensor.Tensor
	size int // bytes, as counted in heapSize
}

// stacked is what a collected value takes beside its elements, in bytes.
const stacked = 128

func (k *stack) push(x *Instance, s *step, t *tensor.Tensor) error {
	if len(k.list) > 0 && !k.list[0].Shape.Equal(t.Shape) {
		return fmt.Errorf("%s (%s): iterations yield shapes %v and %v", s.Name, s.Op, k.list[0].Shape, t.Shape)
	}
	if t.DType == tensor.Sequence {
		return fmt.Errorf("%s (%s): sequences cannot be stacked", s.Name, s.Op)
	}
	n := t.MemorySize() + stacked
	if err := x.grow(s, n); err != nil {
		return err
	}
	k.size += n
	k.list = append(k.list, t.Clone())
	return nil
}

// join gives slot the values stacked along a new axis. like describes them where there are none.
func (k *stack) join(x *Instance, s *step, slot, axis int, backwards bool, like *tensor.Tensor) error {
	n := len(k.list)
	elem := like.Shape
	if n > 0 {
		elem = k.list[0].Shape
	}
	if axis < -len(elem)-1 || axis > len(elem) {
		return fmt.Errorf("%s (%s): iterations of shape %v cannot be stacked along axis %d", s.Name, s.Op, elem, axis)
	}
	if axis < 0 {
		axis += len(elem) + 1
	}
	shape := make(tensor.Shape, 0, len(elem)+1)
	shape = append(append(append(shape, elem[:axis]...), n), elem[axis:]...)
	for i, d := range shape {
		if d < 0 {
			shape[i] = 0
		}
	}
	// The values and the result are there at the same time. The size without the values' own overhead is that of the result.
	size := k.size - n*stacked
	if err := x.grow(s, size); err != nil {
		return err
	}
	r := tensor.New(like.DType, shape)
	r.Quant = like.Quant
	outer, inner := tensor.Shape(shape[:axis]).Len(), tensor.Shape(shape[axis+1:]).Len()
	for i, t := range k.list {
		if backwards {
			i = n - 1 - i
		}
		for o := range outer {
			copyElements(r, (o*n+i)*inner, t, o*inner, inner)
		}
	}
	x.heapSize -= size + k.size
	return x.put(s, slot, r)
}

// copyElements copies n elements of src, from the given one on, to dst.
func copyElements(dst *tensor.Tensor, at int, src *tensor.Tensor, from, n int) {
	bits := dst.DType.Bits()
	switch {
	case dst.DType == tensor.String:
		copy(dst.Str[at:at+n], src.Str[from:])
	case bits >= 8:
		b := bits / 8
		copy(dst.Data[at*b:(at+n)*b], src.Data[from*b:])
	default: // packed: the first element lies in the lowest bits
		per, mask := 8/bits, byte(1)<<bits-1
		for i := range n {
			v := src.Data[(from+i)/per] >> ((from + i) % per * bits) & mask
			dst.Data[(at+i)/per] |= v << ((at + i) % per * bits)
		}
	}
}

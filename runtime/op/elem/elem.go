package elem

import (
	"maps"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = join(operators(unaries), operators(activations), unaryOps, chainOps, arithmeticOps, compareOps, variadicOps, castOps, reduceOps, argOps, scanOps, softmaxOps,
	normOps, skipOps, dropoutOps, randomOps, lossOps, trainOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

type float interface{ float64 | float32 }

type integer interface {
	int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8
}

// number is an element type that Go computes with. F16 and BF16 are computed as float32; Bool is seen as uint8.
type number interface{ float | integer }

func isFloat[T number]() bool { return T(1)/2 != 0 }

// view gives access to a tensor's elements as T. For F16 and BF16 as float32 it is a buffer that get fills and put
// rounds back; for all others it is the data themselves. The view of an absent tensor is empty.
type view[T number] struct {
	t    *tensor.Tensor
	buf  []T
	wide []float32 // buf
}

func newView[T number](c *op.Call, t *tensor.Tensor) *view[T] {
	v := &view[T]{t: t}
	if t != nil && (t.DType == tensor.F16 || t.DType == tensor.BF16) {
		wide := op.Make[float32](c, t.Len())
		if buf, ok := any(wide).([]T); ok {
			v.buf, v.wide = buf, wide
		}
	}
	return v
}

// get reads an input.
func (v *view[T]) get() []T {
	if v.t == nil {
		return nil
	}
	if v.wide == nil {
		return tensor.Of[T](v.t)
	}
	if v.t.DType == tensor.F16 {
		kernels.WidenF16(v.wide, tensor.Of[uint16](v.t))
	} else {
		kernels.WidenBF16(v.wide, tensor.Of[uint16](v.t))
	}
	return v.buf
}

// room is where an output goes before put.
func (v *view[T]) room() []T {
	if v.t == nil {
		return nil
	}
	if v.wide == nil {
		return tensor.Of[T](v.t)
	}
	return v.buf
}

// put rounds an output back to its type.
func (v *view[T]) put() {
	if v.t == nil || v.wide == nil {
		return
	}
	if v.t.DType == tensor.F16 {
		kernels.ToF16(tensor.Of[uint16](v.t), v.wide)
	} else {
		kernels.ToBF16(tensor.Of[uint16](v.t), v.wide)
	}
}

type prepare = func(c *op.Call) (op.Run, error)

// each holds the instances of a generic preparation; nil for types that the operator does not take.
type each struct{ f64, f32, i64, i32, i16, i8, u64, u32, u16, u8 prepare }

// prepare runs the instance for elements of type d. F16 and BF16 take float32's.
func (e each) prepare(c *op.Call, d tensor.DType) (op.Run, error) {
	var f prepare
	switch d {
	case tensor.F64:
		f = e.f64
	case tensor.F32, tensor.F16, tensor.BF16:
		f = e.f32
	case tensor.I64:
		f = e.i64
	case tensor.I32:
		f = e.i32
	case tensor.I16:
		f = e.i16
	case tensor.I8:
		f = e.i8
	case tensor.U64:
		f = e.u64
	case tensor.U32:
		f = e.u32
	case tensor.U16:
		f = e.u16
	case tensor.U8:
		f = e.u8
	}
	if f == nil {
		return nil, c.Errorf("elements of type %v unsupported", d)
	}
	return f(c)
}

// byInput is the preparation of operators whose instance follows input 0.
func (e each) byInput(c *op.Call) (op.Run, error) { return e.prepare(c, c.In[0].DType) }

// same is the shape rule of operators whose output is like input 0.
func same(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, c.In[0].Shape)
	return nil
}

// wants fails unless input i is present and has n elements.
func wants(c *op.Call, i, n int) error {
	if t := c.Input(i); t == nil || t.Len() != n {
		return c.Errorf("input %d is %v, want %d elements", i, t, n)
	}
	return nil
}

// grain is the number of elements below which splitting work does not pay.
const grain = 1 << 13

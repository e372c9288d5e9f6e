// Package elem holds operators that work element by element, reductions, normalisations, activations, casts and random
// numbers.
package elem

import (
	"maps"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = join(unaryOps, binaryOps, castOps, reduceOps, softmaxOps, normOps, randomOps, lossOps, scanOps, trainOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// number is an element type that Go computes with.
type number interface {
	float64 | float32 | int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8
}

type float interface{ float64 | float32 }

// view gives access to a tensor's elements as T. For F16 and BF16 as float32 it is a buffer that get fills and put
// rounds back; for all others it is the data themselves.
type view[T number] struct {
	t   *tensor.Tensor
	buf []T
}

func newView[T number](t *tensor.Tensor) *view[T] {
	v := &view[T]{t: t}
	if t != nil && (t.DType == tensor.F16 || t.DType == tensor.BF16) {
		if _, ok := any(v).(*view[float32]); ok {
			v.buf = make([]T, t.Len())
		}
	}
	return v
}

// get reads an input; nil for an absent one.
func (v *view[T]) get() []T {
	if v.t == nil {
		return nil
	}
	if v.buf == nil {
		return tensor.Of[T](v.t)
	}
	f := any(v.buf).([]float32)
	if v.t.DType == tensor.F16 {
		half.WidenF16(f, tensor.Of[uint16](v.t))
	} else {
		half.WidenBF16(f, tensor.Of[uint16](v.t))
	}
	return v.buf
}

// room is where an output goes before put.
func (v *view[T]) room() []T {
	if v.t == nil {
		return nil
	}
	if v.buf == nil {
		return tensor.Of[T](v.t)
	}
	return v.buf
}

// put rounds an output back to its type.
func (v *view[T]) put() {
	if v.t == nil || v.buf == nil {
		return
	}
	f := any(v.buf).([]float32)
	if v.t.DType == tensor.F16 {
		half.ToF16(tensor.Of[uint16](v.t), f)
	} else {
		half.ToBF16(tensor.Of[uint16](v.t), f)
	}
}

// byType picks the instance of a generic preparation for an element type; F16 and BF16 compute as float32.
type byType struct {
	f64, f32, i64, i32, i16, i8, u64, u32, u16, u8 func() op.Run
}

func (b byType) pick(c *op.Call, d tensor.DType) (op.Run, error) {
	f := map[tensor.DType]func() op.Run{
		tensor.F64: b.f64, tensor.F32: b.f32, tensor.F16: b.f32, tensor.BF16: b.f32,
		tensor.I64: b.i64, tensor.I32: b.i32, tensor.I16: b.i16, tensor.I8: b.i8,
		tensor.U64: b.u64, tensor.U32: b.u32, tensor.U16: b.u16, tensor.U8: b.u8, tensor.Bool: nil,
	}[d]
	if f == nil {
		return nil, c.Errorf("elements of type %v unsupported", d)
	}
	return f(), nil
}

// same is the shape rule of operators whose output is like input 0.
func same(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, c.In[0].Shape)
	return nil
}

// grain is the number of elements below which splitting work does not pay.
const grain = 1 << 13

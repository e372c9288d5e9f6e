package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/runtime/op"
)

// anyLayout lets an operator that is written for NHWC run on NCHW, by transposing on the way in and out. Passes turn
// spatial operators to NHWC where they know the rank; this is for those where it shows only with the input. data lists
// the inputs that are transposed.
func anyLayout(prepare func(*op.Call) (op.Run, error), data ...int) func(*op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		if c.Attrs.Str("layout", "NCHW") == "NHWC" {
			return prepare(c)
		}
		inner := *c
		inner.Store = nil // what is packed here comes from transposed copies
		inner.Attrs = c.Attrs.Clone()
		inner.Attrs["layout"] = "NHWC"
		inner.In = append([]*tensor.Tensor{}, c.In...)
		inner.Out = append([]*tensor.Tensor{}, c.Out...)
		var before, after []func()
		for _, i := range data {
			x := c.Input(i)
			if x == nil {
				continue
			}
			if x.DType.Bits() < 8 {
				return nil, c.Errorf("elements of type %v in layout NCHW", x.DType)
			}
			t := *x
			t.Shape = channelsLast(x.Shape)
			t.Data = nil
			if q := x.Quant; q != nil && !q.PerTensor() && q.Axis > 0 {
				moved := *q
				if moved.Axis--; q.Axis == 1 {
					moved.Axis = len(x.Shape) - 1
				}
				t.Quant = &moved
			}
			inner.In[i] = &t
			c.Take(tensor.ByteSize(x.DType, x.Len()))
			if x.HasData() {
				t.Data = make([]byte, len(x.Data))
				toChannelsLast(&t, x)
				continue
			}
			buf := tensor.AlignedBytes(tensor.ByteSize(x.DType, x.Len()))
			before = append(before, func() {
				t.Data = buf
				toChannelsLast(&t, x)
			})
		}
		for i, y := range c.Out {
			if y == nil {
				continue
			}
			t := *y
			t.Shape = channelsLast(y.Shape)
			inner.Out[i] = &t
			c.Take(tensor.ByteSize(y.DType, y.Len()))
			t.Data = tensor.AlignedBytes(tensor.ByteSize(y.DType, y.Len()))
			after = append(after, func() { toChannelsFirst(y, &t) })
		}
		run, err := prepare(&inner)
		if err != nil {
			return nil, err
		}
		return func() error {
			for _, f := range before {
				f()
			}
			if err := run(); err != nil {
				return err
			}
			for _, f := range after {
				f()
			}
			return nil
		}, nil
	}
}

func channelsLast(s tensor.Shape) tensor.Shape {
	if len(s) < 3 {
		return s
	}
	r := append(tensor.Shape{s[0]}, s[2:]...)
	return append(r, s[1])
}

// toChannelsLast copies NCHW src into NHWC dst; toChannelsFirst is the inverse.
func toChannelsLast(dst, src *tensor.Tensor) {
	if len(src.Shape) < 3 {
		copy(dst.Data, src.Data)
		return
	}
	n, ch, inner := src.Shape[0], src.Shape[1], src.Shape[2:].Len()
	turnAll(dst.Data, src.Data, n, ch, inner, src.DType.Bits()/8)
}

func toChannelsFirst(dst, src *tensor.Tensor) {
	if len(dst.Shape) < 3 {
		copy(dst.Data, src.Data)
		return
	}
	n, ch, inner := dst.Shape[0], dst.Shape[1], dst.Shape[2:].Len()
	turnAll(dst.Data, src.Data, n, inner, ch, dst.DType.Bits()/8)
}

// turnAll transposes n matrices of rows×cols elements.
func turnAll(dst, src []byte, n, rows, cols, size int) {
	for b := range n {
		at := b * rows * cols * size
		kernels.Turn(dst[at:], src[at:], rows, cols, cols, rows, size)
	}
}

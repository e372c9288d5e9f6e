package tree

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// dictionary finds the place of an element in a list of keys. Of equal keys the last counts.
type dictionary struct {
	strs   map[string]int
	ints   map[int64]int
	floats map[float64]int
	nan    int // place of NaN; -1: none
}

func newDictionary(c *op.Call, keys *tensor.Tensor) (*dictionary, error) {
	d := &dictionary{nan: -1}
	switch {
	case keys.DType == tensor.String:
		d.strs = map[string]int{}
		for i, k := range keys.Str {
			d.strs[k] = i
		}
	case keys.DType.IsFloat():
		d.floats = map[float64]int{}
		v := make([]float64, keys.Len())
		number.Read(v, keys)
		for i, k := range v {
			if d.floats[k] = i; k != k {
				d.nan = i
			}
		}
	default:
		v, err := keys.Ints()
		if err != nil {
			return nil, c.Errorf("keys: %w", err)
		}
		d.ints = map[int64]int{}
		for i, k := range v {
			d.ints[k] = i
		}
	}
	return d, nil
}

// finder returns the function that looks up element i of x; numbers become integers where the keys are.
func (d *dictionary) finder(c *op.Call, x *tensor.Tensor) (func(i int) (int, bool), error) {
	get := number.Getter(x.DType)
	switch {
	case (x.DType == tensor.String) != (d.strs != nil):
		return nil, c.Errorf("input of type %v among other keys", x.DType)
	case d.strs != nil:
		return func(i int) (int, bool) { k, ok := d.strs[x.Str[i]]; return k, ok }, nil
	case d.floats != nil:
		return func(i int) (int, bool) {
			v := get(x, i)
			if v != v {
				return d.nan, d.nan >= 0
			}
			k, ok := d.floats[v]
			return k, ok
		}, nil
	case x.DType == tensor.I64:
		return func(i int) (int, bool) { k, ok := d.ints[tensor.Of[int64](x)[i]]; return k, ok }, nil
	}
	return func(i int) (int, bool) {
		v := get(x, i)
		if !(math.Abs(v) < 1<<63) {
			return 0, false
		}
		k, ok := d.ints[int64(v)]
		return k, ok
	}, nil
}

// list reads a list that is given in one of several attributes: prefix and strings, int64s, floats or tensor.
func list(c *op.Call, prefix string) *tensor.Tensor {
	if v := c.Attrs.Tensor(prefix + "tensor"); v != nil {
		return v
	}
	if v := c.Attrs.Strs(prefix + "strings"); v != nil {
		return tensor.FromStrings(v)
	}
	if v := c.Attrs.Floats(prefix + "floats"); v != nil {
		return tensor.From(v)
	}
	if v := attr.Get[[]int64](c.Attrs, prefix+"int64s", nil); v != nil {
		return tensor.From(v)
	}
	return nil
}

// mapping returns keys, values and the value of all that is no key.
func mapping(c *op.Call) (keys, values, other *tensor.Tensor, err error) {
	if err := c.Need(1); err != nil {
		return nil, nil, nil, err
	}
	text := func() *tensor.Tensor { return tensor.FromStrings([]string{c.Attrs.Str("default_string", "_Unused")}) }
	if c.Op == "ai.onnx.ml.CategoryMapper" {
		strs, ints := list(c, "cats_"), attr.Get[[]int64](c.Attrs, "cats_int64s", nil)
		if strs == nil || strs.DType != tensor.String {
			return nil, nil, nil, c.Errorf("no categories")
		}
		keys, values, other = strs, tensor.From(ints), tensor.From([]int64{attr.Get(c.Attrs, "default_int64", int64(-1))})
		if c.In[0].DType != tensor.String {
			keys, values, other = values, keys, text()
		}
	} else {
		if keys, values = list(c, "keys_"), list(c, "values_"); keys == nil || values == nil {
			return nil, nil, nil, c.Errorf("keys or values are missing")
		}
		other = c.Attrs.Tensor("default_tensor")
		switch {
		case other != nil:
		case values.DType == tensor.String:
			other = text()
		case values.DType.IsInt() && values.DType.Bits() >= 8:
			other = tensor.New(values.DType, tensor.Shape{1})
			if d := attr.Get(c.Attrs, "default_int64", int64(-1)); values.DType == tensor.I64 {
				tensor.Of[int64](other)[0] = d
			} else {
				number.Setter(values.DType)(other, 0, float64(d))
			}
		case number.Setter(values.DType) != nil:
			other = tensor.New(values.DType, tensor.Shape{1})
			number.Setter(values.DType)(other, 0, float64(c.Attrs.Float("default_float", float32(math.Copysign(0, -1)))))
		}
	}
	if other == nil || keys.Len() != values.Len() || other.DType != values.DType || other.Len() != 1 {
		return nil, nil, nil, c.Errorf("keys %v, values %v and default %v do not fit", keys, values, other)
	}
	if values.DType != tensor.String && values.DType.Bits() < 8 {
		return nil, nil, nil, c.Errorf("values of type %v unsupported", values.DType)
	}
	return keys, values, other, nil
}

func inferLabels(c *op.Call) error {
	_, values, _, err := mapping(c)
	if err != nil {
		return err
	}
	c.Set(0, values.DType, c.In[0].Shape)
	return nil
}

func prepareLabels(c *op.Call) (op.Run, error) {
	keys, values, other, err := mapping(c)
	if err != nil {
		return nil, err
	}
	d, err := newDictionary(c, keys)
	if err != nil {
		return nil, err
	}
	find, err := d.finder(c, c.In[0])
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	size := values.DType.Bits() / 8
	n := x.Len()
	return func() error {
		for i := range n {
			from := values
			k, ok := find(i)
			if !ok {
				from, k = other, 0
			}
			if size == 0 {
				y.Str[i] = from.Str[k]
			} else {
				copy(y.Data[i*size:(i+1)*size], from.Data[k*size:])
			}
		}
		return nil
	}, nil
}

func inferOneHot(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	cats := list(c, "cats_")
	if cats == nil || cats.DType == tensor.F32 {
		return c.Errorf("no categories")
	}
	var s tensor.Shape
	if x := c.In[0].Shape; x != nil {
		s = append(x.Clone(), cats.Len())
	}
	c.Set(0, tensor.F32, s)
	return nil
}

func prepareOneHot(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	cats := list(c, "cats_")
	d, err := newDictionary(c, cats)
	if err != nil {
		return nil, err
	}
	find, err := d.finder(c, x)
	if err != nil {
		return nil, err
	}
	zeros := c.Attrs.Bool("zeros", true)
	n, width := x.Len(), cats.Len()
	return func() error {
		out := tensor.Of[float32](y)
		clear(out)
		for i := range n {
			k, ok := find(i)
			switch {
			case ok:
				out[i*width+k] = 1
			case !zeros:
				return c.Errorf("the element at position %d is in no category", i)
			}
		}
		return nil
	}, nil
}

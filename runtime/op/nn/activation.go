package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/runtime/op"
)

// namedActivation reads the attributes activation and activation_params of com.microsoft operators.
func namedActivation(c *op.Call) (func(float32) float32, error) {
	p := c.Attrs.Floats("activation_params")
	at := func(i int, def float32) float32 {
		if i < len(p) {
			return p[i]
		}
		return def
	}
	switch name := c.Attrs.Str("activation", ""); name {
	case "":
		return func(x float32) float32 { return x }, nil
	case "Relu":
		return func(x float32) float32 { return max(x, 0) }, nil
	case "LeakyRelu":
		a := at(0, c.Attrs.Float("activation_alpha", .01))
		return func(x float32) float32 {
			if x < 0 {
				return float32(a * x)
			}
			return x
		}, nil
	case "Clip":
		lo, hi := at(0, float32(math.Inf(-1))), at(1, float32(math.Inf(1)))
		return func(x float32) float32 { return clamp(x, lo, hi) }, nil
	case "Sigmoid":
		return fmath.Sigmoid, nil
	case "Tanh":
		return fmath.Tanh, nil
	case "HardSigmoid":
		a, b := at(0, .2), at(1, .5)
		return func(x float32) float32 { return clamp(float32(a*x)+b, 0, 1) }, nil
	default:
		return nil, c.Errorf("activation %q unsupported", name)
	}
}

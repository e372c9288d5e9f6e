package signal

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// Ops is the table of this family.
var Ops = map[string]op.Op{
	"DFT":             {Infer: inferDFT, Prepare: prepareDFT},
	"STFT":            {Infer: inferSTFT, Prepare: prepareSTFT},
	"HannWindow":      {Infer: inferWindow, Prepare: prepareWindow(.5, .5, 0)},
	"HammingWindow":   {Infer: inferWindow, Prepare: prepareWindow(25./46, 21./46, 0)},
	"BlackmanWindow":  {Infer: inferWindow, Prepare: prepareWindow(.42, .5, .08)},
	"MelWeightMatrix": {Infer: inferMel, Prepare: prepareMel},
}

// maxLength bounds transforms, windows and matrices, so that hostile sizes fail before anything is allocated.
const maxLength = 1 << 26

// scalarInt reads input i, one integer from lo to maxLength; ok is false where it is not known yet.
func scalarInt(c *op.Call, i int, what string, lo int) (n int, ok bool, err error) {
	t := c.Input(i)
	if t == nil || !t.HasData() {
		return 0, false, nil
	}
	n, ok = number.Int(t)
	if !ok {
		return 0, false, c.Errorf("%s is %v, want one integer", what, t)
	}
	if n < lo || n > maxLength {
		return 0, false, c.Errorf("%s %d is out of range", what, n)
	}
	return n, true, nil
}

// outputType is the attribute output_datatype.
func outputType(c *op.Call) (tensor.DType, error) {
	d := number.ONNX(c.Attrs.Int("output_datatype", 1))
	if number.Setter(d) == nil || d.Bits() < 8 {
		return d, c.Errorf("output_datatype %d unsupported", c.Attrs.Int("output_datatype", 1))
	}
	return d, nil
}

func inferWindow(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d, err := outputType(c)
	if err != nil {
		return err
	}
	n, ok, err := scalarInt(c, 0, "size", 0)
	if !ok {
		n = -1
	}
	c.Set(0, d, tensor.Shape{n})
	return err
}

// prepareWindow makes windows of the form a - b·cos(2πk/n) + c·cos(4πk/n), where n is the size or, of symmetric ones, one
// less. A window of one element is 1.
func prepareWindow(a, b, c2 float64) func(c *op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		y := c.Out[0]
		size := y.Len()
		n := size
		if !c.Attrs.Bool("periodic", true) {
			n--
		}
		w := make([]float64, size)
		for k := range w {
			if n == 0 {
				w[k] = 1
				break
			}
			one, _ := turn(k%n, n)
			two, _ := turn(2*k%n, n)
			w[k] = float64(a-float64(b*one)) + float64(c2*two)
		}
		return func() error {
			number.Write(y, w)
			return nil
		}, nil
	}
}

func inferMel(c *op.Call) error {
	if err := c.Need(5); err != nil {
		return err
	}
	d, err := outputType(c)
	if err != nil {
		return err
	}
	bins, ok, err := scalarInt(c, 0, "num_mel_bins", 1)
	if err != nil {
		return err
	}
	if !ok {
		bins = -1
	}
	rows := -1
	length, ok, err := scalarInt(c, 1, "dft_length", 1)
	if err != nil {
		return err
	}
	if ok {
		rows = length/2 + 1
	}
	c.Set(0, d, tensor.Shape{rows, bins})
	return nil
}

// prepareMel makes triangles whose corners lie at equal steps of the mel scale, mel(f) = 2595·log10(1 + f/700).
func prepareMel(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	bins, rows := y.Shape[1], y.Shape[0]
	m := make([]float64, y.Len())
	corner := make([]int, bins+2)
	return func() error {
		length, ok, err := scalarInt(c, 1, "dft_length", 1)
		if err != nil || !ok {
			return err
		}
		rate, _, err := scalarInt(c, 2, "sample_rate", 1)
		if err != nil {
			return err
		}
		var edge [2]float64
		for i := range edge {
			v, ok := number.Scalar(c.In[3+i])
			if !ok || !(v > -700) || v > 1e12 {
				return c.Errorf("input %d: edge %g Hz is out of range", 3+i, v)
			}
			edge[i] = 2595 * math.Log1p(v/700) / math.Ln10
		}
		step := (edge[1] - edge[0]) / float64(len(corner))
		for i := range corner {
			hertz := 700 * math.Expm1((float64(float64(i)*step)+edge[0])/2595*math.Ln10)
			k := math.Floor(float64(float64(length+1)*hertz) / float64(rate))
			if !(k >= 0) || k > float64(rows) || i <= bins && k == float64(rows) {
				return c.Errorf("frequency %g Hz lies beyond %d bins at %d samples per second", hertz, rows, rate)
			}
			corner[i] = int(k)
		}
		clear(m)
		for i := range bins {
			lo, mid, hi := corner[i], corner[i+1], corner[i+2]
			if lo == mid {
				m[mid*bins+i] = 1
			}
			for j := lo; j <= mid && lo < mid; j++ {
				m[j*bins+i] = float64(j-lo) / float64(mid-lo)
			}
			for j := mid; j < hi; j++ {
				m[j*bins+i] = float64(hi-j) / float64(hi-mid)
			}
		}
		number.Write(y, m)
		return nil
	}, nil
}

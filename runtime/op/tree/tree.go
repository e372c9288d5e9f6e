package tree

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// Ops is the table of this family.
var Ops = map[string]op.Op{
	"ai.onnx.ml.TreeEnsemble":           {Infer: inferEnsemble, Prepare: prepareEnsemble},
	"ai.onnx.ml.TreeEnsembleRegressor":  {Infer: inferTreeRegressor, Prepare: prepareTreeRegressor},
	"ai.onnx.ml.TreeEnsembleClassifier": {Infer: inferTreeClassifier, Prepare: prepareTreeClassifier},
	"ai.onnx.ml.LinearClassifier":       {Infer: inferLinearClassifier, Prepare: prepareLinearClassifier},
	"ai.onnx.ml.LinearRegressor":        {Infer: inferLinearRegressor, Prepare: prepareLinearRegressor},
	"ai.onnx.ml.SVMClassifier":          {Infer: inferSVMClassifier, Prepare: prepareSVMClassifier},
	"ai.onnx.ml.SVMRegressor":           {Infer: inferSVMRegressor, Prepare: prepareSVMRegressor},
	"ai.onnx.ml.Scaler":                 {Infer: inferToF32, Prepare: prepareScaler},
	"ai.onnx.ml.Normalizer":             {Infer: inferToF32, Prepare: prepareNormalizer},
	"ai.onnx.ml.Imputer":                {Infer: inferSame, Prepare: prepareImputer},
	"ai.onnx.ml.Binarizer":              {Infer: inferSame, Prepare: prepareBinarizer},
	"ai.onnx.ml.FeatureVectorizer":      {Infer: inferVectorizer, Prepare: prepareVectorizer},
	"ai.onnx.ml.ArrayFeatureExtractor":  {Infer: inferExtractor, Prepare: prepareExtractor},
	"ai.onnx.ml.OneHotEncoder":          {Infer: inferOneHot, Prepare: prepareOneHot},
	"ai.onnx.ml.LabelEncoder":           {Infer: inferLabels, Prepare: prepareLabels},
	"ai.onnx.ml.CategoryMapper":         {Infer: inferLabels, Prepare: prepareLabels},
}

var numeric = []tensor.DType{tensor.F32, tensor.F64, tensor.F16, tensor.I64, tensor.I32}

// checkRows checks input 0, a matrix or a vector that counts as one row, and returns its extents, -1 where unknown.
func checkRows(c *op.Call) (rows, cols int, err error) {
	if err := c.Need(1); err != nil {
		return 0, 0, err
	}
	if err := c.Want(0, numeric...); err != nil {
		return 0, 0, err
	}
	switch s := c.In[0].Shape; {
	case s == nil:
		return -1, -1, nil
	case len(s) == 1:
		return 1, s[0], nil
	case len(s) == 2:
		return s[0], s[1], nil
	default:
		return 0, 0, c.Errorf("input has shape %v, want rows of features", s)
	}
}

// reals reads an attribute of floats, which may be given as tensor under its own name or with _as_tensor behind it.
func reals(c *op.Call, name string) []float64 {
	t := c.Attrs.Tensor(name)
	if t == nil {
		t = c.Attrs.Tensor(name + "_as_tensor")
	}
	if t != nil && number.Getter(t.DType) != nil {
		v := make([]float64, t.Len())
		number.Read(v, t)
		return v
	}
	var v []float64
	for _, f := range c.Attrs.Floats(name) {
		v = append(v, float64(f))
	}
	return v
}

// input returns a function that reads the whole of input i into its own memory.
func input(c *op.Call, i int) func() []float64 {
	x := op.Make[float64](c, c.In[i].Len())
	return func() []float64 {
		number.Read(x, c.In[i])
		return x
	}
}

// labels are the classes that a classifier tells apart.
type labels struct {
	ints []int64
	strs []string
}

func readLabels(c *op.Call, ints string) labels {
	l := labels{strs: c.Attrs.Strs("classlabels_strings")}
	if l.strs == nil {
		l.ints = attr.Get[[]int64](c.Attrs, ints, nil)
	}
	return l
}

func (l labels) len() int { return max(len(l.ints), len(l.strs)) }

func (l labels) dtype() tensor.DType {
	if l.strs != nil {
		return tensor.String
	}
	return tensor.I64
}

// put stores class k as element i of y; beyond the list, classes are their own labels, and strings are empty.
func (l labels) put(y *tensor.Tensor, i, k int) {
	switch {
	case y == nil:
	case l.strs != nil:
		y.Str[i] = ""
		if k >= 0 && k < len(l.strs) {
			y.Str[i] = l.strs[k]
		}
	case k >= 0 && k < len(l.ints):
		tensor.Of[int64](y)[i] = l.ints[k]
	default:
		tensor.Of[int64](y)[i] = int64(max(k, 0))
	}
}

// setClassified sets the outputs of a classifier: labels and scores.
func setClassified(c *op.Call, l labels, rows, scores int) {
	c.Set(0, l.dtype(), tensor.Shape{rows})
	c.Set(1, tensor.F32, tensor.Shape{rows, scores})
}

// best is the first of the largest.
func best(v []float64) int {
	k := 0
	for i, x := range v {
		if x > v[k] {
			k = i
		}
	}
	return k
}

// transform changes the scores of one row in place.
type transform func(v []float64)

func readTransform(c *op.Call) (transform, error) {
	name := c.Attrs.Str("post_transform", "NONE")
	if c.Op == "ai.onnx.ml.TreeEnsemble" {
		n := c.Attrs.Int("post_transform", 0)
		list := []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}
		if n < 0 || n >= len(list) {
			return nil, c.Errorf("post_transform %d unknown", n)
		}
		name = list[n]
	}
	exp := func(v float64) float64 { return float64(fmath.Exp(float32(v))) }
	if c.Out[0] != nil && c.Out[0].DType == tensor.F64 {
		exp = math.Exp
	}
	switch name {
	case "NONE":
		return func([]float64) {}, nil
	case "LOGISTIC":
		return func(v []float64) {
			for i, x := range v {
				e := exp(-math.Abs(x))
				if v[i] = 1 / (1 + e); x < 0 {
					v[i] = e / (1 + e)
				}
			}
		}, nil
	case "SOFTMAX":
		return func(v []float64) { softmax(v, exp, false) }, nil
	case "SOFTMAX_ZERO":
		return func(v []float64) { softmax(v, exp, true) }, nil
	case "PROBIT":
		return func(v []float64) {
			for i, x := range v {
				v[i] = 1.41421356 * inverseErf(float64(2*x)-1)
			}
		}, nil
	}
	return nil, c.Errorf("post_transform %q unknown", name)
}

// softmax leaves zeros out, but for scale, where zero is set.
func softmax(v []float64, exp func(float64) float64, zero bool) {
	if len(v) == 0 {
		return
	}
	top := v[best(v)]
	sum := 0.0
	for i, x := range v {
		if zero && math.Abs(x) <= 1e-7 {
			v[i] = x * exp(-top)
		} else {
			v[i] = exp(x - top)
		}
		sum += v[i]
	}
	for i := range v {
		if sum == 0 {
			v[i] = .5
		} else {
			v[i] /= sum
		}
	}
}

// inverseErf is Winitzki's approximation, which the domain's PROBIT is defined by.
func inverseErf(x float64) float64 {
	l := float64((1 - x) * (1 + x))
	if l == 0 {
		return 0
	}
	l = math.Log(l)
	a := 2/(math.Pi*.147) + float64(.5*l)
	return math.Copysign(math.Sqrt(math.Sqrt(float64(a*a)-float64(1/.147*l))-a), x)
}

// Package golden holds recorded inputs and outputs of a model and compares what a runtime computes with them.
//
// A folder of goldens has one subfolder per case with in.NAME.npy and out.NAME.npy, and a tolerance.json beside them.
// Importers: commands, tests and the device's agent.
package golden

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Tolerance says how close an output must come. Only what is set is asked for; where nothing is, all elements must be
// equal.
type Tolerance struct {
	RTol   *float64 `json:"rtol,omitempty"`   // with ATol: |y-r| <= atol + rtol*|r| for every element
	ATol   *float64 `json:"atol,omitempty"`   //
	Cosine *float64 `json:"cosine,omitempty"` // smallest cosine between the outputs as real numbers
	Top1   *bool    `json:"top1,omitempty"`   // the largest element must be the same
	Equal  *float64 `json:"equal,omitempty"`  // smallest share of equal elements
}

// Strict reports whether nothing is set.
func (t Tolerance) Strict() bool {
	return t.RTol == nil && t.ATol == nil && t.Cosine == nil && t.Top1 == nil && t.Equal == nil
}

// ReadTolerance reads dir/tolerance.json; a missing file is a strict tolerance.
func ReadTolerance(dir string) (Tolerance, error) {
	var t Tolerance
	path := filepath.Join(dir, "tolerance.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Cases lists the subfolders of dir that hold goldens, in numeric, then alphabetic order.
func Cases(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if m, _ := filepath.Glob(filepath.Join(path, "out.*.npy")); e.IsDir() && len(m) > 0 {
			list = append(list, path)
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		if a < b {
			return -1
		}
		return 1
	})
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no subfolder with out.*.npy files", dir)
	}
	return list, nil
}

// Load reads prefix.NAME.npy for each name, the names made safe for files.
func Load(dir, prefix string, names []string) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(names))
	for i, f := range npy.FileName(names) {
		t, err := npy.ReadFile(filepath.Join(dir, prefix+"."+f+".npy"))
		if err != nil {
			return nil, err
		}
		list[i] = t
	}
	return list, nil
}

// Difference measures how far an output is from its reference.
type Difference struct {
	MaxAbs float64 // largest |y-r|
	MaxRel float64 // largest |y-r| / |r|, where r is not 0
	Cosine float64 // of the two as vectors of reals; 1 where both are 0
	Equal  float64 // share of equal elements
	Top1   bool    // the largest element stands in the same place
	// Beyond is the number of elements outside rtol and atol, and Worst the index of the one that is furthest out.
	Beyond, Worst int
}

// Compare measures y against the reference r. Integers are compared as the reals that q gives them, where it is set.
func Compare(y, r *tensor.Tensor, q *tensor.QParams, t Tolerance) (Difference, error) {
	var d Difference
	if y.DType != r.DType || !y.Shape.Equal(r.Shape) {
		return d, fmt.Errorf("output is %v, the golden is %v", y, r)
	}
	if y.DType == tensor.String {
		d.Worst = -1
		same := 0
		for i := range y.Str {
			if y.Str[i] == r.Str[i] {
				same++
			}
		}
		d.Equal = share(same, len(y.Str))
		d.Cosine, d.Top1 = d.Equal, same == len(y.Str)
		return d, nil
	}
	a, err := Reals(y, q)
	if err != nil {
		return d, err
	}
	b, err := Reals(r, q)
	if err != nil {
		return d, err
	}
	rtol, atol := deref(t.RTol), deref(t.ATol)
	var dot, aa, bb, worst float64
	same := 0
	d.Worst = -1
	for i := range a {
		if a[i] == b[i] || math.IsNaN(a[i]) && math.IsNaN(b[i]) {
			same++
			if !math.IsInf(a[i], 0) && !math.IsNaN(a[i]) {
				dot, aa, bb = dot+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
			}
			continue
		}
		diff := math.Abs(a[i] - b[i])
		if math.IsNaN(diff) {
			diff = math.Inf(1)
		}
		d.MaxAbs = max(d.MaxAbs, diff)
		if b[i] != 0 {
			d.MaxRel = max(d.MaxRel, diff/math.Abs(b[i]))
		}
		if over := diff - (atol + rtol*math.Abs(b[i])); !(over <= 0) {
			d.Beyond++
			if d.Worst < 0 || over > worst {
				d.Worst, worst = i, over
			}
		}
		dot, aa, bb = dot+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	d.Equal = share(same, len(a))
	switch {
	case aa == 0 && bb == 0:
		d.Cosine = 1
	case aa == 0 || bb == 0 || math.IsNaN(dot):
	default:
		d.Cosine = dot / math.Sqrt(aa) / math.Sqrt(bb)
	}
	d.Top1 = largest(a) == largest(b)
	return d, nil
}

func share(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

func deref(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

func largest(v []float64) int {
	at := -1
	for i, x := range v {
		if at < 0 || x > v[at] {
			at = i
		}
	}
	return at
}

// Check returns what of the tolerance the difference misses, "" where it meets it.
func (d Difference) Check(t Tolerance) string {
	if t.Strict() && d.Equal != 1 {
		return fmt.Sprintf("%.4g %% of the elements differ", 100*(1-d.Equal))
	}
	if (t.RTol != nil || t.ATol != nil) && d.Beyond > 0 {
		return fmt.Sprintf("%d elements are beyond rtol %g and atol %g, worst at index %d", d.Beyond, deref(t.RTol), deref(t.ATol), d.Worst)
	}
	if t.Cosine != nil && !(d.Cosine >= *t.Cosine) {
		return fmt.Sprintf("cosine %.6f is under %g", d.Cosine, *t.Cosine)
	}
	if t.Top1 != nil && *t.Top1 && !d.Top1 {
		return "the largest element is another one"
	}
	if t.Equal != nil && d.Equal < *t.Equal {
		return fmt.Sprintf("%.4g of the elements are equal, want %g", d.Equal, *t.Equal)
	}
	return ""
}

// Reals reads a tensor of numbers as float64, with q's meaning where it is set.
func Reals(t *tensor.Tensor, q *tensor.QParams) ([]float64, error) {
	n := t.Len()
	v := make([]float64, n)
	switch t.DType {
	case tensor.F64:
		copy(v, tensor.Of[float64](t))
	case tensor.F32:
		for i, x := range tensor.Of[float32](t) {
			v[i] = float64(x)
		}
	case tensor.F16:
		for i, x := range tensor.Of[uint16](t) {
			v[i] = float64(half.FromF16(x))
		}
	case tensor.BF16:
		for i, x := range tensor.Of[uint16](t) {
			v[i] = float64(half.FromBF16(x))
		}
	default:
		ints, err := t.Ints()
		if err != nil {
			return nil, err
		}
		for i, x := range ints {
			v[i] = float64(x)
		}
	}
	if q != nil {
		inner, channels := 1, len(q.Scale)
		if channels > 1 {
			inner = tensor.Shape(t.Shape[q.Axis+1:]).Len()
		}
		for i := range v {
			c := 0
			if channels > 1 {
				c = i / inner % channels
			}
			v[i] = (v[i] - float64(q.ZeroAt(c))) * float64(q.Scale[c])
		}
	}
	return v, nil
}

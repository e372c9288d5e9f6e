package golden

import (
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

func ptr[T any](v T) *T { return &v }

func TestCompareAndCheck(t *testing.T) {
	r := tensor.From([]float32{1, 2, -4, 0})
	nan := float32(math.NaN())
	for _, c := range []struct {
		name string
		y    []float32
		tol  Tolerance
		ok   bool
	}{
		{"equal", []float32{1, 2, -4, 0}, Tolerance{}, true},
		{"strict", []float32{1, 2, -4, 1e-9}, Tolerance{}, false},
		{"within", []float32{1.0009, 2, -4, 1e-5}, Tolerance{RTol: ptr(1e-3), ATol: ptr(1e-4)}, true},
		{"beyond", []float32{1.002, 2, -4, 0}, Tolerance{RTol: ptr(1e-3), ATol: ptr(1e-4)}, false},
		{"nan", []float32{nan, 2, -4, 0}, Tolerance{RTol: ptr(1.0), ATol: ptr(1.0)}, false},
		{"nan cosine", []float32{nan, 2, -4, 0}, Tolerance{Cosine: ptr(0.1)}, false},
		{"cosine", []float32{2, 4, -8, 0}, Tolerance{Cosine: ptr(0.9999)}, true},
		{"top1", []float32{2, 1, -4, 0}, Tolerance{Top1: ptr(true)}, false},
		{"share", []float32{1, 2, -4, 7}, Tolerance{Equal: ptr(0.75)}, true},
		{"zeros", []float32{0, 0, 0, 0}, Tolerance{Cosine: ptr(0.5)}, false},
	} {
		d, err := Compare(tensor.From(c.y), r, nil, c.tol)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Check(c.tol); (got == "") != c.ok {
			t.Errorf("%s: Check = %q, want ok %v (%+v)", c.name, got, c.ok, d)
		}
	}
	if _, err := Compare(tensor.From([]float32{1}), r, nil, Tolerance{}); err == nil {
		t.Error("shapes that differ are compared")
	}
}

func TestCompareDequantises(t *testing.T) {
	q := &tensor.QParams{Scale: []float32{0.5}, Zero: []int32{10}}
	d, err := Compare(tensor.From([]int8{10, 12}), tensor.From([]int8{10, 14}), q, Tolerance{})
	if err != nil {
		t.Fatal(err)
	}
	if d.MaxAbs != 1 || d.MaxRel != 0.5 || math.Abs(d.Cosine-1) > 1e-12 {
		t.Errorf("%+v", d)
	}
}

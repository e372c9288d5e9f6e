// Package attr holds the attributes of an operator: a small map of typed constants.
//
// Importers write it, shape rules and kernels read it, so it belongs to neither.
package attr

import (
	"fmt"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Attrs maps an attribute's name to its value: int64, []int64, float32, []float32, string, []string or *tensor.Tensor.
type Attrs map[string]any

// Has reports whether the attribute is present.
func (a Attrs) Has(name string) bool { _, ok := a[name]; return ok }

// Get returns the attribute as a T, or def where it is absent. An attribute of another type is an importer's
// error that Check reports; here it yields def.
func Get[T any](a Attrs, name string, def T) T {
	if v, ok := a[name].(T); ok {
		return v
	}
	return def
}

// Int reads an integer.
func (a Attrs) Int(name string, def int) int { return tensor.Int(Get(a, name, int64(def))) }

// Bool reads an integer that stands for a truth value.
func (a Attrs) Bool(name string, def bool) bool {
	d := int64(0)
	if def {
		d = 1
	}
	return Get(a, name, d) != 0
}

// Float reads a float.
func (a Attrs) Float(name string, def float32) float32 { return Get(a, name, def) }

// Str reads a string.
func (a Attrs) Str(name, def string) string { return Get(a, name, def) }

// Ints reads a list of integers; nil where absent.
func (a Attrs) Ints(name string) []int {
	v, ok := a[name].([]int64)
	if !ok {
		return nil
	}
	r := make([]int, len(v))
	for i, x := range v {
		r[i] = tensor.Int(x)
	}
	return r
}

// Floats reads a list of floats; nil where absent.
func (a Attrs) Floats(name string) []float32 { return Get[[]float32](a, name, nil) }

// Strs reads a list of strings; nil where absent.
func (a Attrs) Strs(name string) []string { return Get[[]string](a, name, nil) }

// Tensor reads a tensor; nil where absent.
func (a Attrs) Tensor(name string) *tensor.Tensor { return Get[*tensor.Tensor](a, name, nil) }

// Set stores v, converting Go's convenient types to the stored ones.
func (a Attrs) Set(name string, v any) {
	switch v := v.(type) {
	case int:
		a[name] = int64(v)
	case bool:
		a[name] = int64(0)
		if v {
			a[name] = int64(1)
		}
	case []int:
		r := make([]int64, len(v))
		for i, x := range v {
			r[i] = int64(x)
		}
		a[name] = r
	case float64:
		a[name] = float32(v)
	default:
		if !Valid(v) {
			panic(fmt.Sprintf("BUG: attribute %s of type %T", name, v))
		}
		a[name] = v
	}
}

// Valid reports whether v has one of the types that Attrs may hold.
func Valid(v any) bool {
	switch v.(type) {
	case int64, []int64, float32, []float32, string, []string, *tensor.Tensor:
		return true
	}
	return false
}

// Clone copies the map; values are shared, as they are never modified.
func (a Attrs) Clone() Attrs {
	c := make(Attrs, len(a))
	for k, v := range a {
		c[k] = v
	}
	return c
}

// Names lists the attributes in sorted order.
func (a Attrs) Names() []string {
	n := make([]string, 0, len(a))
	for k := range a {
		n = append(n, k)
	}
	slices.Sort(n)
	return n
}

package nnx

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Products with weights that stand by input have the bytes of chains over the inputs, whether the weights are known before or not.
func TestTurned(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, n := range []int{1, 31, 64, 65, 200} {
		for _, k := range []int{1, 7, 64} {
			for _, rows := range []int{1, 3, 17} {
				for _, known := range []bool{true, false} {
					w := tensor.From(fill(k*n), k, n)
					x, bias, got := fill(rows*k), fill(n), make([]float32, rows*n)
					c := &op.Call{Name: "n", Op: "Attention", Par: several{}, In: []*tensor.Tensor{{DType: tensor.F32, Shape: w.Shape}}}
					if known {
						c.In[0].Data = w.Data
					}
					src, err := newSource[float32](c, 0, n*k)
					if err != nil {
						t.Fatal(err)
					}
					m := newTurned(c, src, n, k, rows)
					c.In[0].Data = w.Data
					m.ready()
					m.mulAll(got, bias, x, rows)
					for r := range rows {
						want := append([]float32(nil), bias...)
						for i, v := range x[r*k : (r+1)*k] {
							arith32.axpy(want, v, tensor.Of[float32](w)[i*n:][:n])
						}
						for j, v := range want {
							if math.Float32bits(got[r*n+j]) != math.Float32bits(v) {
								t.Fatalf("%d rows of %d by %d, known %v: %d, %d is %g, want %g", rows, k, n, known, r, j, got[r*n+j], v)
							}
						}
					}
				}
			}
		}
	}
}

package ops

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

func TestTable(t *testing.T) {
	names := Names()
	if len(names) < 200 || !slices.IsSorted(names) {
		t.Errorf("%d operators, sorted %v", len(names), slices.IsSorted(names))
	}
	for _, n := range names {
		if o, ok := Lookup(n); !ok || o.Infer == nil || o.Prepare == nil {
			t.Errorf("%s lacks a shape rule or a preparation", n)
		}
	}
	if _, ok := Lookup("If"); ok {
		t.Error("If is no operator")
	}
}

// Nodes with missing, odd and tiny inputs end in an error or a result. A panic would show as ErrInternal; how many
// operators still rely on that is counted, so that the number can only fall.
func TestOddNodes(t *testing.T) {
	const relying = 30
	rng := rand.New(rand.NewPCG(5, 7))
	types := []tensor.DType{tensor.F32, tensor.F32, tensor.I64, tensor.U8, tensor.Bool, tensor.F16, tensor.String, tensor.I8}
	odd := map[string]error{}
	for _, name := range Names() {
		o, _ := Lookup(name)
		for range 300 {
			c := &op.Call{Name: "node", Op: name, Attrs: attr.Attrs{}}
			for range rng.IntN(6) {
				if rng.IntN(6) == 0 {
					c.In = append(c.In, nil)
					continue
				}
				shape := tensor.Shape{}
				for range rng.IntN(5) {
					shape = append(shape, rng.IntN(4))
				}
				x := tensor.New(types[rng.IntN(len(types))], shape)
				for i := range x.Data {
					x.Data[i] = byte(rng.IntN(3))
				}
				c.In = append(c.In, x)
			}
			for range 1 + rng.IntN(3) {
				c.Out = append(c.Out, &tensor.Tensor{})
			}
			if rng.IntN(2) == 0 {
				c.Attrs.Set("axis", rng.IntN(7)-3)
				c.Attrs.Set("kernel_shape", []int{rng.IntN(3), rng.IntN(3)})
			}
			if err := op.Eval(o, c, 1<<20); errors.Is(err, op.ErrInternal) && odd[name] == nil {
				odd[name] = err
			}
		}
	}
	if len(odd) > relying {
		for name, err := range odd {
			t.Logf("%s: %v", name, err)
		}
		t.Errorf("%d operators panic on odd nodes, at most %d did", len(odd), relying)
	}
	t.Logf("%d operators rely on the guard", len(odd))
}

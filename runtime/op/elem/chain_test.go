package elem

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// A chain gives the bytes of the operators that it stands for, one after the other, however its operands are broadcast.
func TestChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	random := func(shape ...int) *tensor.Tensor {
		x := tensor.New(tensor.F32, shape)
		for i := range tensor.Of[float32](x) {
			tensor.Of[float32](x)[i] = float32(rng.NormFloat64() * 3)
		}
		return x
	}
	eval := func(name string, a attr.Attrs, in ...*tensor.Tensor) *tensor.Tensor {
		t.Helper()
		c := &op.Call{Name: "n", Op: name, Attrs: a, In: in, Out: []*tensor.Tensor{{}}}
		if err := op.Eval(Ops[name], c, 0); err != nil {
			t.Fatal(err)
		}
		return c.Out[0]
	}
	for round := range 300 {
		shape := make([]int, 1+rng.IntN(4))
		for i := range shape {
			shape[i] = 1 + rng.IntN([]int{3, 9, 40}[rng.IntN(3)])
		}
		if round%10 == 0 {
			shape = []int{1 + rng.IntN(3), 2000 + rng.IntN(3000), 1 + rng.IntN(3)}
		}
		in := []*tensor.Tensor{random(shape...)}
		want := in[0]
		var chain []string
		for range 1 + rng.IntN(5) {
			if rng.IntN(3) == 0 {
				name := []string{"HardSwish", "Tanh", "Neg", "Elu"}[rng.IntN(4)]
				want, chain = eval(name, attr.Attrs{}, want), append(chain, name)
				continue
			}
			name := []string{"Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu"}[rng.IntN(7)]
			s := shape[rng.IntN(len(shape)+1):]
			b := make([]int, len(s))
			for i := range s {
				if b[i] = s[i]; rng.IntN(3) == 0 {
					b[i] = 1
				}
			}
			operand, text := random(b...), fmt.Sprintf("%s in=%d", name, len(in))
			if name == "PRelu" || rng.IntN(2) == 0 {
				want = eval(name, attr.Attrs{}, want, operand)
			} else {
				want, text = eval(name, attr.Attrs{}, operand, want), text+" rev"
			}
			in, chain = append(in, operand), append(chain, text)
		}
		if got := eval("Chain", attr.Attrs{"chain": chain}, in...); !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("%v %v: the bytes differ", shape, chain)
		}
	}
	for _, bad := range []string{"", "Nothing", "Add", "Add in=9", "Add in=x", "Add in=1", "Tanh what", "Add in=2", "PRelu in=0 rev"} {
		c := &op.Call{Name: "n", Op: "Chain", Attrs: attr.Attrs{"chain": []string{bad}}, Out: []*tensor.Tensor{{}},
			In: []*tensor.Tensor{random(2, 3), random(4), tensor.New(tensor.I32, tensor.Shape{3})}}
		if err := op.Eval(Ops["Chain"], c, 0); err == nil || !strings.HasPrefix(err.Error(), "n (Chain): chain: ") {
			t.Errorf("step %q gives %v", bad, err)
		}
	}
}

package opt_test

import (
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// What the file says of a value gives way to the rules: names of dimensions that a value turns out not to have are gone.
func TestNamesOfDimensions(t *testing.T) {
	for name, text := range map[string]string{
		"branches of different shapes": `graph main(c: bool[], x: f32[n]) -> (y) {
  y = If(c) {then_branch=graph () -> (a) {
    a = Relu(x)
  }, else_branch=graph () -> (b) {
    b = Unsqueeze(x, i64[1]{0})
  }}
}`,
		"another rank": `graph main(x: f32[n,4]) -> (y) {
  y = Abs(x)
}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := parse(t, text)
			g.Outputs[0].Shape, g.Outputs[0].Dims = tensor.Shape{-1}, []string{"m"}
			if _, err := optimise(g); err != nil {
				t.Fatal(err)
			}
		})
	}
}

package graphgen_test

import (
	"testing"

	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/model"
)

// The graphs of a some hundred seeds hold every kind of operator that properties are to cover.
func TestCovers(t *testing.T) {
	found := map[string]int{}
	for seed := range 500 {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 10, Quant: true, Flow: seed%4 == 0, Dynamic: seed%3 == 0})
		if err := model.Verify(g.Graph); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if again := graphgen.New(uint64(seed), graphgen.Options{Nodes: 10, Quant: true, Flow: seed%4 == 0, Dynamic: seed%3 == 0}); again.String() != g.String() {
			t.Errorf("seed %d gives two graphs", seed)
		}
		g.Walk(func(_ *model.Graph, n *model.Node) {
			found[n.Op]++
			if n.Op == "QuantizeLinear" || n.Op == "DequantizeLinear" {
				found[n.Op+" "+map[bool]string{false: "per tensor", true: "per channel"}[n.Attrs.Has("axis")]]++
				if z := n.Input(2); z != nil && z.Const != nil {
					found["zero point "+z.DType.String()]++
				} else if z == nil {
					found["no zero point"]++
				}
			}
		})
	}
	for _, what := range []string{
		"QuantizeLinear per tensor", "QuantizeLinear per channel", "DequantizeLinear per tensor", "DequantizeLinear per channel",
		"zero point u8", "zero point i8", "no zero point", "DynamicQuantizeLinear", "Cast",
		"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "com.microsoft.QLinearAdd", "com.microsoft.QLinearMul",
		"com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu", "com.microsoft.QLinearConcat", "com.microsoft.QLinearSoftmax",
		"com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool", "com.microsoft.QGemm",
		"com.microsoft.MatMulIntegerToFloat", "com.microsoft.DynamicQuantizeMatMul",
		"Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Mul", "Sub",
		"Transpose", "Reshape", "Concat", "Slice", "Pad", "Softmax", "If", "Loop",
	} {
		if found[what] < 5 {
			t.Errorf("%s: %d in all graphs", what, found[what])
		}
	}
}

package runtime_test

import (
	"testing"

	"github.com/edgerun/edgerun/model/tflite"
)

// Operators on quantised values are within a step of LiteRT's reference kernels.
func TestLiteQuantised(t *testing.T) {
	for _, m := range liteModels(t, "lite_quant.jsonl") {
		t.Run(m.Name, func(t *testing.T) {
			net, s := liteSession(t, m.Model, tflite.Options{})
			for _, r := range m.Runs {
				checkLite(t, net, s, r.In, r.Out)
			}
		})
	}
}

package move

import (
	"encoding/json"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

// The pools of MediaPipe, against what one computes by hand.
func TestMediaPipePools(t *testing.T) {
	value := func(shape []int, v ...float32) *optest.Value {
		return &optest.Value{DType: "f32", Shape: shape, Data: tensor.Bytes(v)}
	}
	raw := func(kind, text string) [2]json.RawMessage {
		return [2]json.RawMessage{json.RawMessage(`"` + kind + `"`), json.RawMessage(text)}
	}
	attrs := func(pad string) map[string][2]json.RawMessage {
		return map[string][2]json.RawMessage{"auto_pad": raw("string", `"`+pad+`"`), "kernel_shape": raw("ints", "[2,2]"), "strides": raw("ints", "[2,2]")}
	}
	x := value([]int{1, 3, 4, 1},
		1, 5, 2, 2,
		4, 3, 9, 1,
		-3, -2, 7, 8)
	pooled, places := value([]int{1, 1, 2, 1}, 5, 9), value([]int{1, 1, 2, 1}, 1.1, 2.1)
	for _, c := range []*optest.Case{
		{Name: "valid", Op: "mediapipe.MaxPoolArgmax", Attrs: attrs("VALID"), In: []*optest.Value{x}, Out: []*optest.Value{pooled, places}},
		{Name: "same", Op: "mediapipe.MaxPoolArgmax", Attrs: attrs("SAME_UPPER"), In: []*optest.Value{x},
			Out: []*optest.Value{value([]int{1, 2, 2, 1}, 5, 9, -2, 8), value([]int{1, 2, 2, 1}, 1.1, 2.1, 1.1, 1.1)}},
		{Name: "back", Op: "mediapipe.MaxUnpool", Attrs: attrs("VALID"), In: []*optest.Value{pooled, places},
			Out: []*optest.Value{value([]int{1, 2, 4, 1}, 0, 5, 0, 0, 0, 0, 9, 0)}},
		{Name: "outside", Op: "mediapipe.MaxUnpool", Attrs: attrs("SAME_UPPER"), In: []*optest.Value{pooled, value([]int{1, 1, 2, 1}, 400, -1)},
			Out: []*optest.Value{value([]int{1, 2, 4, 1}, 0, 0, 0, 0, 0, 0, 0, 0)}},
	} {
		if err := optest.Check(Ops, c); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if err := optest.Check(Ops, &optest.Case{Name: "bad", Op: "mediapipe.MaxUnpool", Attrs: attrs("LEFT"), In: []*optest.Value{pooled, places}, Out: []*optest.Value{x}}); err == nil {
		t.Error("padding LEFT is taken")
	}
}

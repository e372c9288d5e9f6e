package runtime

import (
	"testing"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/runtime/cache"
)

// Everything that what is cached follows from is in its key.
func TestCacheKeys(t *testing.T) {
	seen := map[cache.Key]bool{}
	add := func(k cache.Key) {
		t.Helper()
		if seen[k] {
			t.Error("a key of something else")
		}
		seen[k] = true
	}
	base := graphKey("onnx", "1", ReadOptions{}, Options{})
	add(base)
	add(graphKey("edge", "1", ReadOptions{}, Options{}))
	add(graphKey("onnx", "2", ReadOptions{}, Options{}))
	add(graphKey("onnx", "1", ReadOptions{Precision: "bf16"}, Options{}))
	add(graphKey("onnx", "1", ReadOptions{ExposeStates: true}, Options{}))
	add(graphKey("onnx", "1", ReadOptions{MaxMemory: 5}, Options{}))
	add(graphKey("onnx", "1", ReadOptions{}, Options{MaxMemory: 5}))
	add(graphKey("onnx", "1", ReadOptions{}, Options{SkipPasses: []string{"a"}}))
	add(graphKey("onnx", "1", ReadOptions{}, Options{SkipPasses: []string{"a", "b"}}))
	if graphKey("onnx", "1", ReadOptions{Keys: []string{"k"}}, Options{MaxMemory: DefaultMaxMemory, Plans: 3}) != base {
		t.Error("what makes no difference has another key")
	}
	if graphKey("onnx", "1", ReadOptions{}, Options{SkipPasses: []string{"b", "a"}}) != graphKey("onnx", "1", ReadOptions{}, Options{SkipPasses: []string{"a", "b"}}) {
		t.Error("the order of passes that are left out matters")
	}
	all := cpu.All("amd64")
	add(packedKey(base, all))
	for _, mask := range []string{"-avx512", "-avx2", "-vnni"} {
		f, err := all.Mask(mask)
		if err != nil {
			t.Fatal(err)
		}
		add(packedKey(base, f))
	}
}

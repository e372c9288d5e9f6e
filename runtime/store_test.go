package runtime

import (
	"context"
	"runtime"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// What is made for one set of input shapes goes when its plan goes; what comes from the graph's constants is made once.
func TestStoreIsBounded(t *testing.T) {
	const text = `graph main(x: f32[1,k]) -> (z) {
  const w: f32[256,8]{0.5, ...}
  s = Shape(x) : i64[2]
  k = Gather(s, i: i64[1]{1}) {axis=0} : i64[1]
  t = Concat(k, n: i64[1]{256}) {axis=0} : i64[2]
  v = Expand(one: f32[1,1]{1}, t) : f32[?,256]
  y = MatMul(x, v) : f32[1,256]
  z = MatMul(y, w) : f32[1,8]
}`
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(g, Options{Plans: 2})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession(SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	heap := func() int {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	run := func(k int) {
		x := tensor.New(tensor.F32, tensor.Shape{1, k})
		tensor.Of[float32](x)[0] = 2
		out := []*tensor.Tensor{{}}
		if err := s.Run(context.Background(), []*tensor.Tensor{x}, out); err != nil {
			t.Fatal(err)
		}
		if got := tensor.Of[float32](out[0])[7]; got != 256 {
			t.Fatalf("%d columns give %g", k, got)
		}
	}
	warm, more := 8, 60
	if Racing {
		warm, more = 4, 12
	}
	for k := range warm {
		run(1000 + k)
	}
	made, before := len(m.store.made), heap()
	if p := m.order.Front().Value.(*planned); made == 0 || len(p.store.made) == 0 {
		t.Fatalf("%d entries kept for the model, %d for the plan", made, len(p.store.made))
	}
	for k := range more {
		run(2000 + k)
	}
	// Each plan has a constant of two MB, and as much again packed.
	if grown := heap() - before; grown > more/2*2<<20 {
		t.Errorf("%d more shapes take %d bytes", more, grown)
	}
	if len(m.store.made) != made || len(m.plans) != 2 || m.order.Len() != 2 {
		t.Errorf("%d entries became %d; %d plans are kept", made, len(m.store.made), len(m.plans))
	}
	if len(s.instances) > sessionPlans {
		t.Errorf("a session keeps %d instances", len(s.instances))
	}
}

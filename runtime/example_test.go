package runtime_test

import (
	"context"
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime"
)

// A model is made once and shared; each goroutine that runs it has a session. Open does the same for a file.
func Example() {
	g, err := model.Parse([]byte(`graph main(x: f32[?,3]) -> (y) {
  const w: f32[3]{1, 2, 3}
  scale: s = Mul(x, w)
  clip: y = Relu(s)
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	in := []*tensor.Tensor{tensor.From([]float32{1, -1, 4}, 1, 3)}
	out := []*tensor.Tensor{{}} // the first Run gives it memory, later ones write into that
	if err := s.Run(context.Background(), in, out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out[0], tensor.Of[float32](out[0]))
	// Output: f32[1,3] [1 0 12]
}

package pipeline_test

import (
	"context"
	"fmt"
	"os"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// mean stands for a model: its scores are the mean of the picture and one minus it.
type mean struct{}

func (mean) Run(_ context.Context, in, out []*tensor.Tensor) error {
	v := tensor.Of[float32](in[0])
	var sum float32
	for _, x := range v {
		sum += x
	}
	sum /= float32(len(v))
	*out[0] = *tensor.From([]float32{1 - sum, sum}, 1, 2)
	return nil
}

// A pipeline joins settings and a model; what it finds is printed for people, or marshalled as JSON.
func Example() {
	spec, err := pipeline.ParseFlags("resize=stretch,scale=1/255,layout=nchw,classify,top=1", os.ReadFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	spec.Labels = []string{"dark", "bright"}
	model := pipeline.FromSession(mean{}, // a *runtime.Session
		[]pipeline.Info{{Name: "image", DType: tensor.F32, Shape: tensor.Shape{1, 3, 8, 8}}},
		[]pipeline.Info{{Name: "scores", DType: tensor.F32, Shape: tensor.Shape{1, 2}}})
	p, err := pipeline.New(spec, model, pipeline.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := p.Run(context.Background(), pipeline.Source{Image: pixel.New(20, 10)}) // or Data: the bytes of a file
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := res.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output: 100.0 %  dark
}

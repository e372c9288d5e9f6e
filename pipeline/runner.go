package pipeline

import (
	"context"
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Info describes one input or output of a model. In Shape -1 is a free extent; a nil Shape has a free rank.
type Info struct {
	Name  string
	DType tensor.DType
	Shape tensor.Shape
	Quant *tensor.QParams
}

// Runner runs a model. Inputs and outputs are in the order of Inputs and Outputs; the inputs are not modified. The outputs
// are valid until the next call.
type Runner interface {
	Inputs() []Info
	Outputs() []Info
	Run(ctx context.Context, in []*tensor.Tensor) ([]*tensor.Tensor, error)
}

// find returns the index of the named one; where name is empty, of the first that skip does not hold.
func find(list []Info, name string, skip map[string]bool) (int, error) {
	for i, f := range list {
		if f.Name == name || name == "" && !skip[f.Name] {
			return i, nil
		}
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Name
	}
	return 0, fmt.Errorf("the model has no %q, but %q", name, names)
}

package pipeline

import (
	"context"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Session is what runs a model into given outputs, as runtime.Session does: an output tensor without data gets new data.
type Session interface {
	Run(ctx context.Context, in, out []*tensor.Tensor) error
}

// FromSession makes a Runner of a Session and what its model says about inputs and outputs.
func FromSession(s Session, inputs, outputs []Info) Runner { return &sessionRunner{s, inputs, outputs} }

type sessionRunner struct {
	session         Session
	inputs, outputs []Info
}

func (r *sessionRunner) Inputs() []Info  { return r.inputs }
func (r *sessionRunner) Outputs() []Info { return r.outputs }

func (r *sessionRunner) Run(ctx context.Context, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, len(r.outputs))
	for i, o := range r.outputs {
		out[i] = &tensor.Tensor{DType: o.DType, Quant: o.Quant}
	}
	if err := r.session.Run(ctx, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

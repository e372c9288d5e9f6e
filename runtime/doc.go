// Package runtime loads models and runs them.
//
//	m, err := runtime.Open("model.edge", runtime.ReadOptions{}, runtime.Options{})
//	s, err := m.NewSession(runtime.SessionOptions{})
//	defer s.Close()
//	err = s.Run(ctx, in, out)
//
// A Model is immutable and shared by any number of goroutines. A Session belongs to one goroutine at a time and owns
// the memory of one inference. Everything about a model is checked when it is opened and planned; Run fails only on
// wrong input, on cancellation and where data decide the shapes (then also on what these imply).
//
// Values that a model carries from one call to the next (the state of an LSTM, say) are ordinary inputs and outputs:
// feed each output back into its input.
//
// This package is the facade: the work is done in opt (passes), plan (lowering), exec (running), ops (operators) and
// pool (threads).
package runtime

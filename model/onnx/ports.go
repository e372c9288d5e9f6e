package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Kind tells tensors, sequences and optional values apart.
type Kind uint8

// The kinds of values. In a graph an Optional is a sequence of at most one element.
const (
	KindUnknown Kind = iota
	KindTensor
	KindSequence
	KindOptional
)

// Port is an input or output as the file declares it.
type Port struct {
	Name  string
	Kind  Kind
	DType tensor.DType // of a tensor
	Shape tensor.Shape // of a tensor; nil where it is open
	// Elem is the kind of a sequence's or optional's elements.
	Elem Kind
}

// Signature lists the inputs, without those that have initializers, and the outputs of a model.
func Signature(data []byte, o Options) (inputs, outputs []Port, err error) {
	dec := newDecoder(len(data), o)
	defer dec.close()
	p, err := dec.model(msg{b: data})
	if err != nil {
		return nil, nil, err
	}
	given := map[string]bool{}
	for _, t := range p.graph.inits {
		given[t.name] = true
	}
	port := func(v *valueProto) Port {
		r := Port{Name: v.name, Kind: v.typ.kind, DType: v.typ.dtype, Shape: v.typ.shape}
		if v.typ.elem != nil {
			r.Elem = v.typ.elem.kind
		}
		return r
	}
	for i := range p.graph.inputs {
		if v := &p.graph.inputs[i]; !given[v.name] {
			inputs = append(inputs, port(v))
		}
	}
	for i := range p.graph.outputs {
		outputs = append(outputs, port(&p.graph.outputs[i]))
	}
	return inputs, outputs, nil
}

// ReadValue reads a TensorProto, SequenceProto or OptionalProto, as kind says, and the name that it bears. Sequences and
// optional values become tensors of type Sequence. The tensors refer to data.
func ReadValue(data []byte, k Kind, o Options) (string, *tensor.Tensor, error) {
	dec := newDecoder(len(data), o)
	return dec.anyValue(msg{b: data}, k, 0)
}

func (d *decoder) anyValue(m msg, k Kind, depth int) (name string, t *tensor.Tensor, err error) {
	if depth > maxTypeDepth {
		return "", nil, fmt.Errorf("byte %d: %w: values nested more than %d deep", m.off, ErrLimit, maxTypeDepth)
	}
	if k == KindTensor || k == KindUnknown {
		return d.tensor(m)
	}
	t = &tensor.Tensor{DType: tensor.Sequence, Elems: []*tensor.Tensor{}}
	element := func(fd *field, k Kind) error {
		return fd.message(func(m msg) error {
			_, e, err := d.anyValue(m, k, depth+1)
			if err != nil {
				return err
			}
			t.Elems = append(t.Elems, e)
			return d.charge(256)
		})
	}
	// The tags of SequenceProto and OptionalProto agree up to 5.
	elems := map[protowire.Number]Kind{3: KindTensor, 5: KindSequence, 7: KindOptional}
	err = each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&name)
		case 3, 5, 7:
			return element(fd, elems[fd.num])
		case 4, 6:
			return fmt.Errorf("byte %d: %w: sparse tensors and maps as values", fd.off, ErrUnsupported)
		}
		return nil
	})
	if err == nil && k == KindOptional && len(t.Elems) > 1 {
		err = m.errorf("optional with %d elements", len(t.Elems))
	}
	return name, t, err
}

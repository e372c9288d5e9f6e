package tflite

import (
	"fmt"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Element types of tensors that hold no numbers.
const (
	typeResource = 13
	typeVariant  = 14
)

// resource is a variable or a table that operators share by a handle. As operators run in order, a variable is nothing but the
// value that was assigned last. It begins each run with the value that CALL_ONCE assigns; with Options.ExposeStates it is an input
// and an output instead, and that value is for the caller to give.
type resource struct {
	name         string
	value        *model.Value // of a variable; nil before the first assignment
	keys, values *model.Value // of a table; nil before the import
	input        *model.Value // of an exposed variable
}

// handle binds output 0 to the resource of a name.
func (b *builder) handle(key, name string) {
	r := b.resources[key]
	if r == nil {
		b.r.charge(256)
		r = &resource{name: name}
		b.resources[key] = r
		b.inOrder = append(b.inOrder, r)
	}
	if len(b.out) == 0 {
		b.fail("%w: no output", ErrFormat)
		return
	}
	v, err := b.value(b.out[0])
	if err != nil || v == nil {
		b.fail("output 0: %w", orMissing(err))
		return
	}
	b.handles[v] = r
}

// resource returns what input 0 is a handle of.
func (b *builder) resource() *resource {
	r := b.handles[b.i(0)]
	if r == nil {
		b.fail("%w: input 0 is no handle of a variable or table", ErrFormat)
		return &resource{}
	}
	return r
}

func varHandle(b *builder) {
	name := b.opts.str(1)
	b.handle("variable "+b.opts.str(0)+"/"+name, name)
}

func readVariable(b *builder) {
	r := b.resource()
	if r.value == nil {
		b.fail("variable %q is read before it is assigned: %w", r.name, ErrUnsupported)
		return
	}
	b.node("Identity", b.o(0), nil, r.value)
}

func assignVariable(b *builder) {
	r, v := b.resource(), b.i(1)
	if b.flows > 0 {
		b.fail("variable %q is assigned within a branch or a loop: %w", r.name, ErrUnsupported)
	}
	if r.value != nil && r.value.DType != v.DType {
		b.fail("%w: variable %q of %v is assigned %v", ErrFormat, r.name, r.value.DType, v.DType)
	}
	r.value = v
}

// callOnce runs what sets variables and tables; here it is a part of the graph, whose constants fold.
func callOnce(b *builder) {
	if b.depth > 1 {
		b.fail("within another subgraph: %w", ErrUnsupported)
		return
	}
	b.inline(b.opts.i32(0, 0), []*model.Value{})
	if !b.opts0().ExposeStates {
		return
	}
	for _, r := range b.inOrder {
		if r.value == nil || r.input != nil {
			continue
		}
		b.r.charge(512)
		r.input = &model.Value{Name: b.unique(r.name), DType: r.value.DType, Shape: r.value.Shape.Clone(), Quant: r.value.Quant}
		r.value = r.input
		b.g.Inputs = append(b.g.Inputs, r.input)
	}
}

// variables appends the outputs of exposed variables.
func (b *builder) variables() {
	for _, r := range b.inOrder {
		if r.input == nil {
			continue
		}
		next := &model.Value{Name: b.unique(r.input.Name + ".next"), DType: r.input.DType, Shape: r.input.Shape.Clone(), Quant: r.input.Quant}
		b.op = "variable"
		b.node("Identity", next, nil, r.value)
		b.outputs = append(b.outputs, next)
	}
}

func hashtable(b *builder) {
	id := b.opts.i32(0, 0)
	b.handle(fmt.Sprint("table ", id), fmt.Sprint("table ", id))
}

func hashtableImport(b *builder) {
	r := b.resource()
	k, v := b.i(1), b.i(2)
	if k.Const == nil || v.Const == nil {
		b.fail("keys and values of %s are not constant: %w", r.name, ErrUnsupported)
		return
	}
	if k.Const.Len() != v.Const.Len() {
		b.fail("%w: %s has %d keys and %d values", ErrFormat, r.name, k.Const.Len(), v.Const.Len())
		return
	}
	if r.keys == nil { // later imports have no effect
		r.keys, r.values = k, v
	}
}

// hashtableFind looks integers or strings up in a table.
func hashtableFind(b *builder) {
	r, def := b.resource(), b.i(2)
	if r.keys == nil {
		b.fail("%s is read before it is filled: %w", r.name, ErrUnsupported)
		return
	}
	if def.Const == nil || def.Const.Len() != 1 || def.DType != r.values.DType {
		b.fail("%s: the default value is no constant of type %v: %w", r.name, r.values.DType, ErrUnsupported)
		return
	}
	a := attr.Attrs{}
	for name, t := range map[string]*model.Tensor{"keys": r.keys.Const, "values": r.values.Const, "default": def.Const} {
		switch t.DType {
		case tensor.I64:
			list := tensor.Of[int64](t)
			if name == "default" {
				a["default_int64"] = list[0]
			} else {
				a[name+"_int64s"] = append([]int64{}, list...)
			}
		case tensor.String:
			if name == "default" {
				a["default_string"] = t.Str[0]
			} else {
				a[name+"_strings"] = append([]string{}, t.Str...)
			}
		default:
			b.fail("%s: %s of type %v: %w", r.name, name, t.DType, ErrUnsupported)
			return
		}
		b.r.charge(16 * t.Len())
	}
	b.node("ai.onnx.ml.LabelEncoder", b.o(0), a, b.i(1))
}

func hashtableSize(b *builder) {
	r := b.resource()
	n := int64(0)
	if r.keys != nil {
		n = int64(r.keys.Const.Len())
	}
	b.node("Identity", b.o(0), nil, model.NewConst(b.unique(b.op+".size"), tensor.From([]int64{n}, 1)))
}

// Package tflite reads TFLite models and translates them to graphs of the operators that package model describes.
//
// Every access to the file is checked, so that no input makes it panic. Quantised tensors become values with Quant;
// fused activations become nodes of their own behind the operator, whose value has the same Quant, so that passes fuse
// them again; spatial operators carry layout NHWC. Variable tensors (the states of LSTM and SVDF) begin at zero in each run
// unless Options.ExposeStates makes them inputs and outputs. It imports model; commands and package runtime import it.
package tflite

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Options say how to read a model. The zero value is good.
type Options struct {
	// ExposeStates turns variable tensors into inputs NAME and outputs NAME.next.
	ExposeStates bool
	// MaxFileBytes bounds the file. 0 means 4 GiB.
	MaxFileBytes int64
	// MaxTensorBytes bounds the data of all tensors together. 0 means 4 GiB.
	MaxTensorBytes int64
}

// Open reads the model in a file.
func Open(path string, o Options) (*model.Graph, error) {
	limit := o.MaxFileBytes
	if limit == 0 {
		limit = 4 << 30
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: no regular file", path, ErrFormat)
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes: %w", path, st.Size(), ErrLimit)
	}
	m, err := mem.Map(f, int(st.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g, err := importBytes(m.Data, o, m.Mapped())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g.Keep = m
	mem.Drop(m.Data)
	return g, nil
}

// Import reads a model. The graph refers to data where alignment allows.
func Import(data []byte, o Options) (*model.Graph, error) { return importBytes(data, o, false) }

func importBytes(data []byte, o Options, mapped bool) (*model.Graph, error) {
	r := &reader{b: data, mapped: mapped, budget: len(data) + slack, tensors: o.MaxTensorBytes}
	if r.tensors == 0 {
		r.tensors = 4 << 30
	}
	root := r.root()
	m := &importer{r: r, opts: o, buffers: root.tables(4), subgraphs: root.tables(2), names: map[string]int{}, builtins: builtins(), complexes: complexBuiltins(), resources: map[string]*resource{}, handles: map[*model.Value]*resource{}, turned: map[turnedKey]*model.Tensor{}}
	for _, c := range root.tables(1) {
		m.codes = append(m.codes, opcode{max(c.i8(0, 0), c.i32(3, 0)), c.str(1)})
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(m.subgraphs) == 0 {
		return nil, fmt.Errorf("%w: no subgraph", ErrFormat)
	}
	g, err := m.graph(0, nil)
	if err != nil {
		return nil, err
	}
	g.Meta = map[string]string{}
	if d := root.str(3); d != "" {
		g.Meta["tflite.description"] = d
	}
	m.labels(root, g)
	if r.err != nil {
		return nil, r.err
	}
	return g, nil
}

type opcode struct {
	code   int
	custom string
}

// importer holds what all subgraphs share.
type importer struct {
	r         *reader
	opts      Options
	buffers   []table
	subgraphs []table
	codes     []opcode
	names     map[string]int
	depth     int
	builtins  map[string]func(*builder)
	resources map[string]*resource
	inOrder   []*resource                 // resources, as they come
	handles   map[*model.Value]*resource  // of values that stand for one
	flows     int                         // branches and loops around the current subgraph
	complexes map[string]func(*builder)   // where an input or output is complex64
	turned    map[turnedKey]*model.Tensor // transposed weights, so that many operators share one copy
}

// builder translates one subgraph.
type builder struct {
	*importer
	g       *model.Graph
	tensors []table
	values  []*model.Value
	op      string // of the operator that is being translated, for names and errors
	in, out []int
	opts    table
	opts2   table // options of operators that came late
	custom  []byte
	inner   []int // intermediate tensors
	index   int
	outputs []*model.Value // new states, appended to the graph's outputs
	err     error
}

var tensorTypes = map[int]tensor.DType{0: tensor.F32, 1: tensor.F16, 2: tensor.I32, 3: tensor.U8, 4: tensor.I64, 5: tensor.String, 6: tensor.Bool,
	7: tensor.I16, typeComplex64: tensor.F32, 9: tensor.I8, 10: tensor.F64, 12: tensor.U64, 15: tensor.U32, 16: tensor.U16, 17: tensor.I4, 18: tensor.BF16}

// unique makes a name that no other value or node has.
func (m *importer) unique(name string) string {
	if name == "" {
		name = "unnamed"
	}
	m.r.charge(256 + 2*len(name)) // two entries of a map that grows by doubling
	for {
		n := m.names[name]
		m.names[name]++
		if n == 0 {
			return name
		}
		name = fmt.Sprintf("%s_%d", name, n)
	}
}

// graph translates subgraph i. Where inputs are given, they stand for its inputs.
func (m *importer) graph(i int, inputs []*model.Value) (*model.Graph, error) {
	if i < 0 || i >= len(m.subgraphs) {
		return nil, fmt.Errorf("%w: subgraph %d of %d", ErrFormat, i, len(m.subgraphs))
	}
	if m.depth++; m.depth > 16 {
		return nil, fmt.Errorf("%w: subgraphs are nested more than 16 deep", ErrLimit)
	}
	defer func() { m.depth-- }()
	s := m.subgraphs[i]
	m.r.charge(1024)
	b := &builder{importer: m, g: &model.Graph{Name: s.str(4)}, tensors: s.tables(0)}
	if b.g.Name == "" {
		b.g.Name = fmt.Sprintf("subgraph%d", i)
	}
	m.r.charge(16 * len(b.tensors))
	if m.r.err != nil {
		return nil, m.r.err
	}
	b.values = make([]*model.Value, len(b.tensors))
	ins, outs := s.ints(1), s.ints(2)
	for k, t := range ins {
		v, err := b.value(t)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", k, err)
		}
		if v == nil || v.Const != nil {
			return nil, fmt.Errorf("%w: input %d is a constant or absent", ErrFormat, k)
		}
		if inputs == nil {
			if typ := b.tensors[t].i8(1, 0); typ == typeResource || typ == typeVariant {
				return nil, fmt.Errorf("input %d: type %s: %w", k, typeName(typ), ErrUnsupported)
			}
			b.g.Inputs = append(b.g.Inputs, v)
			continue
		}
		if k >= len(inputs) {
			return nil, fmt.Errorf("%w: subgraph %d takes %d inputs, %d are given", ErrFormat, i, len(ins), len(inputs))
		}
		b.values[t] = inputs[k]
	}
	for k, o := range s.tables(3) {
		if err := b.operator(k, o); err != nil {
			return nil, err
		}
	}
	if m.r.err != nil {
		return nil, m.r.err
	}
	if m.depth == 1 {
		b.variables()
	}
	for k, t := range outs {
		v, err := b.value(t)
		if err != nil || v == nil {
			return nil, fmt.Errorf("output %d: %w", k, orMissing(err))
		}
		if m.handles[v] != nil && m.depth == 1 {
			return nil, fmt.Errorf("output %d: a handle of a variable or table: %w", k, ErrUnsupported)
		}
		b.g.Outputs = append(b.g.Outputs, v)
	}
	b.g.Outputs = append(b.g.Outputs, b.outputs...)
	if err := b.check(); err != nil {
		return nil, err
	}
	return b.g, nil
}

func orMissing(err error) error {
	if err == nil {
		return fmt.Errorf("%w: the tensor is missing", ErrFormat)
	}
	return err
}

// check finds values that are read and neither made, given nor constant: variable tensors that nobody writes, or damage.
func (b *builder) check() error {
	made := map[*model.Value]bool{}
	for _, v := range b.g.Inputs {
		made[v] = true
	}
	for _, n := range b.g.Nodes {
		for _, v := range n.Out {
			if v != nil {
				if made[v] {
					return fmt.Errorf("%w: tensor %s is written twice", ErrFormat, v.Name)
				}
				made[v] = true
			}
		}
	}
	return nil
}

// value returns the value of tensor i, nil for -1.
func (b *builder) value(i int) (*model.Value, error) {
	if i == -1 {
		return nil, nil
	}
	if i < 0 || i >= len(b.tensors) {
		return nil, fmt.Errorf("%w: tensor %d of %d", ErrFormat, i, len(b.tensors))
	}
	if b.values[i] != nil {
		return b.values[i], nil
	}
	t := b.tensors[i]
	typ := t.i8(1, 0)
	if typ == typeResource || typ == typeVariant {
		b.r.charge(256)
		b.values[i] = &model.Value{Name: b.unique(t.str(3)), DType: tensor.I32, Shape: model.Shape{}}
		return b.values[i], b.r.err
	}
	d, ok := tensorTypes[typ]
	if !ok {
		return nil, fmt.Errorf("tensor %d (%s): type %s: %w", i, t.str(3), typeName(typ), ErrUnsupported)
	}
	b.r.charge(512)
	v := &model.Value{Name: b.unique(t.str(3)), DType: d, Shape: model.Shape{}}
	v.Shape = append(v.Shape, t.ints(0)...)
	if len(v.Shape) > tensor.MaxRank {
		return nil, fmt.Errorf("tensor %s: rank %d: %w", v.Name, len(v.Shape), ErrLimit)
	}
	fixed := v.Shape
	if sig := t.ints(7); len(sig) == len(v.Shape) && len(sig) > 0 {
		v.Shape = slices.Clone(model.Shape(sig))
	}
	for k, x := range v.Shape {
		if x < -1 || fixed[k] < 0 {
			return nil, fmt.Errorf("tensor %s: shape %v: %w", v.Name, v.Shape, ErrFormat)
		}
	}
	if typ == typeComplex64 {
		v.Shape, fixed = append(v.Shape, 2), append(slices.Clone(fixed), 2)
	}
	if err := b.quant(t.sub(4), v); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", v.Name, err)
	}
	data, err := b.data(t)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", v.Name, err)
	}
	b.values[i] = v
	if data == nil {
		if t.flag(5) {
			return v, b.state(i, v)
		}
		return v, b.r.err
	}
	if s := t.sub(6); s.r != nil {
		if data, err = b.dense(s, d, fixed, data); err != nil {
			return nil, fmt.Errorf("tensor %s: sparse data: %w", v.Name, err)
		}
	}
	c, err := b.r.constant(d, fixed, data)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", v.Name, err)
	}
	c.Quant = v.Quant
	v.Shape, v.Const = c.Shape, c
	return v, b.r.err
}

// state makes a variable tensor a constant of zeros, or an input.
func (b *builder) state(i int, v *model.Value) error {
	n, err := v.Shape.Size()
	if err != nil {
		return fmt.Errorf("variable tensor %s: %w", v.Name, err)
	}
	if b.opts0().ExposeStates {
		b.g.Inputs = append(b.g.Inputs, v)
		return nil
	}
	if !b.r.chargeTensor(v.DType, n) {
		return fmt.Errorf("variable tensor %s: %w", v.Name, b.r.err)
	}
	c := tensor.New(v.DType, v.Shape)
	if q := v.Quant; q != nil && q.ZeroAt(0) != 0 { // zero as a real number
		for k := range c.Data {
			c.Data[k] = byte(q.ZeroAt(0))
		}
		if v.DType.Bits() == 16 {
			for k := range n {
				binary.LittleEndian.PutUint16(c.Data[2*k:], uint16(q.ZeroAt(0)))
			}
		}
	}
	c.Quant = v.Quant
	v.Const = c
	return nil
}

func (b *builder) opts0() Options { return b.importer.opts }

func (b *builder) quant(t table, v *model.Value) error {
	scale := t.floats(2)
	if len(scale) == 0 || !v.DType.IsInt() {
		return nil
	}
	if len(scale) == 1 && scale[0] == 0 {
		return nil // written by converters for tensors that are not quantised
	}
	q := &model.QParams{Scale: scale, Axis: t.i32(6, 0)}
	zero := t.longs(3)
	if len(zero) != 0 && len(zero) != len(scale) {
		if len(zero) != 1 {
			return fmt.Errorf("%w: %d scales and %d zero points", ErrFormat, len(scale), len(zero))
		}
		for len(zero) < len(scale) {
			zero = append(zero, zero[0])
		}
	}
	some := false
	for _, z := range zero {
		if z != int64(int32(z)) {
			return fmt.Errorf("%w: zero point %d", ErrFormat, z)
		}
		q.Zero = append(q.Zero, int32(z))
		some = some || z != 0
	}
	if !some {
		q.Zero = nil
	}
	for _, s := range scale {
		if !(s > 0) || s-s != 0 {
			return fmt.Errorf("%w: scale %g", ErrFormat, s)
		}
	}
	if len(scale) > 1 && (q.Axis < 0 || q.Axis >= len(v.Shape) || v.Shape[q.Axis] != len(scale)) {
		return fmt.Errorf("%w: %d scales along axis %d of %v", ErrFormat, len(scale), q.Axis, v.Shape)
	}
	v.Quant = q
	return nil
}

// data returns a tensor's buffer, nil where it has none.
func (b *builder) data(t table) ([]byte, error) {
	i := t.u32(2, 0)
	if i == 0 {
		return nil, nil
	}
	if i >= len(b.buffers) {
		return nil, fmt.Errorf("%w: buffer %d of %d", ErrFormat, i, len(b.buffers))
	}
	buf := b.buffers[i]
	if d := buf.data(0); d != nil {
		return d, b.r.err
	}
	if off, n := buf.u64(1), buf.u64(2); off > 1 {
		if off > uint64(len(b.r.b)) || n > uint64(len(b.r.b))-off {
			return nil, fmt.Errorf("%w: buffer %d reaches beyond the file's end", ErrFormat, i)
		}
		return b.r.b[off : off+n], nil
	}
	return nil, b.r.err
}

// constant makes a tensor over data, copied where it is not aligned.
func (r *reader) constant(d tensor.DType, shape model.Shape, data []byte) (*model.Tensor, error) {
	n, err := shape.Size()
	if err != nil {
		return nil, err
	}
	if !r.chargeTensor(d, n) {
		return nil, r.err
	}
	if d == tensor.String {
		s, err := stringData(data)
		if err != nil {
			return nil, err
		}
		if len(s) != n {
			return nil, fmt.Errorf("%w: %d strings for shape %v", ErrFormat, len(s), shape)
		}
		return tensor.FromStrings(s, shape...), nil
	}
	want := tensor.ByteSize(d, n)
	if len(data) < want || len(data) > want+16 {
		return nil, fmt.Errorf("%w: %d bytes of data for %v%v, want %d", ErrFormat, len(data), d, shape, want)
	}
	t := &tensor.Tensor{DType: d, Shape: shape.Clone(), Data: data[:want:want]}
	large := want >= tensor.LargeView
	misaligned := want > 0 && uintptr(unsafe.Pointer(&data[0]))%uintptr(max(1, d.Bits()/8)) != 0 && !(large && tensor.AnyAddress) ||
		r.mapped && (!large || d == tensor.Bool) // of a mapped file only what is worth it stays there
	if odd := d == tensor.Bool && slices.ContainsFunc(t.Data, func(x byte) bool { return x > 1 }); misaligned || odd {
		t.Data = tensor.AlignedBytes(want)
		copy(t.Data, data)
		if odd { // Go relies on 0 and 1
			for i, x := range t.Data {
				t.Data[i] = min(x, 1)
			}
		}
	}
	return t, nil
}

// stringData reads TFLite's list of strings: their number, the offset of each and of the end, the bytes.
func stringData(b []byte) ([]string, error) {
	r := &reader{b: b}
	n := r.u32(0)
	if n > len(b)/4 {
		return nil, fmt.Errorf("%w: %d strings in %d bytes", ErrFormat, n, len(b))
	}
	list := make([]string, 0, n)
	for i := range n {
		from, to := r.u32(4+4*i), r.u32(8+4*i)
		s := r.bytes(from, to-from)
		if r.err != nil {
			return nil, r.err
		}
		list = append(list, string(s))
	}
	return list, r.err
}

// labels reads the label file that is appended to the model as a zip archive, if the metadata name one.
func (m *importer) labels(root table, g *model.Graph) {
	for _, t := range root.tables(6) {
		name := t.str(0)
		if i := t.u32(1, 0); name == "min_runtime_version" && i < len(m.buffers) {
			v := m.buffers[i].data(0)
			if k := slices.Index(v, 0); k >= 0 {
				v = v[:k]
			}
			g.Meta["tflite.min_runtime_version"] = string(v)
		} else if name == "TFLITE_METADATA" && i < len(m.buffers) {
			m.metadata(m.buffers[i].data(0), g)
		}
	}
	if s := zippedLabels(m.r.b); s != "" {
		g.Meta["labels"] = s
	}
}

// node appends a node with one output of the given value.
func (b *builder) node(op string, out *model.Value, a attr.Attrs, in ...*model.Value) *model.Node {
	if a == nil {
		a = attr.Attrs{}
	}
	b.r.charge(768 + 16*len(in))
	n := &model.Node{Name: b.unique(fmt.Sprintf("%s_%d", b.op, b.index)), Op: op, In: in, Out: []*model.Value{out}, Attrs: a}
	b.g.Nodes = append(b.g.Nodes, n)
	return n
}

// like makes a value for an intermediate result.
func (b *builder) like(v *model.Value, what string) *model.Value {
	b.r.charge(256)
	return &model.Value{Name: b.unique(v.Name + "." + what), DType: v.DType, Quant: v.Quant}
}

// ints makes a constant vector; int makes a constant scalar.
func (b *builder) ints(v ...int) *model.Value {
	l := make([]int64, len(v))
	for i, x := range v {
		l[i] = int64(x)
	}
	return model.NewConst(b.unique(b.op+".ints"), tensor.From(l, len(l)))
}

func (b *builder) scalar(v float32) *model.Value {
	return model.NewConst(b.unique(b.op+".value"), tensor.Scalar(v))
}

// fail notes the first error of a translation.
func (b *builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// i returns input k; it must be there unless optional.
func (b *builder) i(k int) *model.Value {
	v := b.maybe(k)
	if v == nil {
		b.fail("%w: input %d is missing", ErrFormat, k)
		return &model.Value{Name: "missing", DType: tensor.F32}
	}
	return v
}

func (b *builder) maybe(k int) *model.Value {
	if k >= len(b.in) {
		return nil
	}
	v, err := b.value(b.in[k])
	if err != nil {
		b.fail("input %d: %w", k, err)
	}
	return v
}

// o returns output k.
func (b *builder) o(k int) *model.Value {
	if k < len(b.out) {
		v, err := b.value(b.out[k])
		if err != nil {
			b.fail("output %d: %w", k, err)
		}
		if v != nil && v.Const == nil {
			return v
		}
	}
	b.fail("%w: output %d is missing or a constant", ErrFormat, k)
	return &model.Value{Name: "missing"}
}

// known reads a constant input of integers.
func (b *builder) known(k int) []int {
	v := b.i(k)
	if v.Const == nil {
		b.fail("input %d (%s) is not constant: %w", k, v.Name, ErrUnsupported)
		return nil
	}
	// The list, and the attribute or constant that becomes of it.
	if b.r.charge(48 * v.Const.Len()); b.r.err != nil {
		return nil
	}
	l, err := v.Const.Ints()
	if err != nil {
		b.fail("input %d: %w", k, err)
		return nil
	}
	r := make([]int, len(l))
	for i, x := range l {
		r[i] = tensor.Int(x)
	}
	return r
}

func (b *builder) operator(k int, t table) error {
	c := t.u32(0, 0)
	if c >= len(b.codes) {
		return fmt.Errorf("operator %d: %w: code %d of %d", k, ErrFormat, c, len(b.codes))
	}
	code := b.codes[c]
	b.index, b.in, b.out, b.err = k, t.ints(1), t.ints(2), nil
	b.r.charge(32 * (len(b.in) + len(b.out)))
	b.opts, b.custom, b.inner, b.opts2 = t.sub(4), t.data(5), t.ints(8), t.sub(12)
	name, f, why := b.translationOf(code)
	b.op = name
	if f == nil {
		return fmt.Errorf("operator %d (%s): %w: %s", k, name, ErrUnsupported, why)
	}
	f(b)
	if b.r.err != nil { // what comes after it follows from it
		b.err = b.r.err
	}
	if b.err != nil {
		return fmt.Errorf("operator %d (%s): %w", k, name, b.err)
	}
	return nil
}

// translationOf finds how an operator is translated; where it is not, why.
func (b *builder) translationOf(code opcode) (name string, f func(*builder), why string) {
	if code.code == builtinCustom {
		name = code.custom
		if f = customs[name]; f == nil {
			return name, nil, refusedCustom(name)
		}
	} else {
		name = BuiltinName(code.code)
		if f = b.builtins[name]; f == nil && b.complexes[name] == nil {
			return name, nil, refusedBuiltin(name)
		}
	}
	if b.isComplex(b.in, b.out) {
		if f = b.complexes[name]; f == nil || code.code == builtinCustom {
			return name, nil, "it is not defined on complex64 here"
		}
	}
	if f == nil {
		return name, nil, "no tensor of it is complex64"
	}
	return name, f, ""
}

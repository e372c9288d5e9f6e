package op

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Op is everything that the runtime knows about one operator.
type Op struct {
	// Infer is the shape rule. c.Out comes with the types that the graph declares. It checks the inputs and attributes as far as they are known and fills the types and
	// shapes of c.Out (see Call.Set). Inputs may have unknown ranks and extents and, mostly, no data.
	Infer func(c *Call) error
	// Prepare checks the rest, computes everything that does not depend on the data and returns the work of one
	// inference. All input shapes are known, and the output shapes are as Infer left them.
	Prepare func(c *Call) (Run, error)
	// Pitched reports whether the rows of input i of a node, or for i below 0 those of output ^i, may lie apart (see tensor.Tensor.Pitch). All shapes
	// are known. Nil: no rows may.
	Pitched func(c *Call, i int) bool
	// Parts lists values of a node that are part of others, so that the plan may place them there; Run then leaves them as they are. All shapes
	// are known. Nil: none are.
	Parts func(c *Call) []Part
	// Together reports whether nodes that follow each other, each the only reader of the first output of the one before, which is its first input, should
	// run as one. The last of them is of this operator. All shapes are known. Nil: none should.
	Together func(stages []*Call) bool
	// PrepareStages prepares such nodes, which are c.Stages, as Prepare does one.
	PrepareStages func(c *Call) (Run, error)
	Traits        Traits
}

// Part says that a value of a node lies in another one of the same rank, from element At on. Both are numbered as for Op.Pitched.
type Part struct{ Value, Of, At int }

// Run does the work of one inference: it reads c.In[i].Data and writes c.Out[i].Data, which may point elsewhere in
// each call, so it takes no slices from Prepare. It allocates nothing where all shapes are known when Prepare runs.
// An error means that an input's values are wrong (an index out of range, say).
type Run func() error

// Traits tell passes and planner what they may do with an operator.
type Traits uint16

const (
	// Pointwise: one output, of input 0's shape; element i depends on element i of input 0 alone (other inputs are
	// constants of one element).
	Pointwise Traits = 1 << iota
	// Broadcasts: one output; the inputs are broadcast against each other as in NumPy and combined element by element.
	Broadcasts
	// View: output 0 is input 0's data under another shape; Run does nothing, the planner shares the buffer.
	View
	// InPlace: output 0 may be the same buffer as input 0 when types and shapes are equal.
	InPlace
	// Impure: the result differs from run to run (random numbers); never folded or merged.
	Impure
	// QuantMoves: moves or selects elements without computing on them, so it works on quantised values as they are;
	// data inputs and outputs share one Quant.
	QuantMoves
	// QuantKernel: Prepare handles quantised inputs and outputs (Tensor.Quant set). All other operators are given
	// float32: the runtime puts Dequantize and Quantize around them.
	QuantKernel
	// ShapeOnly: the outputs depend on the inputs' types and shapes, never on their data, so that they are known as
	// soon as the shapes are.
	ShapeOnly
	// PlainIntegers: reads quantised inputs as the integers that they are (what these stand for comes, if at all, from
	// other inputs); its outputs are never quantised.
	PlainIntegers
	// Sequences: takes sequences. All other operators are never given one.
	Sequences
)

// Par runs work on the session's threads.
type Par interface {
	// For calls body on disjoint ranges that cover [0,n), each of at least grain indices unless n is less, and returns
	// when all are done. Bodies are made in Prepare, so that For allocates nothing.
	For(n, grain int, body func(lo, hi int))
	// Threads is the largest number of bodies that run at once.
	Threads() int
}

// shareTime is the least work, in nanoseconds, that is worth being handed to another thread.
const shareTime = 4000

// Shares is the number of parts into which Prepare should cut work that takes one thread about ns nanoseconds and has at most most parts. It is 1
// where handing work to other threads costs more than it saves, and the same for every thread where there are enough parts.
func Shares(p Par, most, ns int) int {
	if p.Threads() == 1 {
		return 1
	}
	shares := max(1, min(4*p.Threads(), most, ns/shareTime))
	if shares > p.Threads() {
		shares -= shares % p.Threads()
	}
	return shares
}

// Grain is the grain for Par.For of n indices that take one thread about ns nanoseconds in all.
func Grain(n, ns int) int { return 1 + n*shareTime/max(ns, 1) }

// Store shares what Prepare computes from constants (packed weights, say) among all sessions and shapes of a model.
type Store interface {
	// Get returns the value that was made for this tensor and kind, calling make the first time.
	Get(t *tensor.Tensor, kind string, make func() any) any
	// Block is Get for n bytes, zeroed before fill gets them. They begin at a multiple of tensor.Align, are only read afterwards, and stay as
	// long as the store; fill may not be called at all where an earlier process did.
	Block(t *tensor.Tensor, kind string, n int, fill func(dst []byte)) []byte
}

// Call is one node, as its operator sees it.
type Call struct {
	Name, Op string
	Attrs    attr.Attrs
	// In holds nil for absent inputs. A tensor without data has a value that is not known yet.
	In []*tensor.Tensor
	// Out holds nil for outputs that nobody wants.
	Out []*tensor.Tensor
	Num num.Numerics
	Par Par
	// Store keeps what is computed from constants; nil keeps nothing. Use Packed.
	Store Store
	// Stages holds the nodes that this one stands for, in their order; see Op.Together.
	Stages []*Call
	// Shared holds what nodes of one instance have in common; nil shares nothing. Use Common.
	Shared map[string]any
	// Choice is what the plan chooses for this node; see Select and Choose.
	Choice Choice
	// Ways lists what Prepare has asked Choose for.
	Ways []Way
	// Uses lists the rows that Prepare has selected.
	Uses []Use
	// Memory counts what the node allocates; nil counts nothing. See Take.
	Memory *Memory
	// Alloc gives output i its type, shape and zeroed buffer during Run, where Infer had to leave the shape open.
	// It fails when the memory limit is passed.
	Alloc func(i int, d tensor.DType, shape tensor.Shape) (*tensor.Tensor, error)

	// New makes the outputs of Eval; nil is tensor.New.
	New func(d tensor.DType, shape tensor.Shape) *tensor.Tensor

	set   []bool // outputs that the shape rule has set
	clash error  // of a declared type and the rule's
}

// Packed returns make's result, which must depend on nothing but the data of the constant t and on kind. It is made
// once per model where the caller keeps such things.
func Packed[T any](c *Call, t *tensor.Tensor, kind string, make func() T) T {
	if c.Store == nil {
		return make()
	}
	return c.Store.Get(t, kind, func() any { return make() }).(T)
}

// PackedSlice is Packed for n numbers, which begin as zeros. The result must not be written to, and stays as long as the store: what holds it holds
// the call.
func PackedSlice[T tensor.Elem](c *Call, t *tensor.Tensor, kind string, n int, fill func(dst []T)) []T {
	if c.Store == nil || n == 0 {
		dst := make([]T, n)
		fill(dst)
		return dst
	}
	view := func(b []byte) []T { return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n) }
	var zero T
	b := c.Store.Block(t, kind, n*int(unsafe.Sizeof(zero)), func(b []byte) { fill(view(b)) })
	return view(b)
}

// PackedWeights is PackedSlice for what inputs are multiplied with. Subnormal FP32 numbers, which training leaves behind in weights that it drives to
// zero, become zero: they change no result that anybody reads, and processors multiply with them a hundred times slower.
func PackedWeights[T tensor.Elem](c *Call, t *tensor.Tensor, kind string, n int, fill func(dst []T)) []T {
	return PackedSlice(c, t, kind, n, func(dst []T) {
		fill(dst)
		if f, ok := any(dst).([]float32); ok {
			const share = 1 << 14
			c.Par.For((len(f)+share-1)/share, 1, func(lo, hi int) { FlushSubnormals(f[lo*share : min(hi*share, len(f))]) })
		}
	})
}

// FlushSubnormals replaces subnormal numbers by zero.
func FlushSubnormals(f []float32) {
	const group = 16
	for ; len(f) >= group; f = f[group:] {
		// Adding the mask to a number's exponent sets its first bit unless the exponent is 0.
		const exponents, first = 0x7f800000_7f800000, 0x80000000_80000000
		all := uint64(first)
		for _, w := range (*[group / 2]uint64)(unsafe.Pointer(&f[0])) {
			all &= w&exponents + exponents
		}
		if all != first {
			flush(f[:group])
		}
	}
	flush(f)
}

func flush(f []float32) {
	for i, v := range f {
		if fmath.Subnormal(v) {
			f[i] = 0
		}
	}
}

// Common returns make's result, which must depend on nothing but key and is only read. Nodes of an instance that ask for the same key get the same one.
func Common[T any](c *Call, key string, make func() T) T {
	v, ok := c.Shared[key].(T)
	if !ok {
		v = make()
		if c.Shared != nil {
			c.Shared[key] = v
		}
	}
	return v
}

// Errorf makes an error that names the node, as in "conv_12 (Conv): dilation 3 unsupported".
func (c *Call) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s (%s): %w", c.Name, c.Op, fmt.Errorf(format, args...))
}

// Input returns input i, nil where it is absent.
func (c *Call) Input(i int) *tensor.Tensor {
	if i < len(c.In) {
		return c.In[i]
	}
	return nil
}

// Output returns output i, nil where nobody wants it.
func (c *Call) Output(i int) *tensor.Tensor {
	if i < len(c.Out) {
		return c.Out[i]
	}
	return nil
}

// Scratch is output i, or a buffer where nobody wants it, for operators that compute it on the way to others.
func (c *Call) Scratch(i int, d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	if t := c.Output(i); t != nil {
		return t
	}
	c.Take(tensor.ByteSize(d, shape.Len()))
	return tensor.New(d, shape)
}

// Need fails unless inputs 0 to n-1 are present.
func (c *Call) Need(n int) error {
	for i := range n {
		if c.Input(i) == nil {
			return c.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// Want fails unless input i is absent or has one of the types.
func (c *Call) Want(i int, types ...tensor.DType) error {
	t := c.Input(i)
	if t == nil {
		return nil
	}
	for _, d := range types {
		if t.DType == d {
			return nil
		}
	}
	return c.Errorf("input %d has type %v, want one of %v", i, t.DType, types)
}

// Set fills output i's type and shape, if somebody wants it. An output whose Quant is set keeps its declared type.
func (c *Call) Set(i int, d tensor.DType, shape tensor.Shape) {
	t := c.Output(i)
	if t == nil {
		return
	}
	if t.Quant == nil {
		t.DType = d
	} else if t.DType != d {
		c.clash = c.Errorf("output %d is declared as %v with quantisation parameters, want %v", i, t.DType, d)
	}
	t.Shape = shape.Clone()
	for len(c.set) <= i {
		c.set = append(c.set, false)
	}
	c.set[i] = true
}

// Axis reads an axis attribute or value and counts it from the front.
func (c *Call) Axis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, c.Errorf("axis %d out of range for rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// Broadcast is the shape of inputs that are broadcast against each other; nil where a rank is unknown.
func (c *Call) Broadcast(shapes ...tensor.Shape) (tensor.Shape, error) {
	rank := 0
	for _, s := range shapes {
		if s == nil {
			return nil, nil
		}
		rank = max(rank, len(s))
	}
	out := make(tensor.Shape, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		off := rank - len(s)
		for i, d := range s {
			o := &out[off+i]
			switch {
			case d == *o || d == 1:
			case *o == 1:
				*o = d
			case d == -1: // the other extent is above 1, so this one is 1 or equal
			case *o == -1:
				*o = d
			default:
				return nil, c.Errorf("shapes %v do not broadcast", shapes)
			}
		}
	}
	return out, nil
}

// Memory counts bytes against a limit.
type Memory struct {
	limit int64
	used  atomic.Int64
}

// NewMemory makes a Memory with a limit in bytes; one below 1 allows nothing.
func NewMemory(limit int) *Memory { return &Memory{limit: int64(max(limit, 0))} }

// Used is the number of bytes that were taken. It is 0 for nil.
func (m *Memory) Used() int {
	if m == nil {
		return 0
	}
	return int(m.used.Load())
}

// take counts n bytes, or gives them back where n is negative; false where that passes the limit.
func (m *Memory) take(n int) bool {
	if m == nil {
		return true
	}
	if used := m.used.Add(int64(n)); n > 0 && (used > m.limit || used < 0) {
		m.used.Add(-int64(n))
		return false
	}
	return true
}

// overLimit is what Take panics with.
type overLimit struct{ limit int64 }

// Take counts n bytes that the node keeps beside its inputs and outputs, or that its strings take. Where they pass the limit it does not
// return: Prepare or Run then ends with an error that wraps tensor.ErrTooLarge. Prepare takes what an operator keeps; Run, where shapes
// depend on data, what it needs meanwhile.
func (c *Call) Take(n int) {
	if !c.Memory.take(n) {
		panic(overLimit{c.Memory.limit})
	}
}

// Make makes n elements, which it takes from the node's memory.
func Make[T any](c *Call, n int) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if c.Memory != nil && (n < 0 || size > 0 && n > math.MaxInt/size) {
		panic(overLimit{c.Memory.limit})
	}
	c.Take(n * size)
	return make([]T, n)
}

// Recovered is the error that a panic of an operator, a pass or the planner stands for.
func Recovered(r any) error {
	if err := mem.Fault(r); err != nil {
		return err
	}
	if o, ok := r.(overLimit); ok {
		return fmt.Errorf("buffers need more than the %d bytes that are left: %w", o.limit, tensor.ErrTooLarge)
	}
	return fmt.Errorf("%w: %v", ErrInternal, r)
}

// ErrInternal is wrapped by errors that stand for a panic in an operator, a pass or the planner. Models come from outside: one
// that finds a gap in their checks must end in an error that names the node.
var ErrInternal = errors.New("internal error")

// Guard turns a panic into an error of node c; defer it.
func (c *Call) Guard(err *error) {
	if r := recover(); r != nil {
		*err = c.Errorf("%w", Recovered(r))
	}
}

// InferOf applies o's shape rule. Beyond what the rule checks, inputs are sequences only by the trait Sequences, some output must be
// wanted, all that are must exist and have a possible rank, and only operators with the trait QuantKernel have outputs whose declared type is not the rule's.
func InferOf(o Op, c *Call) (err error) {
	defer c.Guard(&err)
	c.set, c.clash = c.set[:0], nil
	for i, t := range c.In {
		if t != nil && t.DType == tensor.Sequence && o.Traits&Sequences == 0 {
			return c.Errorf("input %d is a sequence", i)
		}
	}
	if err := o.Infer(c); err != nil {
		return err
	}
	wanted := false
	for i, t := range c.Out {
		if t == nil {
			continue
		}
		if wanted = true; i >= len(c.set) || !c.set[i] {
			return c.Errorf("the operator has no output %d", i)
		}
		if len(t.Shape) > tensor.MaxRank {
			return c.Errorf("output %d has rank %d, at most %d is possible", i, len(t.Shape), tensor.MaxRank)
		}
	}
	if !wanted {
		return c.Errorf("no output is wanted")
	}
	if o.Traits&QuantKernel == 0 {
		return c.clash
	}
	return nil
}

// PrepareOf prepares o, which is given quantised values only by its traits. Where all outputs are known to be empty there is no work, however large the other extents are.
func PrepareOf(o Op, c *Call) (run Run, err error) {
	defer c.Guard(&err)
	empty := true
	for _, t := range c.Out {
		empty = empty && (t == nil || t.Shape.Known() && t.DType != tensor.Sequence && t.Len() == 0)
	}
	if o.Traits&(QuantKernel|QuantMoves) == 0 {
		given := c.Out
		if o.Traits&PlainIntegers == 0 {
			given = slices.Concat(c.In, c.Out)
		}
		for _, t := range given {
			if t != nil && t.Quant != nil {
				return nil, c.Errorf("quantised values unsupported: %v", t)
			}
		}
	}
	if empty {
		return func() error { return nil }, nil
	}
	return o.Prepare(c)
}

// runOf runs what PrepareOf returned.
func runOf(c *Call, run Run) (err error) {
	defer c.Guard(&err)
	return run()
}

// stringHeader is what an element of a String tensor takes, its bytes not counted.
const stringHeader = 16

// Serial is a Par that uses the caller's goroutine alone.
type Serial struct{}

// For calls body once.
func (Serial) For(n, _ int, body func(lo, hi int)) {
	if n > 0 {
		body(0, n)
	}
}

// Threads is 1.
func (Serial) Threads() int { return 1 }

// Goroutines is a Par that uses all processors, without a session.
type Goroutines struct{}

// For starts goroutines where n is large enough.
func (Goroutines) For(n, grain int, body func(lo, hi int)) {
	parts := min(runtime.GOMAXPROCS(0), n/max(1, grain))
	if parts <= 1 {
		Serial{}.For(n, grain, body)
		return
	}
	mem.Parallel(parts, func(i int) { body(i*n/parts, (i+1)*n/parts) })
}

// Threads is the number of processors that Go uses.
func (Goroutines) Threads() int { return runtime.GOMAXPROCS(0) }

// Eval runs an operator once on known inputs and returns its outputs: the way of constant folding, of tests and of
// nodes whose shapes depend on data. out holds the outputs' headers, nil where not wanted, with Quant and DType set
// where these are declared; limit bounds the bytes of all outputs and buffers (0: no bound).
func Eval(o Op, c *Call, limit int) error {
	if c.Par == nil {
		c.Par = Goroutines{}
	}
	if err := InferOf(o, c); err != nil {
		return err
	}
	if limit > 0 {
		c.Memory = NewMemory(limit)
	}
	if c.New == nil {
		c.New = tensor.New
	}
	taken := make([]int, len(c.Out)+1)
	alloc := func(i int, d tensor.DType, shape tensor.Shape) (*tensor.Tensor, error) {
		n, err := shape.Size()
		if err != nil {
			return nil, c.Errorf("output %d: %w", i, err)
		}
		b := tensor.ByteSize(d, n)
		if d == tensor.String {
			if b = n * stringHeader; n > math.MaxInt/stringHeader {
				b = math.MaxInt
			}
		}
		at := min(i, len(c.Out))
		c.Memory.take(-taken[at])
		if taken[at] = 0; !c.Memory.take(b) {
			return nil, c.Errorf("output %d %v: %d bytes: %w", i, shape, b, tensor.ErrTooLarge)
		}
		taken[at] = b
		t := c.Output(i)
		if t == nil {
			return tensor.New(d, shape), nil
		}
		q := t.Quant
		*t = *c.New(d, shape)
		t.Quant = q
		return t, nil
	}
	if c.Alloc == nil {
		c.Alloc = alloc
	}
	for i, t := range c.Out {
		if t == nil || !t.Shape.Known() || t.DType == tensor.Sequence {
			continue
		}
		if t.DType == tensor.Invalid {
			return c.Errorf("BUG: shape rule leaves the type of output %d open", i)
		}
		if _, err := c.Alloc(i, t.DType, t.Shape); err != nil {
			return err
		}
	}
	run, err := PrepareOf(o, c)
	if err != nil {
		return err
	}
	return runOf(c, run)
}

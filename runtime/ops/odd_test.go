package ops

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

var (
	oddSeed  = flag.Uint64("odd.seed", 5, "seed of the odd nodes")
	oddCount = flag.Int("odd.count", 30, "odd nodes per operator and per recorded case")
)

// Bounds on one call: an output, and all that it allocates.
const (
	oddOutput = 1 << 20
	oddMemory = 1 << 28
)

// relying is the number of operators that panic on odd nodes and rely on op.Call.Guard to make an error of that.
const relying = 0

// Nodes with missing, odd and tiny inputs, and recorded cases in which something was changed, end in an error or a result, soon,
// and without much memory. The race detector's build finds accesses behind a buffer's end too, as inputs and outputs end where
// their allocation ends.
func TestOddNodes(t *testing.T) {
	o := &odd{rng: rand.New(rand.NewPCG(*oddSeed, 7)), names: attributeNames(t), failed: map[string]string{}}
	for _, name := range Names() {
		for range *oddCount {
			o.try(t, o.random(name))
		}
	}
	files, err := filepath.Glob("../op/*/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		list, err := optest.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			for range *oddCount {
				c, err := x.Call()
				if err != nil {
					t.Fatal(err)
				}
				for range 1 + o.rng.IntN(2) {
					o.mutate(c)
				}
				o.try(t, c)
			}
		}
	}
	if len(o.failed) > relying {
		for _, s := range o.failed {
			t.Log(s)
		}
		t.Errorf("%d operators panic on odd nodes, at most %d may", len(o.failed), relying)
	}
	t.Logf("%d of %d nodes made sense", o.good, o.all)
}

type odd struct {
	rng       *rand.Rand
	names     []string // of attributes
	failed    map[string]string
	good, all int
}

// attributeNames are all that operators read, as their sources have them.
func attributeNames(t *testing.T) []string {
	files, err := filepath.Glob("../op/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := regexp.MustCompile(`Attrs\.[A-Z][a-zA-Z]*\("([a-zA-Z_]+)"`)
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range read.FindAllSubmatch(b, -1) {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 100 {
		t.Fatalf("only %d names of attributes", len(names))
	}
	return names
}

var oddTypes = []tensor.DType{tensor.F32, tensor.F32, tensor.I64, tensor.I64, tensor.I32, tensor.U8, tensor.Bool, tensor.F16, tensor.BF16, tensor.F64, tensor.String, tensor.I8,
	tensor.I16, tensor.U16, tensor.U32, tensor.U64, tensor.I4, tensor.U2, tensor.F8E5M2, tensor.F4E2M1, tensor.Sequence}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// random draws a node from nothing.
func (o *odd) random(name string) *op.Call {
	c := &op.Call{Name: "node", Op: name, Attrs: attr.Attrs{}}
	for range o.rng.IntN(7) {
		if o.rng.IntN(6) == 0 {
			c.In = append(c.In, nil)
			continue
		}
		c.In = append(c.In, o.tensor())
	}
	for range 1 + o.rng.IntN(3) {
		c.Out = append(c.Out, &tensor.Tensor{})
	}
	for range o.rng.IntN(4) {
		o.setAttribute(c)
	}
	return c
}

func (o *odd) tensor() *tensor.Tensor {
	shape := tensor.Shape{}
	for range o.rng.IntN(5) {
		shape = append(shape, o.rng.IntN(4))
	}
	if k := slices.Index(shape, 0); k >= 0 && len(shape) > 1 && o.rng.IntN(4) == 0 {
		shape[(k+1)%len(shape)] = 1 << 30
	}
	return o.fill(tensor.New(pick(o.rng, oddTypes...), shape))
}

// fill writes small numbers, or odd ones.
func (o *odd) fill(x *tensor.Tensor) *tensor.Tensor {
	if x.DType == tensor.Sequence {
		x.Elems = []*tensor.Tensor{}
		for range o.rng.IntN(3) {
			x.Elems = append(x.Elems, tensor.From([]float32{1, 2}))
		}
		return x
	}
	top := pick(o.rng, 3, 3, 256)
	for i := range x.Data {
		if x.Data[i] = byte(o.rng.IntN(top)); x.DType == tensor.Bool {
			x.Data[i] &= 1
		}
	}
	for i := range x.Str {
		x.Str[i] = pick(o.rng, "", "a", "1", "b c", "\xff")
	}
	if x.DType == tensor.I64 && o.rng.IntN(4) > 0 {
		for i := range tensor.Of[int64](x) {
			tensor.Of[int64](x)[i] = o.integer()
		}
	}
	if x.DType.IsInt() && x.DType.Bits() <= 32 && o.rng.IntN(6) == 0 {
		o.quantise(x)
	}
	return x
}

// quantise gives x parameters such as a verified graph may have.
func (o *odd) quantise(x *tensor.Tensor) {
	n, axis := 1, 0
	if len(x.Shape) > 0 && o.rng.IntN(2) == 0 {
		axis = o.rng.IntN(len(x.Shape))
		n = x.Shape[axis]
	}
	if n < 1 || n > 1000 {
		n = 1
	}
	q := &tensor.QParams{Axis: axis}
	for range n {
		q.Scale = append(q.Scale, pick[float32](o.rng, 1, 0.5, 1e-30, 1e30))
		q.Zero = append(q.Zero, int32(o.rng.IntN(2)))
	}
	x.Quant = q
}

func (o *odd) integer() int64 {
	return pick[int64](o.rng, 0, 1, 1, 2, 2, 3, 4, -1, -2, 7, 16, 255, 1<<20, 1<<31, 1<<40, math.MaxInt64, math.MinInt64)
}

func (o *odd) float() float32 {
	return pick(o.rng, 0, 1, 0.5, 2, -1, 1e30, float32(math.NaN()), float32(math.Inf(1)))
}

// setAttribute changes an attribute that is there, or adds one that some operator reads.
func (o *odd) setAttribute(c *op.Call) {
	name := pick(o.rng, o.names...)
	if len(c.Attrs) > 0 && o.rng.IntN(3) > 0 {
		name = pick(o.rng, c.Attrs.Names()...)
	}
	switch v := c.Attrs[name].(type) {
	case []int64:
		if len(v) > 0 && o.rng.IntN(3) > 0 {
			v = slices.Clone(v)
			v[o.rng.IntN(len(v))] = o.integer()
			c.Attrs[name] = v
			return
		}
	case string, int64, float32:
		if o.rng.IntN(8) > 0 {
			if _, ok := v.(string); ok {
				c.Attrs[name] = pick(o.rng, "", "NHWC", "SAME_UPPER", "SAME_LOWER", "VALID", "reflect", "wrap", "edge", "linear", "cubic", "nonsense", "ij,jk->ik", "\xff[")
			} else if _, ok := v.(int64); ok {
				c.Attrs[name] = o.integer()
			} else {
				c.Attrs[name] = o.float()
			}
			return
		}
	}
	switch o.rng.IntN(8) {
	case 0, 1, 2:
		c.Attrs[name] = o.integer()
	case 3, 4:
		v := make([]int64, o.rng.IntN(5))
		for i := range v {
			v[i] = o.integer()
		}
		c.Attrs[name] = v
	case 5:
		c.Attrs[name] = o.float()
	case 6:
		c.Attrs[name] = pick[any](o.rng, "", "NHWC", "nonsense", []string{}, []string{"a", "a"}, []float32{}, []float32{1, float32(math.NaN())})
	case 7:
		if o.rng.IntN(2) == 0 {
			delete(c.Attrs, name)
		} else {
			c.Attrs[name] = o.tensor()
		}
	}
}

// mutate changes one thing.
func (o *odd) mutate(c *op.Call) {
	var present []int
	for i, x := range c.In {
		if x != nil {
			present = append(present, i)
		}
	}
	what := o.rng.IntN(16)
	if len(present) == 0 || what < 4 {
		o.setAttribute(c)
		return
	}
	i := present[o.rng.IntN(len(present))]
	x := c.In[i]
	switch what {
	case 4:
		c.In[i] = nil
	case 5:
		c.In = c.In[:i]
	case 6:
		c.In = append(c.In, o.tensor())
	case 7, 8: // another type
		d := pick(o.rng, oddTypes...)
		c.In[i] = o.fill(tensor.New(d, x.Shape))
	case 9, 10, 11, 12: // another shape
		s := x.Shape.Clone()
		switch k := o.rng.IntN(6); {
		case k == 0:
			s = append(s, 1+o.rng.IntN(2))
		case len(s) == 0:
			s = tensor.Shape{o.rng.IntN(3)}
		case k == 1:
			s = s[1:]
		default:
			a := o.rng.IntN(len(s))
			s[a] = max(0, pick(o.rng, s[a]-1, s[a]+1, s[a]+1, 2*s[a], 0, 1))
		}
		if k := slices.Index(s, 0); k >= 0 && len(s) > 1 && o.rng.IntN(2) == 0 {
			s[(k+1)%len(s)] = 1 << 30 >> o.rng.IntN(12) // beside a zero extents may be large
		}
		if n, err := s.Size(); err != nil || n > 1<<16 || x.DType == tensor.Sequence {
			return
		}
		y := tensor.New(x.DType, s)
		if n := len(x.Data); n > 0 {
			for at := 0; at < len(y.Data); at += n {
				copy(y.Data[at:], x.Data)
			}
		}
		for k := range y.Str {
			if len(x.Str) > 0 {
				y.Str[k] = x.Str[k%len(x.Str)]
			}
		}
		y.Quant = x.Quant
		if q := y.Quant; q != nil && len(q.Scale) > 1 && (q.Axis >= len(s) || s[q.Axis] != len(q.Scale)) {
			o.quantise(y)
		}
		c.In[i] = y
	case 13: // other values
		c.In[i] = o.fill(tensor.New(x.DType, x.Shape))
	case 14:
		if x.Quant != nil && o.rng.IntN(2) == 0 {
			y := *x
			y.Quant = nil
			c.In[i] = &y
		} else if x.DType.IsInt() && x.DType.Bits() <= 32 {
			y := *x
			o.quantise(&y)
			c.In[i] = &y
		}
	case 15:
		switch k := o.rng.IntN(len(c.Out) + 1); {
		case k == len(c.Out):
			c.Out = append(c.Out, &tensor.Tensor{})
		case c.Out[k] == nil:
			c.Out[k] = &tensor.Tensor{}
		case o.rng.IntN(2) == 0:
			c.Out[k] = nil
		default:
			c.Out[k].DType = pick(o.rng, tensor.I8, tensor.U8, tensor.I16, tensor.I32)
			o.quantise(c.Out[k])
		}
	}
}

// tight returns n zeroed bytes that end where their allocation ends.
func tight(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	b := append([]byte(nil), make([]byte, n)...)
	b = b[:cap(b)]
	b = b[len(b)-n:]
	clear(b)
	return b
}

// try runs a node, with data from the beginning and with data that come after Prepare.
func (o *odd) try(t *testing.T, c *op.Call) {
	f := operator(t, c.Op)
	var note strings.Builder
	fmt.Fprintf(&note, "%s %v", c.Name, c.In)
	for _, n := range c.Attrs.Names() {
		fmt.Fprintf(&note, " %s=%v", n, c.Attrs[n])
	}
	for i, x := range c.In {
		if x != nil && x.Data != nil {
			y := *x
			y.Data = tight(len(x.Data))
			copy(y.Data, x.Data)
			c.In[i] = &y
		}
	}
	watch := time.AfterFunc(time.Minute, func() { panic(c.Op + " does not end: " + note.String()) })
	defer watch.Stop()
	outputs := make([]*tensor.Tensor, len(c.Out))
	for i, x := range c.Out {
		if x != nil {
			outputs[i] = &tensor.Tensor{DType: x.DType, Quant: x.Quant}
		}
	}
	allocs := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(allocs)
	before := allocs[0].Value.Uint64()
	err := evaluate(f, c)
	o.all++
	if err == nil {
		o.good++
	}
	if err == nil {
		later := *c
		later.Out, later.Alloc, later.In = outputs, nil, nil
		for _, x := range c.In {
			if x != nil {
				y := *x
				x = &y
			}
			later.In = append(later.In, x)
		}
		err = evaluateLater(f, &later)
	}
	metrics.Read(allocs)
	if n := allocs[0].Value.Uint64() - before; n > oddMemory {
		t.Errorf("%s allocates %d bytes: %s", c.Op, n, note.String())
	}
	if errors.Is(err, op.ErrInternal) && o.failed[c.Op] == "" {
		o.failed[c.Op] = err.Error() + ": " + note.String()
	}
}

func operator(t *testing.T, name string) op.Op {
	f, ok := Lookup(name)
	if !ok {
		t.Fatalf("no operator %s", name)
	}
	return f
}

func evaluate(f op.Op, c *op.Call) error {
	c.Alloc = func(i int, d tensor.DType, shape tensor.Shape) (*tensor.Tensor, error) {
		n, err := shape.Size()
		if err != nil || n > oddOutput || tensor.ByteSize(d, n) > oddOutput {
			return nil, c.Errorf("output %d %v: %w", i, shape, tensor.ErrTooLarge)
		}
		y := c.Output(i)
		if y == nil {
			y = &tensor.Tensor{}
		}
		q := y.Quant
		*y = *tensor.New(d, shape)
		y.Quant = q
		if y.Data != nil {
			y.Data = tight(len(y.Data))
		}
		return y, nil
	}
	return op.Eval(f, c, oddOutput)
}

func evaluateLater(f op.Op, c *op.Call) (err error) {
	defer c.Guard(&err)
	_, err = optest.Later(f, c)
	return err
}

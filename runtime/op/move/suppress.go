package move

import (
	"cmp"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var suppressOps = map[string]op.Op{
	"tflite.NonMaxSuppression": {Infer: inferSuppression, Prepare: prepareSuppression},
}

// inferSuppression: inputs are boxes [n,4], scores [n], the number of outputs, the least overlap that suppresses, the score to
// exceed and perhaps the sigma of the soft form; outputs are indices, scores and how many of them count; the rest is 0.
func inferSuppression(c *op.Call) error {
	if err := c.Need(5); err != nil {
		return err
	}
	for i := range c.In {
		types := []tensor.DType{tensor.F32}
		if i == 2 {
			types = []tensor.DType{tensor.I32, tensor.I64}
		}
		if err := c.Want(i, types...); err != nil {
			return err
		}
	}
	b, s := c.In[0].Shape, c.In[1].Shape
	if b != nil && (len(b) != 2 || b[1] >= 0 && b[1] != 4) || s != nil && len(s) != 1 || b.Known() && s.Known() && b[0] != s[0] {
		return c.Errorf("boxes %v and scores %v do not fit", b, s)
	}
	n := -1
	if known(c, 2) {
		var err error
		if n, err = scalarInt(c, 2); err != nil {
			return err
		}
		if n < 0 || n > 1<<24 {
			return c.Errorf("%d outputs", n)
		}
	}
	c.Set(0, tensor.I32, tensor.Shape{n})
	c.Set(1, tensor.F32, tensor.Shape{n})
	c.Set(2, tensor.I32, tensor.Shape{})
	return nil
}

// rival is a box that may still be taken; it was compared with the first seen of those that are.
type rival struct {
	index, seen int
	score       float32
}

// prepareSuppression takes the best box again and again. Its score is lowered by a factor exp(-iou²/2σ) for each box
// taken before, and where it fell the box has to queue again; equal scores go by index.
func prepareSuppression(c *op.Call) (op.Run, error) {
	boxes := c.In[0].Shape[0]
	corner := make([][4]float32, boxes)
	all := make([]rival, 0, boxes)
	taken := make([]int, 0, boxes)
	before := func(a, b rival) int {
		if a.score != b.score {
			return cmp.Compare(b.score, a.score)
		}
		return cmp.Compare(a.index, b.index)
	}
	return func() error {
		limit, err := scalarInt(c, 2)
		if err != nil {
			return err
		}
		var f [3]float32
		for i := range f {
			if c.Input(3+i) == nil {
				continue
			}
			v, err := scalar(c, 3+i)
			if err != nil {
				return err
			}
			f[i] = float32(v)
		}
		overlap, least, sigma := f[0], f[1], f[2]
		bx, sc := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.In[1])
		queue := all[:0]
		taken = taken[:0]
		for i := range corner {
			v := bx[4*i:]
			corner[i] = [4]float32{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
			if sc[i] > least {
				queue = append(queue, rival{index: i, score: sc[i]})
			}
		}
		slices.SortFunc(queue, before)
		out := [3]*tensor.Tensor{c.Output(0), c.Output(1), c.Output(2)}
		for i, t := range out[:2] {
			if t != nil && t.Data == nil || t != nil && t.Len() != limit {
				d := tensor.I32
				if i == 1 {
					d = tensor.F32
				}
				if limit < 0 || limit > 1<<24 {
					return c.Errorf("%d outputs", limit)
				}
				if out[i], err = c.Alloc(i, d, tensor.Shape{limit}); err != nil {
					return err
				}
			}
			if out[i] != nil {
				clear(out[i].Data)
			}
		}
		for len(queue) > 0 && len(taken) < limit {
			next, rest := queue[0], queue[1:]
			score, hard := next.score, false
			for k := len(taken) - 1; k >= next.seen; k-- {
				both := iou(&corner[next.index], &corner[taken[k]])
				if both >= overlap {
					hard = true
					break
				}
				if sigma > 0 {
					score *= fmath.Exp(float32(-0.5/sigma*both) * both)
				}
				if score <= least {
					break
				}
			}
			switch {
			case hard:
				queue = rest
			case score == next.score:
				if out[0] != nil {
					tensor.Of[int32](out[0])[len(taken)] = int32(next.index)
				}
				if out[1] != nil {
					tensor.Of[float32](out[1])[len(taken)] = score
				}
				taken = append(taken, next.index)
				queue = rest
			case score > least:
				next.seen, next.score = len(taken), score
				at, _ := slices.BinarySearchFunc(rest, next, before)
				copy(queue, rest[:at])
				queue[at] = next
			default:
				queue = rest
			}
		}
		if out[2] != nil {
			tensor.Of[int32](out[2])[0] = int32(min(len(taken), math.MaxInt32))
		}
		return nil
	}, nil
}

package move

import (
	"cmp"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// liteOps are operators of TFLite that ONNX has no equivalent of.
var liteOps = map[string]op.Op{
	"SpaceToBatchND":              {Infer: inferSpaceToBatch, Prepare: prepareSpaceToBatch, Traits: op.QuantMoves},
	"BatchToSpaceND":              {Infer: inferBatchToSpace, Prepare: prepareBatchToSpace, Traits: op.QuantMoves},
	"StridedSlice":                {Infer: inferStridedSlice, Prepare: prepareStridedSlice, Traits: op.QuantMoves},
	"tflite.DetectionPostProcess": {Infer: inferDetection, Prepare: prepareDetection},
}

// blocks reads the block shape and the paddings or crops; nil where they are not known yet.
func blocks(c *op.Call) (block, edges []int, err error) {
	if err := c.Need(3); err != nil {
		return nil, nil, err
	}
	if !known(c, 1) || !known(c, 2) {
		return nil, nil, nil
	}
	if block, err = ints(c, 1); err != nil {
		return nil, nil, err
	}
	if edges, err = ints(c, 2); err != nil {
		return nil, nil, err
	}
	if len(edges) != 2*len(block) || c.In[0].Shape != nil && len(block) >= len(c.In[0].Shape) {
		return nil, nil, c.Errorf("block %v and edges %v do not fit input %v", block, edges, c.In[0].Shape)
	}
	for i, b := range block {
		if b < 1 || edges[2*i] < 0 || edges[2*i+1] < 0 {
			return nil, nil, c.Errorf("block %v and edges %v are out of range", block, edges)
		}
	}
	return block, edges, nil
}

func inferSpaceToBatch(c *op.Call) error {
	block, edges, err := blocks(c)
	if err != nil {
		return err
	}
	x := c.In[0]
	if !x.Shape.Known() || block == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	s := x.Shape.Clone()
	for i, b := range block {
		n := s[1+i] + edges[2*i] + edges[2*i+1]
		if n%b != 0 {
			return c.Errorf("padded extent %d is no multiple of block %d", n, b)
		}
		s[0] *= b
		s[1+i] = n / b
	}
	c.Set(0, x.DType, s)
	return nil
}

// blockWalk calls f for each spatial position of the tensor with the small batch (position in image, -1 outside) and its
// place in the one with the large batch.
func blockWalk(small, large tensor.Shape, block, edges []int, f func(smallAt, largeAt int)) {
	n := len(block)
	positions := large[1 : n+1].Len()
	ss := small.Strides()
	inner := small[n+1:].Len()
	for lb := range large[0] {
		b, r := lb%max(1, small[0]), lb/max(1, small[0])
		off := make([]int, n)
		for i := n - 1; i >= 0; i-- {
			off[i] = r % block[i]
			r /= block[i]
		}
		for p := range positions {
			at, ok, q := b*ss[0], true, p
			for i := n - 1; i >= 0; i-- {
				v := q%large[1+i]*block[i] + off[i] - edges[2*i]
				q /= large[1+i]
				ok = ok && v >= 0 && v < small[1+i]
				at += v * ss[1+i]
			}
			if !ok {
				at = -1
			}
			f(at, (lb*positions+p)*inner)
		}
	}
}

func prepareSpaceToBatch(c *op.Call) (op.Run, error) {
	block, edges, err := blocks(c)
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	inner := x.Shape[len(block)+1:].Len()
	fill := tensor.New(x.DType, tensor.Shape{1})
	zeroPoint(fill, x)
	var from, to []int
	blockWalk(x.Shape, y.Shape, block, edges, func(s, l int) { from, to = append(from, s), append(to, l) })
	cx, cy, cf := cellsOf(x), cellsOf(y), cellsOf(fill)
	return func() error {
		for k, s := range from {
			if s >= 0 {
				cx.copyTo(cy, to[k], s, inner)
				continue
			}
			for i := range inner {
				cf.copyTo(cy, to[k]+i, 0, 1)
			}
		}
		return nil
	}, nil
}

func inferBatchToSpace(c *op.Call) error {
	block, edges, err := blocks(c)
	if err != nil {
		return err
	}
	x := c.In[0]
	if !x.Shape.Known() || block == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	s := x.Shape.Clone()
	for i, b := range block {
		if s[0]%b != 0 {
			return c.Errorf("batch %d is no multiple of block %v", x.Shape[0], block)
		}
		s[0] /= b
		if s[1+i] = s[1+i]*b - edges[2*i] - edges[2*i+1]; s[1+i] < 0 {
			return c.Errorf("crops %v are larger than the output", edges)
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareBatchToSpace(c *op.Call) (op.Run, error) {
	block, edges, err := blocks(c)
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	inner := x.Shape[len(block)+1:].Len()
	var from, to []int
	blockWalk(y.Shape, x.Shape, block, edges, func(s, l int) {
		if s >= 0 {
			from, to = append(from, l), append(to, s)
		}
	})
	cx, cy := cellsOf(x), cellsOf(y)
	return func() error {
		for k := range from {
			cx.copyTo(cy, to[k], from[k], inner)
		}
		return nil
	}, nil
}

// stridedSlice resolves TensorFlow's strided slice: spans per input dimension and the output's shape.
func stridedSlice(c *op.Call) ([]span, tensor.Shape, error) {
	if err := c.Need(4); err != nil {
		return nil, nil, err
	}
	s := c.In[0].Shape
	if !s.Known() || !known(c, 1) || !known(c, 2) || !known(c, 3) {
		return nil, nil, nil
	}
	var v [3][]int
	for i := range v {
		list, err := ints(c, i+1)
		if err != nil {
			return nil, nil, err
		}
		v[i] = list
	}
	n := len(v[0])
	if len(v[1]) != n || len(v[2]) != n {
		return nil, nil, c.Errorf("%d begins, %d ends and %d strides", n, len(v[1]), len(v[2]))
	}
	bit := func(mask string, i int) bool { return c.Attrs.Int(mask, 0)>>i&1 == 1 }
	newAxes, ellipsis := 0, -1
	for i := range n {
		if bit("ellipsis_mask", i) {
			if ellipsis >= 0 {
				return nil, nil, c.Errorf("more than one ellipsis")
			}
			ellipsis = i
		} else if bit("new_axis_mask", i) {
			newAxes++
		}
	}
	used := n - newAxes
	if ellipsis >= 0 {
		used--
	}
	if used > len(s) {
		return nil, nil, c.Errorf("%d positions for rank %d", used, len(s))
	}
	var spans []span
	var out tensor.Shape
	take := func() int { return s[len(spans)] }
	rest := len(s) - used
	for i := range n {
		switch {
		case i == ellipsis:
			for range rest {
				spans, out = append(spans, span{0, take(), 1}), append(out, s[len(spans)])
			}
		case bit("new_axis_mask", i):
			out = append(out, 1)
		case bit("shrink_axis_mask", i):
			b, err := wrap(c, v[0][i], take(), i)
			if err != nil {
				return nil, nil, err
			}
			spans = append(spans, span{b, 1, 1})
		default:
			d, step := take(), v[2][i]
			if step == 0 {
				return nil, nil, c.Errorf("stride 0")
			}
			b, e := v[0][i], v[1][i]
			if bit("begin_mask", i) {
				if b = 0; step < 0 {
					b = d
				}
			}
			if bit("end_mask", i) {
				if e = d; step < 0 {
					e = -d - 1
				}
			}
			if c.Attrs.Bool("offset", false) && !bit("end_mask", i) {
				e += b
			}
			x := sliceOf(d, b, e, step)
			if step < 0 && b < -d { // ONNX would begin with element 0
				x.count = 0
			}
			spans, out = append(spans, x), append(out, x.count)
		}
	}
	for len(spans) < len(s) {
		d := take()
		spans, out = append(spans, span{0, d, 1}), append(out, d)
	}
	if out == nil {
		out = tensor.Shape{}
	}
	return spans, out, nil
}

func inferStridedSlice(c *op.Call) error {
	_, s, err := stridedSlice(c)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareStridedSlice(c *op.Call) (op.Run, error) {
	spans, _, err := stridedSlice(c)
	if err != nil {
		return nil, err
	}
	return spanRun(c, spans), nil
}

func inferDetection(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	n := c.Attrs.Int("max_detections", 0) * c.Attrs.Int("max_classes_per_detection", 1)
	if n < 1 || n > 1<<20 {
		return c.Errorf("max_detections %d", n)
	}
	c.Set(0, tensor.F32, tensor.Shape{1, n, 4})
	c.Set(1, tensor.F32, tensor.Shape{1, n})
	c.Set(2, tensor.F32, tensor.Shape{1, n})
	c.Set(3, tensor.F32, tensor.Shape{1})
	return nil
}

// prepareDetection decodes SSD boxes against anchors and suppresses overlapping ones, as TFLite's custom operator does:
// outputs are boxes (y0, x0, y1, x1), classes, scores and their number.
func prepareDetection(c *op.Call) (op.Run, error) {
	b, s, a := c.In[0].Shape, c.In[1].Shape, c.In[2].Shape
	if len(b) != 3 || len(s) != 3 || len(a) != 2 || b[0] != 1 || b[2] < 4 || s[1] != b[1] || a[0] != b[1] || a[1] != 4 {
		return nil, c.Errorf("boxes %v, scores %v and anchors %v do not fit", b, s, a)
	}
	boxes, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	scores, err := realsOf(c, 1)
	if err != nil {
		return nil, err
	}
	anchors, err := realsOf(c, 2)
	if err != nil {
		return nil, err
	}
	f := func(name string, def float32) float64 { return float64(c.Attrs.Float(name, def)) }
	sy, sx, sh, sw := f("y_scale", 10), f("x_scale", 10), f("h_scale", 5), f("w_scale", 5)
	least, overlap := f("nms_score_threshold", 0), f("nms_iou_threshold", .5)
	classes := c.Attrs.Int("num_classes", s[2])
	perBox, most := c.Attrs.Int("max_classes_per_detection", 1), c.Attrs.Int("max_detections", 1)
	perClass := c.Attrs.Int("detections_per_class", 100)
	regular := c.Attrs.Bool("use_regular_nms", false)
	skip := s[2] - classes // background comes first
	if skip < 0 || perBox < 1 || perBox > classes {
		return nil, c.Errorf("%d classes of %d scores, %d per detection", classes, s[2], perBox)
	}
	type found struct {
		box, class int
		score      float64
	}
	return func() error {
		bx, sc, an := boxes(), scores(), anchors()
		corner := make([][4]float32, b[1])
		for i := range corner {
			v, w := bx[i*b[2]:], an[i*4:]
			cy, cx := v[0]/sy*w[2]+w[0], v[1]/sx*w[3]+w[1]
			h, wd := .5*math.Exp(v[2]/sh)*w[2], .5*math.Exp(v[3]/sw)*w[3]
			corner[i] = [4]float32{float32(cy - h), float32(cx - wd), float32(cy + h), float32(cx + wd)}
		}
		score := func(i, k int) float64 { return sc[i*s[2]+skip+k] }
		suppress := func(key func(i int) float64, limit int) []int {
			var order, kept []int
			for i := range corner {
				if key(i) >= least {
					order = append(order, i)
				}
			}
			slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(key(j), key(i)) })
			for _, i := range order {
				if len(kept) == limit {
					break
				}
				if !slices.ContainsFunc(kept, func(j int) bool { return float64(iou(&corner[i], &corner[j])) > overlap }) {
					kept = append(kept, i)
				}
			}
			return kept
		}
		var list []found
		if regular {
			for k := range classes {
				for _, i := range suppress(func(i int) float64 { return score(i, k) }, perClass) {
					list = append(list, found{i, k, score(i, k)})
				}
			}
			slices.SortStableFunc(list, func(x, y found) int { return cmp.Compare(y.score, x.score) })
			list = list[:min(len(list), most)]
		} else {
			best := make([][]int, b[1])
			for i := range best {
				for k := range classes {
					best[i] = append(best[i], k)
				}
				slices.SortStableFunc(best[i], func(x, y int) int { return cmp.Compare(score(i, y), score(i, x)) })
			}
			for _, i := range suppress(func(i int) float64 { return score(i, best[i][0]) }, most) {
				for _, k := range best[i][:perBox] {
					list = append(list, found{i, k, score(i, k)})
				}
			}
		}
		for i := range c.Out {
			if t := c.Out[i]; t != nil {
				clear(t.Data)
			}
		}
		for n, d := range list {
			if t := c.Output(0); t != nil {
				for k, v := range corner[d.box] {
					tensor.Of[float32](t)[n*4+k] = v
				}
			}
			if t := c.Output(1); t != nil {
				tensor.Of[float32](t)[n] = float32(d.class)
			}
			if t := c.Output(2); t != nil {
				tensor.Of[float32](t)[n] = float32(d.score)
			}
		}
		if t := c.Output(3); t != nil {
			tensor.Of[float32](t)[0] = float32(len(list))
		}
		return nil
	}, nil
}

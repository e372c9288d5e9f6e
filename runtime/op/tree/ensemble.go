package tree

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// The comparisons, by ONNX's numbers.
const (
	leq = iota
	lt
	gte
	gt
	eq
	neq
	member
)

var modes = map[string]uint8{"BRANCH_LEQ": leq, "BRANCH_LT": lt, "BRANCH_GTE": gte, "BRANCH_GT": gt, "BRANCH_EQ": eq, "BRANCH_NEQ": neq}

// branch is an inner node. Its children are nodes, or leaves where they are negative: ^leaf.
type branch struct {
	value   float64
	yes, no int32
	feature int32
	mode    uint8
	missing bool // NaN goes to yes
}

type vote struct {
	target int32
	weight float64
}

// ensemble is a set of trees. Leaf i casts votes[leaves[i]:leaves[i+1]].
type ensemble struct {
	nodes   []branch
	roots   []int32
	leaves  []int32
	votes   []vote
	members [][]float64 // sorted; the value of a node of mode member is an index into it
}

// walk returns the votes of the leaf that row x reaches.
func (e *ensemble) walk(root int32, x []float64) []vote {
	at := root
	for at >= 0 {
		n := &e.nodes[at]
		v := x[n.feature]
		var yes bool
		switch n.mode {
		case leq:
			yes = v <= n.value
		case lt:
			yes = v < n.value
		case gte:
			yes = v >= n.value
		case gt:
			yes = v > n.value
		case eq:
			yes = v == n.value
		case neq:
			yes = v != n.value
		case member:
			_, yes = slices.BinarySearch(e.members[int(n.value)], v)
			yes = yes && v == v
		}
		if yes || n.missing && v != v {
			at = n.yes
		} else {
			at = n.no
		}
	}
	return e.votes[e.leaves[^at]:e.leaves[^at+1]]
}

// check makes sure that every walk ends and stays inside: children exist, no node is its own descendant, features and
// targets are in range.
func (e *ensemble) check(c *op.Call, features, targets int) error {
	for i, n := range e.nodes {
		if n.feature < 0 || int(n.feature) >= features {
			return c.Errorf("node %d reads feature %d of %d", i, n.feature, features)
		}
	}
	for i, v := range e.votes {
		if v.target < 0 || int(v.target) >= targets {
			return c.Errorf("vote %d is for target %d of %d", i, v.target, targets)
		}
	}
	const (
		open = 1 + iota
		closed
	)
	state := make([]uint8, len(e.nodes))
	var stack []int32
	for _, root := range e.roots {
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			if at < 0 {
				if int(^at) >= len(e.leaves)-1 {
					return c.Errorf("leaf %d of %d", ^at, len(e.leaves)-1)
				}
				stack = stack[:len(stack)-1]
				continue
			}
			if int(at) >= len(e.nodes) {
				return c.Errorf("node %d of %d", at, len(e.nodes))
			}
			if state[at] != 0 { // its descendants are done
				state[at] = closed
				stack = stack[:len(stack)-1]
				continue
			}
			state[at] = open
			for _, child := range [2]int32{e.nodes[at].yes, e.nodes[at].no} {
				if child >= 0 && int(child) < len(e.nodes) {
					switch state[child] {
					case open:
						return c.Errorf("node %d is its own descendant", child)
					case closed:
						continue
					}
				}
				stack = append(stack, child)
			}
		}
	}
	return nil
}

// readEnsemble reads the attributes of TreeEnsemble.
func readEnsemble(c *op.Call) (*ensemble, error) {
	splits, features := reals(c, "nodes_splits"), c.Attrs.Ints("nodes_featureids")
	n := len(features)
	var mode []float64
	if t := c.Attrs.Tensor("nodes_modes"); t != nil && t.DType == tensor.U8 {
		mode = reals(c, "nodes_modes")
	}
	missing := c.Attrs.Ints("nodes_missing_value_tracks_true")
	type side struct{ ids, leafs []int }
	yes, no := side{c.Attrs.Ints("nodes_truenodeids"), c.Attrs.Ints("nodes_trueleafs")}, side{c.Attrs.Ints("nodes_falsenodeids"), c.Attrs.Ints("nodes_falseleafs")}
	weights, targets := reals(c, "leaf_weights"), c.Attrs.Ints("leaf_targetids")
	if n == 0 || len(splits) != n || len(mode) != n || len(yes.ids) != n || len(yes.leafs) != n || len(no.ids) != n || len(no.leafs) != n || missing != nil && len(missing) != n {
		return nil, c.Errorf("the attributes nodes_* differ in length")
	}
	if len(weights) != len(targets) {
		return nil, c.Errorf("%d leaf weights for %d targets", len(weights), len(targets))
	}
	e := &ensemble{}
	child := func(s side, i int) (int32, error) {
		id := s.ids[i]
		if id < 0 || id > math.MaxInt32-1 {
			return 0, c.Errorf("node %d has child %d", i, id)
		}
		if s.leafs[i] != 0 {
			return ^int32(id), nil
		}
		return int32(id), nil
	}
	sets := reals(c, "membership_values")
	for i := range n {
		b := branch{value: splits[i], mode: uint8(mode[i]), missing: missing != nil && missing[i] != 0}
		if b.mode > member {
			return nil, c.Errorf("node %d has mode %d", i, b.mode)
		}
		if b.mode == member {
			k := slices.IndexFunc(sets, func(v float64) bool { return v != v })
			if k < 0 {
				return nil, c.Errorf("membership_values has no set for node %d", i)
			}
			set := slices.Clone(sets[:k])
			slices.Sort(set)
			b.value = float64(len(e.members))
			e.members, sets = append(e.members, set), sets[k+1:]
		}
		if features[i] < 0 || features[i] > math.MaxInt32 {
			return nil, c.Errorf("node %d reads feature %d", i, features[i])
		}
		b.feature = int32(features[i])
		var err error
		if b.yes, err = child(yes, i); err != nil {
			return nil, err
		}
		if b.no, err = child(no, i); err != nil {
			return nil, err
		}
		e.nodes = append(e.nodes, b)
	}
	for _, r := range c.Attrs.Ints("tree_roots") {
		if r < 0 || r >= n {
			return nil, c.Errorf("root %d of %d nodes", r, n)
		}
		e.roots = append(e.roots, int32(r))
	}
	for i, t := range targets {
		if t < 0 || t > math.MaxInt32 {
			return nil, c.Errorf("leaf %d is for target %d", i, t)
		}
		e.leaves = append(e.leaves, int32(i))
		e.votes = append(e.votes, vote{int32(t), weights[i]})
	}
	e.leaves = append(e.leaves, int32(len(targets)))
	return e, nil
}

// readTrees reads the attributes of the older operators, whose nodes are named by tree and number, and whose votes have
// the given prefix. The first node of a tree is its root.
func readTrees(c *op.Call, prefix string) (*ensemble, error) {
	trees, ids := c.Attrs.Ints("nodes_treeids"), c.Attrs.Ints("nodes_nodeids")
	mode, values := c.Attrs.Strs("nodes_modes"), reals(c, "nodes_values")
	features, missing := c.Attrs.Ints("nodes_featureids"), c.Attrs.Ints("nodes_missing_value_tracks_true")
	yes, no := c.Attrs.Ints("nodes_truenodeids"), c.Attrs.Ints("nodes_falsenodeids")
	n := len(trees)
	if n == 0 || len(ids) != n || len(mode) != n || len(values) != n || len(features) != n || len(yes) != n || len(no) != n || missing != nil && len(missing) != n {
		return nil, c.Errorf("the attributes nodes_* differ in length")
	}
	vt, vn, target := c.Attrs.Ints(prefix+"_treeids"), c.Attrs.Ints(prefix+"_nodeids"), c.Attrs.Ints(prefix+"_ids")
	weights := reals(c, prefix+"_weights")
	if len(vn) != len(vt) || len(target) != len(vt) || len(weights) != len(vt) {
		return nil, c.Errorf("the attributes %s_* differ in length", prefix)
	}
	// Votes in the order of their leaves.
	of := map[[2]int][]int{}
	for i := range vt {
		key := [2]int{vt[i], vn[i]}
		of[key] = append(of[key], i)
	}
	e := &ensemble{leaves: []int32{0}}
	at := make(map[[2]int]int32, n) // nodes, and leaves as ^leaf
	seen := map[int]bool{}
	inner := make([]int, 0, n)
	for i := range n {
		key := [2]int{trees[i], ids[i]}
		if _, twice := at[key]; twice {
			return nil, c.Errorf("tree %d has two nodes %d", key[0], key[1])
		}
		if mode[i] == "LEAF" {
			for _, v := range of[key] {
				if target[v] < 0 || target[v] > math.MaxInt32 {
					return nil, c.Errorf("vote %d is for %d", v, target[v])
				}
				e.votes = append(e.votes, vote{int32(target[v]), weights[v]})
			}
			e.leaves = append(e.leaves, int32(len(e.votes)))
			at[key] = ^int32(len(e.leaves) - 2)
		} else {
			at[key] = int32(len(inner))
			inner = append(inner, i)
		}
		if !seen[trees[i]] {
			seen[trees[i]] = true
			e.roots = append(e.roots, at[key])
		}
	}
	for _, i := range inner {
		m, ok := modes[mode[i]]
		if !ok {
			return nil, c.Errorf("node %d has mode %q", i, mode[i])
		}
		a, okA := at[[2]int{trees[i], yes[i]}]
		b, okB := at[[2]int{trees[i], no[i]}]
		if !okA || !okB || features[i] < 0 || features[i] > math.MaxInt32 {
			return nil, c.Errorf("node %d of tree %d has children %d and %d and reads feature %d", ids[i], trees[i], yes[i], no[i], features[i])
		}
		e.nodes = append(e.nodes, branch{value: values[i], yes: a, no: b, feature: int32(features[i]), mode: m, missing: missing != nil && missing[i] != 0})
	}
	return e, nil
}

// Ways to join the votes for a target, by ONNX's numbers.
const (
	average = iota
	sum
	least
	most
)

// score joins the votes of all trees. given tells which targets got any.
func (e *ensemble) score(x, out []float64, given []bool, how int) {
	clear(out)
	clear(given)
	for _, root := range e.roots {
		for _, v := range e.walk(root, x) {
			y := &out[v.target]
			switch {
			case !given[v.target]:
				*y = v.weight
			case how == least:
				*y = min(*y, v.weight)
			case how == most:
				*y = max(*y, v.weight)
			default:
				*y += v.weight
			}
			given[v.target] = true
		}
	}
	if how == average {
		for i := range out {
			out[i] /= float64(max(1, len(e.roots)))
		}
	}
}

func inferEnsemble(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	if err := c.Want(0, tensor.F32, tensor.F64, tensor.F16); err != nil {
		return err
	}
	return setTargets(c, c.In[0].DType, rows)
}

func inferTreeRegressor(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	return setTargets(c, tensor.F32, rows)
}

func setTargets(c *op.Call, d tensor.DType, rows int) error {
	n := c.Attrs.Int("n_targets", 1)
	if n < 1 || n > 1<<20 {
		return c.Errorf("n_targets %d", n)
	}
	c.Set(0, d, tensor.Shape{rows, n})
	return nil
}

func prepareEnsemble(c *op.Call) (op.Run, error) {
	e, err := readEnsemble(c)
	if err != nil {
		return nil, err
	}
	how := c.Attrs.Int("aggregate_function", sum)
	if how < average || how > most {
		return nil, c.Errorf("aggregate_function %d unknown", how)
	}
	return regress(c, e, how)
}

func prepareTreeRegressor(c *op.Call) (op.Run, error) {
	e, err := readTrees(c, "target")
	if err != nil {
		return nil, err
	}
	name := c.Attrs.Str("aggregate_function", "SUM")
	how := slices.Index([]string{"AVERAGE", "SUM", "MIN", "MAX"}, name)
	if how < 0 {
		return nil, c.Errorf("aggregate_function %q unknown", name)
	}
	return regress(c, e, how)
}

func regress(c *op.Call, e *ensemble, how int) (op.Run, error) {
	rows, cols, _ := checkRows(c)
	targets := c.Out[0].Shape[1]
	if err := e.check(c, cols, targets); err != nil {
		return nil, err
	}
	base := reals(c, "base_values")
	if len(base) != 0 && len(base) != targets && len(base) != 1 {
		return nil, c.Errorf("%d base values for %d targets", len(base), targets)
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	read := input(c, 0)
	var x []float64
	y, given := op.Make[float64](c, rows*targets), op.Make[bool](c, rows*targets)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := y[r*targets : (r+1)*targets]
			e.score(x[r*cols:(r+1)*cols], row, given[r*targets:(r+1)*targets], how)
			if len(base) > 0 {
				for i := range row {
					row[i] += base[min(i, len(base)-1)]
				}
			}
			post(row)
		}
	}
	grain := 1 + 1000/max(1, len(e.roots))
	return func() error {
		x = read()
		c.Par.For(rows, grain, body)
		number.Write(c.Out[0], y)
		return nil
	}, nil
}

func inferTreeClassifier(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	l := readLabels(c, "classlabels_int64s")
	if l.len() == 0 {
		return c.Errorf("no class labels")
	}
	setClassified(c, l, rows, l.len())
	return nil
}

// prepareTreeClassifier: where there are two classes and all votes are for one of them, the votes are about the second. They
// count as its probability where all are positive and no transform is asked for, else as a score that is positive for it.
func prepareTreeClassifier(c *op.Call) (op.Run, error) {
	e, err := readTrees(c, "class")
	if err != nil {
		return nil, err
	}
	rows, cols, _ := checkRows(c)
	l := readLabels(c, "classlabels_int64s")
	n := l.len()
	if err := e.check(c, cols, n); err != nil {
		return nil, err
	}
	base := reals(c, "base_values")
	if len(base) != 0 && len(base) != n && !(len(base) == 1 && n == 2) {
		return nil, c.Errorf("%d base values for %d classes", len(base), n)
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	one, positive := n == 2 && len(e.votes) > 0, true
	for _, v := range e.votes {
		one = one && v.target == e.votes[0].target
		positive = positive && v.weight >= 0
	}
	name := c.Attrs.Str("post_transform", "NONE")
	probability := positive && name == "NONE" || name == "PROBIT"
	read := input(c, 0)
	var x []float64
	y, given := op.Make[float64](c, rows*n), op.Make[bool](c, rows*n)
	labelsOut := c.Output(0)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := y[r*n : (r+1)*n]
			e.score(x[r*cols:(r+1)*cols], row, given[r*n:(r+1)*n], sum)
			if one {
				s := row[e.votes[0].target]
				if len(base) > 0 {
					s += base[len(base)-1]
				}
				k, middle := 0, 0.0
				if row[0], row[1] = -s, s; probability {
					row[0], middle = 1-s, .5
				}
				if s > middle {
					k = 1
				}
				post(row)
				l.put(labelsOut, r, k)
				continue
			}
			for i := range base {
				row[i] += base[i]
			}
			k := best(row)
			if n == 1 { // the class, or none of it
				if k = 0; !(row[0] > 0) {
					k = -1
				}
			}
			post(row)
			l.put(labelsOut, r, k)
		}
	}
	grain := 1 + 1000/max(1, len(e.roots))
	return func() error {
		x = read()
		c.Par.For(rows, grain, body)
		if z := c.Output(1); z != nil {
			number.Write(z, y)
		}
		return nil
	}, nil
}

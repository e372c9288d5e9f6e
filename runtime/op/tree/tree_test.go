package tree

import (
	"maps"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

func TestCases(t *testing.T) { optest.Run(t, Ops, "testdata/cases.jsonl") }

// stump is a tree of one comparison, as the newest operator and as the older ones have it.
var stump = attr.Attrs{
	"nodes_splits": tensor.From([]float32{1}), "nodes_modes": tensor.From([]uint8{leq}), "nodes_featureids": []int64{0},
	"nodes_truenodeids": []int64{0}, "nodes_trueleafs": []int64{1}, "nodes_falsenodeids": []int64{1}, "nodes_falseleafs": []int64{1},
	"tree_roots": []int64{0}, "leaf_weights": tensor.From([]float32{2, 3}), "leaf_targetids": []int64{0, 0}, "n_targets": int64(1),
}

var old = attr.Attrs{
	"nodes_treeids": []int64{0, 0, 0}, "nodes_nodeids": []int64{0, 1, 2}, "nodes_featureids": []int64{0, 0, 0}, "nodes_values": []float32{1, 0, 0},
	"nodes_modes": []string{"BRANCH_LEQ", "LEAF", "LEAF"}, "nodes_truenodeids": []int64{1, 0, 0}, "nodes_falsenodeids": []int64{2, 0, 0},
	"target_treeids": []int64{0, 0}, "target_nodeids": []int64{1, 2}, "target_ids": []int64{0, 0}, "target_weights": []float32{2, 3}, "n_targets": int64(1),
}

func with(a attr.Attrs, name string, v any) attr.Attrs {
	b := maps.Clone(a)
	b[name] = v
	return b
}

func eval(name string, a attr.Attrs, in ...*tensor.Tensor) (*tensor.Tensor, error) {
	c := &op.Call{Name: "n", Op: "ai.onnx.ml." + name, Attrs: a, In: in, Out: []*tensor.Tensor{{}, {}}}
	if !strings.Contains(name, "Classifier") {
		c.Out = c.Out[:1]
	}
	err := op.Eval(Ops[c.Op], c, 1<<20)
	return c.Out[0], err
}

func TestStump(t *testing.T) {
	x := tensor.From([]float32{1, 1.5, -3}, 3, 1)
	for _, o := range []struct {
		name string
		a    attr.Attrs
	}{{"TreeEnsemble", stump}, {"TreeEnsembleRegressor", old}} {
		y, err := eval(o.name, o.a, x)
		if err != nil {
			t.Fatal(err)
		}
		if v := tensor.Of[float32](y); v[0] != 2 || v[1] != 3 || v[2] != 2 {
			t.Errorf("%s: %v", o.name, v)
		}
	}
}

// Whatever the attributes say, a walk ends inside the tree.
func TestBadInput(t *testing.T) {
	x := tensor.From([]float32{1, 2, 3}, 3, 1)
	loop := maps.Clone(old) // node 1 leads back to its parent
	loop["nodes_modes"] = []string{"BRANCH_LEQ", "BRANCH_LEQ", "LEAF"}
	loop["nodes_falsenodeids"] = []int64{2, 2, 0}
	self := maps.Clone(stump)
	self["nodes_trueleafs"] = []int64{0}
	linear := attr.Attrs{"coefficients": []float32{1, 2}, "intercepts": []float32{0, 0}, "classlabels_ints": []int64{1, 2}}
	svm := attr.Attrs{"coefficients": []float32{1, 1}, "support_vectors": []float32{1, 2}, "rho": []float32{0}, "vectors_per_class": []int64{1, 1},
		"classlabels_ints": []int64{0, 1}, "kernel_type": "LINEAR"}
	scale := attr.Attrs{"offset": []float32{1}, "scale": []float32{1}}
	label := attr.Attrs{"keys_strings": []string{"a"}, "values_int64s": []int64{1}}
	for _, c := range []struct {
		op   string
		a    attr.Attrs
		in   *tensor.Tensor
		want string
	}{
		{"TreeEnsembleRegressor", loop, x, "its own descendant"},
		{"TreeEnsemble", self, x, "its own descendant"},
		{"TreeEnsembleRegressor", with(old, "nodes_featureids", []int64{1, 0, 0}), x, "feature 1 of 1"},
		{"TreeEnsembleRegressor", with(old, "nodes_featureids", []int64{-1, 0, 0}), x, "feature -1"},
		{"TreeEnsembleRegressor", with(old, "nodes_truenodeids", []int64{9, 0, 0}), x, "children 9"},
		{"TreeEnsembleRegressor", with(old, "target_ids", []int64{0, 1}), x, "target 1 of 1"},
		{"TreeEnsembleRegressor", with(old, "target_ids", []int64{0, 1 << 40}), x, "vote 1 is for"},
		{"TreeEnsembleRegressor", with(old, "nodes_nodeids", []int64{0, 1, 1}), x, "two nodes 1"},
		{"TreeEnsembleRegressor", with(old, "nodes_modes", []string{"BRANCH_X", "LEAF", "LEAF"}), x, `mode "BRANCH_X"`},
		{"TreeEnsembleRegressor", with(old, "nodes_values", []float32{1}), x, "differ in length"},
		{"TreeEnsembleRegressor", with(old, "base_values", []float32{1, 2, 3}), x, "3 base values"},
		{"TreeEnsembleRegressor", with(old, "aggregate_function", "MEDIAN"), x, "MEDIAN"},
		{"TreeEnsembleRegressor", with(old, "post_transform", "X"), x, "post_transform"},
		{"TreeEnsembleRegressor", with(old, "n_targets", int64(0)), x, "n_targets 0"},
		{"TreeEnsembleRegressor", with(old, "n_targets", int64(1<<40)), x, "n_targets"},
		{"TreeEnsemble", with(stump, "tree_roots", []int64{1}), x, "root 1"},
		{"TreeEnsemble", with(stump, "nodes_truenodeids", []int64{2}), x, "leaf 2 of 2"},
		{"TreeEnsemble", with(stump, "nodes_truenodeids", []int64{1 << 33}), x, "child"},
		{"TreeEnsemble", with(with(stump, "nodes_trueleafs", []int64{0}), "nodes_truenodeids", []int64{3}), x, "node 3 of 1"},
		{"TreeEnsemble", with(stump, "nodes_modes", tensor.From([]uint8{member})), x, "no set"},
		{"TreeEnsemble", with(stump, "nodes_modes", tensor.From([]uint8{9})), x, "mode 9"},
		{"TreeEnsemble", with(stump, "nodes_modes", tensor.From([]float32{0})), x, "differ in length"},
		{"TreeEnsemble", with(stump, "leaf_targetids", []int64{0}), x, "leaf weights"},
		{"TreeEnsemble", with(stump, "post_transform", int64(7)), x, "post_transform 7"},
		{"TreeEnsemble", with(stump, "aggregate_function", int64(-1)), x, "aggregate_function -1"},
		{"TreeEnsemble", stump, tensor.New(tensor.F32, tensor.Shape{1, 1, 1}), "rows of features"},
		{"TreeEnsemble", stump, tensor.FromStrings([]string{"a"}, 1, 1), "type string"},
		{"TreeEnsemble", stump, tensor.New(tensor.F32, tensor.Shape{3, 0}), "feature 0 of 0"},
		{"TreeEnsembleClassifier", old, x, "no class labels"},
		{"LinearClassifier", with(linear, "coefficients", []float32{}), x, "0 coefficients"},
		{"LinearClassifier", with(linear, "intercepts", []float32{1, 2, 3}), x, "3 intercepts"},
		{"LinearClassifier", with(linear, "classlabels_ints", []int64{1, 2, 3}), x, "3 labels"},
		{"LinearRegressor", linear, x, "1 targets"},
		{"SVMClassifier", with(svm, "kernel_type", "X"), x, "kernel_type"},
		{"SVMClassifier", with(svm, "support_vectors", []float32{1}), x, "do not fit"},
		{"SVMClassifier", with(svm, "rho", []float32{}), x, "do not fit"},
		{"SVMClassifier", with(svm, "vectors_per_class", []int64{-1, 3}), x, "vectors_per_class"},
		{"SVMClassifier", with(svm, "vectors_per_class", []int64{2}), x, "do not fit"},
		{"SVMClassifier", with(svm, "prob_a", []float32{1}), x, "0 prob_b"},
		{"SVMRegressor", with(svm, "n_supports", int64(-1)), x, "do not fit"},
		{"SVMRegressor", with(svm, "n_supports", int64(2)), tensor.New(tensor.F32, tensor.Shape{2, 3}), "do not fit"},
		{"Scaler", with(scale, "scale", []float32{1, 2}), x, "2 values of scale"},
		{"Normalizer", attr.Attrs{"norm": "L3"}, x, "L3"},
		{"Imputer", nil, x, "0 values"},
		{"Imputer", attr.Attrs{"imputed_value_floats": []float32{1}}, tensor.From([]int64{1}, 1, 1), "imputed_value_int64s"},
		{"FeatureVectorizer", attr.Attrs{"inputdimensions": []int64{1, 2}}, x, "2 inputdimensions"},
		{"LabelEncoder", label, x, "among other keys"},
		{"LabelEncoder", with(label, "values_int64s", []int64{1, 2}), x, "do not fit"},
		{"LabelEncoder", nil, x, "missing"},
		{"OneHotEncoder", nil, x, "no categories"},
		{"OneHotEncoder", attr.Attrs{"cats_int64s": []int64{1, 2}, "zeros": int64(0)}, x, "position 2"},
	} {
		_, err := eval(c.op, c.a, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "n (ai.onnx.ml."+c.op+")") {
			t.Errorf("%s: error %v, want one about %q", c.op, err, c.want)
		}
	}
	if _, err := eval("ArrayFeatureExtractor", nil, x, tensor.From([]int64{0, 1})); err == nil || !strings.Contains(err.Error(), "index 1 at position 1") {
		t.Errorf("ArrayFeatureExtractor: %v", err)
	}
}

// A node that two parents share is no loop.
func TestSharedNodes(t *testing.T) {
	a := maps.Clone(old)
	a["nodes_treeids"], a["nodes_nodeids"] = []int64{0, 0, 0, 0, 0}, []int64{0, 1, 2, 3, 4}
	a["nodes_featureids"], a["nodes_values"] = []int64{0, 0, 0, 0, 0}, []float32{0, -1, 0, 0, 0}
	a["nodes_modes"] = []string{"BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF"}
	a["nodes_truenodeids"], a["nodes_falsenodeids"] = []int64{1, 2, 3, 0, 0}, []int64{2, 2, 4, 0, 0}
	a["target_nodeids"] = []int64{3, 4}
	y, err := eval("TreeEnsembleRegressor", a, tensor.From([]float32{-2, 5}, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	if v := tensor.Of[float32](y); v[0] != 3 || v[1] != 2 {
		t.Errorf("got %v", v)
	}
}

#!/usr/bin/env python3
"""Writes cases.jsonl: ONNX's backend cases of ai.onnx.ml, models that scikit-learn trained with its own predictions, and
cases by ONNX's reference evaluator.

    cases.py FOLDER_OF_BACKEND_CASES
"""
import os, sys, warnings
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "optest"))
import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC, SVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from cases import Writer, array, attribute, read, size, tensor

warnings.simplefilter("ignore")
rng = np.random.default_rng(7)
w = Writer(os.path.join(here, "cases.jsonl"))
for name in sorted(os.listdir(sys.argv[1])):
    c = read(os.path.join(sys.argv[1], name))
    if c and c["Op"].startswith("ai.onnx.ml.") and sum(map(size, c["In"] + c["Out"])) < 20000:
        w.write(c)


def write(name, op, attrs, inputs, outputs):
    node = helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attrs)
    w.write({"Name": name, "Op": "ai.onnx.ml." + op, "Attrs": {a.name: attribute(a) for a in node.attribute},
             "In": [array(x) for x in inputs], "Out": [None if y is None else array(y) for y in outputs]})


def reference(name, op, attrs, inputs, types, version=3):
    """Writes a case whose outputs ONNX's evaluator computes; types are those of the outputs."""
    ins, outs = [f"x{i}" for i in range(len(inputs))], [f"y{i}" for i in range(len(types))]
    node = helper.make_node(op, ins, outs, domain="ai.onnx.ml", **attrs)
    g = helper.make_graph([node], "g", [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype) if x.dtype.kind not in "OU" else T.STRING, None)
                                        for n, x in zip(ins, inputs)], [helper.make_tensor_value_info(n, T.FLOAT, None) for n in outs])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("ai.onnx.ml", version)])
    got = ReferenceEvaluator(m).run(None, dict(zip(ins, inputs)))
    write(name, op, attrs, inputs, [y if t is str else y.astype(t) for y, t in zip(got, types)])


x, y = load_iris(return_X_y=True)
x = x.astype(np.float32)
few = x[rng.permutation(150)[:9]]
far = np.concatenate([few, -few[:2], 100 * few[:2]]).astype(np.float32)


def trees(models, prefix, votes):
    """The attributes of scikit-learn trees; votes(tree number, values at the leaf) lists pairs of target and weight."""
    a = {k: [] for k in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids",
                         prefix + "_treeids", prefix + "_nodeids", prefix + "_ids", prefix + "_weights")}
    for k, m in enumerate(models):
        t = m.tree_
        for i in range(t.node_count):
            leaf = t.children_left[i] < 0
            for n, v in (("treeids", k), ("nodeids", i), ("featureids", max(0, int(t.feature[i]))), ("values", 0. if leaf else float(np.float32(t.threshold[i]))),
                         ("modes", "LEAF" if leaf else "BRANCH_LEQ"), ("truenodeids", 0 if leaf else int(t.children_left[i])), ("falsenodeids", 0 if leaf else int(t.children_right[i]))):
                a["nodes_" + n].append(v)
            if leaf:
                for target, weight in votes(k, t.value[i]):
                    for n, v in (("treeids", k), ("nodeids", i), ("ids", target), ("weights", float(weight))):
                        a[prefix + "_" + n].append(v)
    return a


# Trees.
rf = RandomForestRegressor(5, max_depth=3, random_state=1).fit(x, np.stack([y, x[:, 0]], 1))
a = trees(rf.estimators_, "target", lambda k, v: [(i, v[i, 0]) for i in range(2)])
for f in ("SUM", "AVERAGE", "MIN", "MAX"):
    reference("forest_" + f.lower(), "TreeEnsembleRegressor", dict(a, n_targets=2, aggregate_function=f, base_values=[.25, -1.]), [far], [np.float32])
write("forest_of_scikit", "TreeEnsembleRegressor", dict(a, n_targets=2, aggregate_function="AVERAGE"), [few], [rf.predict(few).astype(np.float32)])
nan = far.copy()
nan[::2, 2] = np.nan
reference("missing_values", "TreeEnsembleRegressor", dict(a, n_targets=2, nodes_missing_value_tracks_true=[i % 2 for i in range(len(a["nodes_modes"]))]), [nan], [np.float32])
whole = few.astype(np.int64)
write("tree_of_integers", "TreeEnsembleRegressor", dict(a, n_targets=2, aggregate_function="AVERAGE"), [whole], [rf.predict(whole.astype(np.float32)).astype(np.float32)])
for mode in ("LT", "GTE", "GT", "EQ", "NEQ"):
    b = dict(a, nodes_modes=[m if m == "LEAF" else "BRANCH_" + mode for m in a["nodes_modes"]], n_targets=2)
    v = few.copy()
    v[:4] = [b["nodes_values"][i] for i in (0, 1, 2, 8)]
    reference("mode_" + mode.lower(), "TreeEnsembleRegressor", b, [v], [np.float32])
dt = DecisionTreeClassifier(max_depth=4, random_state=1).fit(x, y)
a = trees([dt], "class", lambda k, v: enumerate(v[0]))
write("tree_classes", "TreeEnsembleClassifier", dict(a, classlabels_int64s=[0, 1, 2]), [few], [dt.predict(few), dt.predict_proba(few).astype(np.float32)])
for post in ("SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"):
    reference("tree_" + post.lower(), "TreeEnsembleClassifier", dict(a, classlabels_strings=["a", "b", "c"], post_transform=post, base_values=[0., .5, -1.]), [far], [str, np.float32])
d = {k: v for k, v in a.items() if k not in ("nodes_values", "class_weights")}
d["nodes_values_as_tensor"] = helper.make_tensor("v", T.DOUBLE, [len(a["nodes_values"])], a["nodes_values"])
d["class_weights_as_tensor"] = helper.make_tensor("v", T.DOUBLE, [len(a["class_weights"])], a["class_weights"])
write("tree_of_doubles", "TreeEnsembleClassifier", dict(d, classlabels_int64s=[0, 1, 2]), [few.astype(np.float64)], [dt.predict(few), dt.predict_proba(few).astype(np.float32)])
two = (y > 1).astype(int)
gb = GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=1).fit(x, two)
start = float(gb.init_.class_prior_[1])
start = np.log(start / (1 - start))
for one in (0, 1):
    a = trees(gb.estimators_[:, 0], "class", lambda k, v: [(one, gb.learning_rate * v[0, 0])])
    write(f"boosted_{one}", "TreeEnsembleClassifier", dict(a, classlabels_int64s=[0, 1], post_transform="LOGISTIC", base_values=[start]), [few],
          [gb.predict(few), gb.predict_proba(few).astype(np.float32)])
raw = gb.decision_function(few).astype(np.float32)
write("boosted_raw", "TreeEnsembleClassifier", dict(a, classlabels_strings=["no", "yes"], base_values=[start]), [few],
      [np.array(["no", "yes"])[(raw > 0).astype(int)], np.stack([-raw, raw], 1)])
d2 = DecisionTreeClassifier(max_depth=3, random_state=1).fit(x, two)
a = trees([d2], "class", lambda k, v: [(0, v[0][1])])
write("two_probabilities", "TreeEnsembleClassifier", dict(a, classlabels_int64s=[5, 9]), [few], [np.array([5, 9])[d2.predict(few)], d2.predict_proba(few).astype(np.float32)])


def ensemble(m, d, **more):
    """A tree as the newest operator has it: inner nodes and leaves apart."""
    t = m.tree_
    inner = [i for i in range(t.node_count) if t.children_left[i] >= 0]
    leaves = [i for i in range(t.node_count) if t.children_left[i] < 0]
    at = {i: k for k, i in enumerate(inner)} | {i: k for k, i in enumerate(leaves)}
    side = lambda child: [at[int(child[i])] for i in inner]
    leaf = lambda child: [int(t.children_left[child[i]] < 0) for i in inner]
    ten = lambda v, d=d: numpy_helper.from_array(np.asarray(v, d))
    return dict(nodes_splits=ten(t.threshold[inner]), nodes_featureids=[int(i) for i in t.feature[inner]], nodes_modes=ten([0] * len(inner), np.uint8), tree_roots=[0],
                nodes_truenodeids=side(t.children_left), nodes_falsenodeids=side(t.children_right), nodes_trueleafs=leaf(t.children_left), nodes_falseleafs=leaf(t.children_right),
                leaf_targetids=[0] * len(leaves), leaf_weights=ten([t.value[i].ravel()[0] for i in leaves]), n_targets=1, **more)


reg = DecisionTreeRegressor(max_depth=4, random_state=1).fit(x, x[:, 0] + y)
for d in (np.float32, np.float64, np.float16):
    z = few.astype(d)
    write(f"ensemble_{np.dtype(d)}", "TreeEnsemble", ensemble(reg, d), [z], [reg.predict(z).astype(d)[:, None] if d != np.float16 else
          reg.predict(z.astype(np.float32)).astype(d)[:, None]])
p = reg.predict(few)
write("ensemble_logistic", "TreeEnsemble", ensemble(reg, np.float64, post_transform=2), [few.astype(np.float64)], [(1 / (1 + np.exp(-p)))[:, None]])

# Linear models.
lin = LinearRegression().fit(x, np.stack([y, 2 * y + x[:, 1]], 1))
coef = lambda m: [float(v) for v in m.ravel()]
write("linear_regressor", "LinearRegressor", dict(coefficients=coef(lin.coef_), intercepts=coef(lin.intercept_), targets=2), [few], [lin.predict(few).astype(np.float32)])
lr = LogisticRegression(max_iter=500).fit(x, y)
write("linear_softmax", "LinearClassifier", dict(coefficients=coef(lr.coef_), intercepts=coef(lr.intercept_), classlabels_ints=[0, 1, 2], post_transform="SOFTMAX"),
      [few], [lr.predict(few), lr.predict_proba(few).astype(np.float32)])
for post in ("NONE", "LOGISTIC", "SOFTMAX_ZERO"):
    reference("linear_" + post.lower(), "LinearClassifier", dict(coefficients=coef(lr.coef_), intercepts=coef(lr.intercept_), classlabels_strings=["a", "b", "c"], post_transform=post),
              [few], [str, np.float32])
l2 = LogisticRegression(max_iter=500).fit(x, two)
write("linear_two", "LinearClassifier", dict(coefficients=coef(l2.coef_), intercepts=coef(l2.intercept_), classlabels_ints=[0, 1], post_transform="LOGISTIC"),
      [few], [l2.predict(few), l2.predict_proba(few).astype(np.float32)])
probit = dict(coefficients=[.1, 0, 0, .05, .02, 0], intercepts=[.2, .1, .5], classlabels_ints=[1, 2, 3], post_transform="PROBIT")
reference("linear_probit", "LinearClassifier", probit, [rng.random((5, 2), np.float32)], [np.int64, np.float32])

# Support vectors.
for kernel in ("linear", "poly", "rbf", "sigmoid"):
    for target, label in ((y, "three"), (two, "two")):
        m = SVC(kernel=kernel, gamma=.05, coef0=.5, degree=3, C=.5).fit(x, target)
        a = dict(kernel_type=kernel.upper(), kernel_params=[.05, .5, 3.], coefficients=coef(m.dual_coef_), support_vectors=coef(m.support_vectors_), rho=coef(m.intercept_),
                 vectors_per_class=[int(v) for v in m.n_support_], classlabels_ints=sorted(set(map(int, target))))
        if label == "two":  # libsvm's sign
            a["coefficients"], a["rho"] = [-v for v in a["coefficients"]], [-v for v in a["rho"]]
        reference(f"svc_{kernel}_{label}", "SVMClassifier", a, [few.astype(np.float64)], [np.int64, np.float32])
        if label == "three":  # ONNX's evaluator couples the pairs wrongly
            m = SVC(kernel=kernel, gamma=.05, coef0=.5, degree=3, C=.5, probability=True, random_state=1).fit(x, y)
            write(f"svc_{kernel}_probability", "SVMClassifier", dict(a, prob_a=coef(m.probA_), prob_b=coef(m.probB_)), [few],
                  [m.predict(few), m.predict_proba(few).astype(np.float32)])
reference("svc_linear_scores", "SVMClassifier", dict(coefficients=coef(lr.coef_), rho=[.5], classlabels_ints=[4, 5, 6], post_transform="SOFTMAX"), [few.astype(np.float64)], [np.int64, np.float32])
svr = SVR(kernel="rbf", gamma=.1).fit(x, y)
write("svr", "SVMRegressor", dict(kernel_type="RBF", kernel_params=[.1, 0., 3.], coefficients=coef(svr.dual_coef_), support_vectors=coef(svr.support_vectors_), rho=coef(svr.intercept_),
      n_supports=len(svr.support_)), [few], [svr.predict(few).astype(np.float32)[:, None]])
oc = OneClassSVM(gamma=.1, nu=.3).fit(x)
write("one_class", "SVMRegressor", dict(kernel_type="RBF", kernel_params=[.1, 0., 3.], coefficients=coef(oc.dual_coef_), support_vectors=coef(oc.support_vectors_), rho=coef(oc.intercept_),
      n_supports=len(oc.support_), one_class=1), [far], [oc.predict(far).astype(np.float32)[:, None]])
reference("svr_linear", "SVMRegressor", dict(coefficients=[1., -2., .5, .25], rho=[.5]), [few], [np.float32])

# Features.
f = rng.standard_normal((4, 3)).astype(np.float32)
i = rng.integers(-3, 4, (4, 3))
for v, label in ((f, "f32"), (f.astype(np.float64), "f64"), (i, "i64"), (i.astype(np.int32), "i32")):
    write("scaler_" + label, "Scaler", dict(offset=[1., -.5, .25], scale=[2., .5, -1.]), [v], [((v - np.array([1., -.5, .25])) * [2., .5, -1.]).astype(np.float32)])
    write("scaler_one_" + label, "Scaler", dict(offset=[1.], scale=[3.]), [v], [((v - 1.) * 3).astype(np.float32)])
    u = v.astype(np.float64)
    for norm, div in (("MAX", u.max(1)), ("L1", np.abs(u).sum(1)), ("L2", np.sqrt((u * u).sum(1)))):
        write(f"normalizer_{norm}_{label}", "Normalizer", dict(norm=norm), [v], [(u / np.where(div == 0, 1, div)[:, None]).astype(np.float32)])
    write("binarizer_" + label, "Binarizer", dict(threshold=.5), [v], [(v > .5).astype(v.dtype)])
write("normalizer_vector", "Normalizer", dict(norm="L1"), [f[0]], [f[0] / np.abs(f[0]).sum()])
write("normalizer_zero", "Normalizer", dict(norm="L2"), [np.zeros((2, 2), np.float32)], [np.zeros((2, 2), np.float32)])
hole = f.copy()
hole[1] = np.nan
reference("imputer_nan", "Imputer", dict(imputed_value_floats=[7., 8., 9.], replaced_value_float=float("nan")), [hole], [np.float32])
reference("imputer_one", "Imputer", dict(imputed_value_floats=[7.], replaced_value_float=float(f[2, 1])), [f], [np.float32])
big = np.array([[2**60 + 1, 2**60], [2**60, 3]])
reference("imputer_ints", "Imputer", dict(imputed_value_int64s=[2**61 + 1, 5], replaced_value_int64=2**60), [big], [np.int64])
reference("imputer_i32", "Imputer", dict(imputed_value_int64s=[-7], replaced_value_int64=1), [i.astype(np.int32)], [np.int32])
write("vectorizer", "FeatureVectorizer", dict(inputdimensions=[2, 4, 3]), [f, f[:, :3].astype(np.float64), i], [np.concatenate([f[:, :2], f, np.zeros((4, 1)), i], 1).astype(np.float32)])
write("vectorizer_rows", "FeatureVectorizer", {}, [f[0], i[:1]], [np.concatenate([f[:1], i[:1]], 1).astype(np.float32)])
for v, k, label in ((f, [2, 0], "matrix"), (f[0], [1], "vector"), (np.array([["a", "b"], ["c", "d"]]), [1, 1, 0], "strings"), (i.reshape(2, 2, 3).astype(np.int32), [[0], [2]], "cube")):
    reference("extractor_" + label, "ArrayFeatureExtractor", {}, [v, np.array(k)], [str if v.dtype.kind == "U" else v.dtype])
write("one_hot_ints", "OneHotEncoder", dict(cats_int64s=[3, -1, 7]), [np.array([[7, 3], [-1, 5]])], [np.eye(4, dtype=np.float32)[[[2, 0], [1, 3]]][..., :3]])
write("one_hot_floats", "OneHotEncoder", dict(cats_int64s=[3, -1, 7]), [np.array([7.5, np.nan, 3], np.float32)], [np.eye(4, dtype=np.float32)[[2, 3, 0]][..., :3]])
write("one_hot_strings", "OneHotEncoder", dict(cats_strings=["x", "y"]), [np.array(["y", "z", "x"])], [np.eye(3, dtype=np.float32)[[1, 2, 0]][..., :2]])
text = np.array([["a", "q"], ["b", "a"]])
keys = dict(keys_strings=["a", "b", "a"])
write("label_repeated", "LabelEncoder", dict(keys, values_int64s=[1, 2, 2**60 + 1]), [text], [np.array([[2**60 + 1, -1], [2, 2**60 + 1]])])
write("label_floats", "LabelEncoder", dict(keys, values_floats=[1., 2., 3.], default_float=.5), [text], [np.array([[3, .5], [2, 3]], np.float32)])
write("label_strings", "LabelEncoder", dict(keys, values_strings=["A", "B", "C"]), [text], [np.array([["C", "_Unused"], ["B", "C"]])])
write("label_nan", "LabelEncoder", dict(keys_floats=[1.5, float("nan"), 0.], values_strings=["x", "nan", "zero"], default_string="?"), [np.array([np.nan, 1.5, -0., 2], np.float32)],
      [np.array(["nan", "x", "zero", "?"])])
write("label_ints", "LabelEncoder", dict(keys_int64s=[2**60, 2**60 + 1], values_int64s=[-1, 1], default_int64=2**61 + 1), [np.array([2**60 + 1, 2**60, 0])], [np.array([1, -1, 2**61 + 1])])
ten = numpy_helper.from_array
write("label_tensors", "LabelEncoder", dict(keys_tensor=ten(np.array([1, 2], np.int32)), values_tensor=ten(np.array([.5, .25])), default_tensor=ten(np.array([9.]))),
      [np.array([2, 5, 1], np.int32)], [np.array([.25, 9, .5])])
write("mapper_to_ints", "CategoryMapper", dict(cats_strings=["a", "b"], cats_int64s=[4, 5]), [text], [np.array([[4, -1], [5, 4]])])
write("mapper_to_strings", "CategoryMapper", dict(cats_strings=["a", "b"], cats_int64s=[4, 5], default_string="?"), [np.array([5, 4, 3])], [np.array(["b", "a", "?"])])

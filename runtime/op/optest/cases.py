#!/usr/bin/env python3
"""Turns ONNX backend cases of one node into lines of JSON that package optest reads.

    cases.py FOLDER PACKAGE OUT.jsonl MAX_BYTES PER_OP

FOLDER holds unpacked cases (model.onnx, test_data_set_0/{input,output}_K.pb). Those are taken whose operator stands in a
table of the Go package in the folder PACKAGE. Cases whose tensors take more than MAX_BYTES are left out, and of each
operator at most PER_OP are taken, spread evenly over their names (0: all). Operators of other domains than ONNX's own
bear the domain as prefix. Models of an opset before the newest change of their operator are left out, as the operators
have the newest meaning only, and so are those that expect somebody's random numbers.

Other generators import Writer, select and the functions that describe tensors and attributes.
"""
import base64, glob, json, os, re, sys
import numpy as np
import onnx
from onnx import AttributeProto as A, TensorProto as T, numpy_helper

NAMES = {T.FLOAT: "f32", T.DOUBLE: "f64", T.FLOAT16: "f16", T.BFLOAT16: "bf16", T.INT64: "i64", T.INT32: "i32", T.INT16: "i16",
         T.INT8: "i8", T.UINT64: "u64", T.UINT32: "u32", T.UINT16: "u16", T.UINT8: "u8", T.BOOL: "bool", T.STRING: "string",
         T.INT4: "i4", T.UINT4: "u4", T.FLOAT8E4M3FN: "f8e4m3fn", T.FLOAT8E4M3FNUZ: "f8e4m3fnuz", T.FLOAT8E5M2: "f8e5m2",
         T.FLOAT8E5M2FNUZ: "f8e5m2fnuz", T.FLOAT4E2M1: "f4e2m1", T.INT2: "i2", T.UINT2: "u2", T.FLOAT8E8M0: "f8e8m0"}
BITS = {"i4": 4, "u4": 4, "f4e2m1": 4, "i2": 2, "u2": 2}


def array(a, name=None):
    """Describes a NumPy array; name is the element type where NumPy has none."""
    a = np.asarray(a)
    if a.dtype.kind in "OUS":
        return {"DType": "string", "Shape": list(a.shape), "Str": [s.decode() if isinstance(s, bytes) else str(s) for s in a.ravel()]}
    name = name or NAMES[onnx.helper.np_dtype_to_tensor_dtype(a.dtype)]
    raw = np.ascontiguousarray(a).tobytes()
    if name in BITS:
        bits = BITS[name]
        per, codes = 8 // bits, [b & (1 << bits) - 1 for b in raw]
        raw = bytes(sum(c << k * bits for k, c in enumerate(codes[i:i + per])) for i in range(0, len(codes), per))
    return {"DType": name, "Shape": list(a.shape), "Data": base64.b64encode(raw).decode()}


def tensor(t):
    return array(numpy_helper.to_array(t), NAMES[t.data_type])


def value(path, typ):
    """Describes the value in a file of the given graph type."""
    raw = open(path, "rb").read()
    return describe(raw, typ)


def describe(raw, typ):
    if typ.HasField("optional_type") and raw[:1] != b"\x08":  # the element of a present one may stand alone, dims first
        o = onnx.OptionalProto.FromString(raw)
        if o.HasField("tensor_value"):
            return tensor(o.tensor_value)
        if o.HasField("sequence_value"):
            return {"DType": "sequence", "Elems": [tensor(t) for t in o.sequence_value.tensor_values]}
        return None
    if typ.HasField("optional_type"):
        typ = typ.optional_type.elem_type
    if typ.HasField("sequence_type"):
        return {"DType": "sequence", "Elems": [tensor(t) for t in onnx.SequenceProto.FromString(raw).tensor_values]}
    return tensor(onnx.TensorProto.FromString(raw))


def real(f):
    """Is text, as JSON has no NaN."""
    return str(np.float32(f))


def attribute(a):
    return {A.INT: lambda: ["int", a.i], A.FLOAT: lambda: ["float", real(a.f)], A.STRING: lambda: ["string", a.s.decode()],
            A.INTS: lambda: ["ints", list(a.ints)], A.FLOATS: lambda: ["floats", [real(f) for f in a.floats]],
            A.STRINGS: lambda: ["strings", [s.decode() for s in a.strings]], A.TENSOR: lambda: ["tensor", tensor(a.t)]}[a.type]()


def size(v):
    if v is None:
        return 0
    return len(v.get("Data", "")) * 3 // 4 + sum(map(len, v.get("Str", []))) + sum(map(size, v.get("Elems", [])))


def operator(node):
    return node.op_type if node.domain in ("", "ai.onnx") else node.domain + "." + node.op_type


def read(folder):
    """Describes the case in a folder; None where it is not one node of the newest meaning."""
    m = onnx.load(os.path.join(folder, "model.onnx"))
    if len(m.graph.node) != 1 or m.functions:
        return None
    n = m.graph.node[0]
    domain = n.domain if n.domain != "ai.onnx" else ""
    version = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in m.opset_import}[domain]
    try:
        if onnx.defs.get_schema(n.op_type, domain).since_version > version:
            return None
        attrs = {a.name: attribute(a) for a in n.attribute}
    except (onnx.defs.SchemaError, KeyError):
        return None
    known = {t.name: tensor(t) for t in m.graph.initializer}
    data = os.path.join(folder, "test_data_set_0")
    try:
        for k, v in enumerate(x for x in m.graph.input if x.name not in known):
            known[v.name] = value(os.path.join(data, f"input_{k}.pb"), v.type)
        for k, v in enumerate(m.graph.output):
            known[v.name] = value(os.path.join(data, f"output_{k}.pb"), v.type)
    except FileNotFoundError:
        return None
    c = {"Name": os.path.basename(folder).removeprefix("test_"), "Op": operator(n), "Attrs": attrs,
         "In": [known.get(x) if x else None for x in n.input], "Out": [known.get(x) if x else None for x in n.output]}
    return None if random(c) else c


def random(c):
    """Whether the outputs are drawn: Bernoulli and the like, and Dropout in training with a ratio other than 0."""
    if c["Op"] in ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"):
        return True
    ratio, training = (c["In"] + [None] * 3)[1:3]
    return c["Op"] == "Dropout" and nonzero(training) and (ratio is None or nonzero(ratio))


def nonzero(v):
    return v is not None and any(base64.b64decode(v["Data"]))


class Writer:
    def __init__(self, path):
        self.out = open(path, "w")

    def write(self, case):
        self.out.write(json.dumps(case, separators=(",", ":")) + "\n")


def operators(package):
    """The operators that stand in a Go package's tables."""
    files = [f for f in glob.glob(os.path.join(package, "*.go")) if not f.endswith("_test.go")]
    return {m for f in files for m in re.findall(r'^\s*"([A-Za-z0-9.]+)":', open(f).read(), re.M)}


def select(root, most, per, wanted):
    """The cases in a folder, by operator and name."""
    found = {}
    for name in sorted(os.listdir(root)):
        c = read(os.path.join(root, name))
        if c and c["Op"] in wanted and sum(map(size, c["In"] + c["Out"])) <= most:
            found.setdefault(c["Op"], []).append(c)
    for op in sorted(found):
        list_ = found[op]
        if 0 < per < len(list_):
            list_ = [list_[i * len(list_) // per] for i in range(per)]
        yield from list_


def main():
    root, package, out, most, per = sys.argv[1:]
    w = Writer(out)
    for c in select(root, int(most), int(per), operators(package)):
        w.write(c)


if __name__ == "__main__":
    main()

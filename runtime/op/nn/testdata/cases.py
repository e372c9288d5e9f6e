#!/usr/bin/env python3
"""Turns single-node ONNX backend cases into JSON lines for cases_test.go.

usage: cases.py FOLDER [LIMIT] > cases.jsonl

FOLDER holds one folder per case (model.onnx, test_data_set_0). Cases whose tensors pass LIMIT bytes are left out
(0: none are). Needs the Python packages onnx and numpy.
"""
import base64
import glob
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

OPS = set("""Conv ConvTranspose ConvInteger QLinearConv DeformConv MatMul Gemm MatMulInteger QLinearMatMul Einsum MaxPool AveragePool LpPool
GlobalAveragePool GlobalMaxPool GlobalLpPool QuantizeLinear DequantizeLinear DynamicQuantizeLinear""".split())

DTYPES = {TensorProto.FLOAT: "f32", TensorProto.DOUBLE: "f64", TensorProto.FLOAT16: "f16", TensorProto.BFLOAT16: "bf16", TensorProto.INT64: "i64",
          TensorProto.INT32: "i32", TensorProto.INT16: "i16", TensorProto.INT8: "i8", TensorProto.UINT64: "u64", TensorProto.UINT32: "u32",
          TensorProto.UINT16: "u16", TensorProto.UINT8: "u8", TensorProto.BOOL: "bool", TensorProto.INT4: "i4", TensorProto.UINT4: "u4",
          TensorProto.INT2: "i2", TensorProto.UINT2: "u2", TensorProto.FLOAT8E4M3FN: "f8e4m3fn", TensorProto.FLOAT8E4M3FNUZ: "f8e4m3fnuz",
          TensorProto.FLOAT8E5M2: "f8e5m2", TensorProto.FLOAT8E5M2FNUZ: "f8e5m2fnuz", TensorProto.FLOAT4E2M1: "f4e2m1"}


def tensor(path):
    t = onnx.TensorProto()
    with open(path, "rb") as f:
        t.ParseFromString(f.read())
    raw = t.raw_data
    if not raw:
        if t.data_type in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1, TensorProto.INT2, TensorProto.UINT2):
            raw = bytes(v & 255 for v in t.int32_data)  # one byte of packed elements each
        else:
            raw = np.ascontiguousarray(numpy_helper.to_array(t)).tobytes()
    return {"DType": DTYPES[t.data_type], "Shape": list(t.dims), "Data": base64.b64encode(raw).decode()}


def attribute(a):
    v = onnx.helper.get_attribute_value(a)
    kind = {onnx.AttributeProto.INT: "int", onnx.AttributeProto.INTS: "ints", onnx.AttributeProto.FLOAT: "float",
            onnx.AttributeProto.FLOATS: "floats", onnx.AttributeProto.STRING: "string"}[a.type]
    return [kind, v.decode() if kind == "string" else list(v) if kind.endswith("s") else v]


def main():
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for folder in sorted(glob.glob(os.path.join(sys.argv[1], "*"))):
        g = onnx.load(os.path.join(folder, "model.onnx")).graph
        if len(g.node) != 1 or g.node[0].op_type not in OPS or g.node[0].domain not in ("", "ai.onnx"):
            continue
        n = g.node[0]
        data = os.path.join(folder, "test_data_set_0")
        ins = {v.name: tensor(os.path.join(data, f"input_{i}.pb")) for i, v in enumerate(g.input)}
        outs = {v.name: tensor(os.path.join(data, f"output_{i}.pb")) for i, v in enumerate(g.output)}
        case = {"Name": os.path.basename(folder), "Op": n.op_type, "Attrs": {a.name: attribute(a) for a in n.attribute},
                "In": [ins.get(x) for x in n.input], "Out": [outs.get(x) for x in n.output]}
        size = sum(len(t["Data"]) for t in case["In"] + case["Out"] if t)
        if limit and size > limit:
            continue
        print(json.dumps(case, separators=(",", ":")))


main()

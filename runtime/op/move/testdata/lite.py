"""Writes cases of TFLite's operators, one JSON object per line, with the outputs of LiteRT's reference kernels.

  lite.py > lite.jsonl   needs TensorFlow
"""
import base64, json, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
from tensorflow.lite.python.interpreter import OpResolverType

TYPES = {"float32": "f32", "int64": "i64", "int32": "i32", "uint8": "u8", "bool": "bool"}
RNG = np.random.default_rng(3)


def T(a):
    a = np.array(a, order="C")
    return {"DType": TYPES[a.dtype.name], "Shape": list(a.shape), "Data": base64.b64encode(a.tobytes()).decode()}


def run(fn, *args):
    specs = [tf.TensorSpec(a.shape, a.dtype) for a in args]
    f = tf.function(fn, input_signature=specs).get_concrete_function()
    m = tf.lite.TFLiteConverter.from_concrete_functions([f], tf.Module()).convert()
    it = tf.lite.Interpreter(model_content=m, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    it.allocate_tensors()
    for d, a in zip(it.get_input_details(), args):
        it.set_tensor(d["index"], a)
    it.invoke()
    return [it.get_tensor(d["index"]) for d in it.get_output_details()]


def emit(name, op, ins, outs, attrs=None):
    print(json.dumps({"Name": name, "Op": op, "Attrs": attrs or {}, "In": [T(x) for x in ins], "Out": [x if x is None else T(x) for x in outs]}, separators=(",", ":")))


def suppression():
    for name, sigma, least, most in (("hard", 0, .1, 5), ("soft", .3, .1, 6), ("softer", 1, 0, 9), ("few", 0, .8, 4), ("none", .5, 2, 3)):
        yx = RNG.random((12, 2)) * .6
        boxes = np.concatenate([yx, yx + .2 + .3 * RNG.random((12, 2))], 1).astype("f")
        boxes[3] = boxes[3][[2, 3, 0, 1]]  # corners the other way round
        scores = RNG.random(12).astype("f")
        args = [boxes, scores, np.array(most, "i"), np.array(.4, "f"), np.array(least, "f")]
        if sigma:
            args.append(np.array(sigma, "f"))
            out = run(lambda b, s: tf.raw_ops.NonMaxSuppressionV5(boxes=b, scores=s, max_output_size=most, iou_threshold=.4, score_threshold=least, soft_nms_sigma=sigma, pad_to_max_output_size=True), boxes, scores)
            by = {(len(o.shape), o.dtype.name): o for o in out}
            outs = [by[1, "int32"], by[1, "float32"], by[0, "int32"]]
        else:
            out = run(lambda b, s: tf.raw_ops.NonMaxSuppressionV4(boxes=b, scores=s, max_output_size=most, iou_threshold=.4, score_threshold=least, pad_to_max_output_size=True), boxes, scores)
            by = {len(o.shape): o for o in out}
            outs = [by[1], None, by[0]]
        emit("suppression_" + name, "tflite.NonMaxSuppression", args, outs)


def permute():
    x = RNG.standard_normal((2, 3, 4)).astype("f")
    for name, p in (("turn", [2, 0, 1]), ("keep", [0, 1, 2])):
        p = np.array(p, "i")
        emit("permute_" + name, "tflite.Transpose", [x, p], run(tf.transpose, x, p))


suppression()
permute()

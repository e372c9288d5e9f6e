"""Writes the cases of this folder, one JSON object per line.

  gen.py onnx BACKEND_NODE_DIR > onnx.jsonl   a selection of ONNX's backend cases (Apache-2.0)
  gen.py onnx BACKEND_NODE_DIR all            all of these operators
  gen.py contrib > contrib.jsonl              com.microsoft operators, by NumPy in float64
  gen.py lite > lite.jsonl                    TFLite's layers; integer ones by the fixed-point arithmetic of its kernels
"""
import base64, glob, json, math, os, re, sys
import numpy as np

RNG = np.random.default_rng(7)
TYPES = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8", "bool": "bool", "float16": "f16"}


def T(a, dtype=None, scale=None, zero=None, steps=None):
    if a is None:
        return None
    a = np.ascontiguousarray(a)
    d = {"dtype": dtype or TYPES[a.dtype.name], "shape": list(a.shape), "data": base64.b64encode(a.tobytes()).decode()}
    if scale is not None:
        d["scale"], d["zero"] = [float(np.float32(scale))], [int(zero)]
    if steps is not None:
        d["steps"] = steps
    return d


def emit(name, op, attrs, ins, outs):
    kinds = {int: "int", float: "float", str: "string"}
    a = {}
    for k, v in attrs.items():
        a[k] = [kinds[type(v[0])] + "s", v] if isinstance(v, list) else [kinds[type(v)], v]
    conv = lambda x: x if x is None or isinstance(x, dict) else T(x.astype(np.float32) if x.dtype == np.float64 else x)
    print(json.dumps({"name": name, "op": op, "attrs": a, "in": [conv(x) for x in ins], "out": [conv(x) for x in outs]}, separators=(",", ":")))


def f32(*shape, scale=1.0):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


# --- ONNX's own cases ---

OPS = r"^test_(attention|rnn|gru|lstm|simple_rnn|rotary|causal_conv|linear_attention)"
SELECTION = r"""(gru_|lstm_|rnn_|simple_rnn_).*|causal_conv_with_state_(silu_fp16|with_bias_and_past_state|short_input_no_past_state|b1_c1_degenerate)
|linear_attention_(gated_delta_gqa|gated_per_head_decay|linear_t1_no_past|decode_step|fp16)|rotary_embedding_(3d_input|interleaved|no_position_ids_rotary_dim)
|attention_(3d_gqa_with_past_and_present|4d_attn_mask_bool_4d|4d_causal_nonpad_attn_mask_composition|4d_diff_heads_mask4d_padded_kv|4d_softcap_neginf_mask_poison
|local_window_with_past|local_window_gqa_rank4_mask|4d_with_past_and_present_qk_matmul_bias_3d_mask_causal|3d_with_past_and_present_qk_matmul_softmax
|4d_causal_nonpad_negative_offset_structural_empty|23_fullymasked_qk_matmul_output_mode3_zero|4d_causal_fp16)"""


def onnx_cases(folder, everything):
    import onnx
    from onnx import numpy_helper

    names = {1: "f32", 2: "u8", 3: "i8", 5: "i16", 6: "i32", 7: "i64", 9: "bool", 10: "f16", 11: "f64", 16: "bf16"}

    def load(path):
        t = onnx.TensorProto()
        t.ParseFromString(open(path, "rb").read())
        return T(numpy_helper.to_array(t), names[t.data_type])

    for d in sorted(os.listdir(folder)):
        if not re.match(OPS, d) or d.endswith("_expanded"):
            continue
        if not everything and not re.fullmatch("test_(" + re.sub(r"\s", "", SELECTION) + ")", d):
            continue
        m = onnx.load(os.path.join(folder, d, "model.onnx"))
        if len(m.graph.node) != 1:
            continue
        n, vals = m.graph.node[0], {}
        for kind, list_ in (("input", m.graph.input), ("output", m.graph.output)):
            for f in glob.glob(f"{folder}/{d}/test_data_set_0/{kind}_*.pb"):
                vals[list_[int(f.split("_")[-1][:-3])].name] = load(f)
        attrs = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
        dec = lambda v: v.decode() if isinstance(v, bytes) else v
        attrs = {k: [dec(x) for x in v] if isinstance(v, list) else dec(v) for k, v in attrs.items()}
        emit(d[5:], n.op_type, attrs, [vals.get(i) for i in n.input], [vals.get(o) for o in n.output])


# --- com.microsoft ---


def softmax(s, extra=None):
    top = s.max(-1, keepdims=True)
    e = np.exp(s - top)
    total = e.sum(-1, keepdims=True)
    if extra is not None:
        total = total + np.exp(extra - top)
    return e / total


def attend(q, k, v, scale=None, bias=0.0, see=None, softcap=0, extra=None):
    """q [B,H,S,d], k and v [B,Hk,L,d]"""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    s = q @ k.swapaxes(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    if softcap:
        s = softcap * np.tanh(s / softcap)
    s = s + bias
    if see is not None:
        s = np.where(see, s, -np.inf)
    y = softmax(s, extra) @ v
    return y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], -1), s


def heads(x, h):
    return x.reshape(x.shape[0], x.shape[1], h, -1).swapaxes(1, 2)


def rope(x, cos, sin, pos, interleaved=False):
    """x [B,H,S,d], pos [B,S]"""
    c, s = cos[pos][:, None], sin[pos][:, None]
    n = c.shape[-1]
    y = x.astype(np.float64).copy()
    a, b = (slice(0, 2 * n, 2), slice(1, 2 * n, 2)) if interleaved else (slice(0, n), slice(n, 2 * n))
    y[..., a], y[..., b] = x[..., a] * c - x[..., b] * s, x[..., a] * s + x[..., b] * c
    return y


def contrib():
    M = "com.microsoft."
    B, S, H, d, D = 2, 3, 2, 4, 5
    x, w, bias = f32(B, S, D), f32(D, 3 * H * d), f32(3 * H * d)
    qkv = x.astype(np.float64) @ w + bias
    q, k, v = (heads(p, H) for p in np.split(qkv, 3, -1))
    y, _ = attend(q, k, v)
    emit("attention", M + "Attention", {"num_heads": H}, [x, w, bias], [y, np.stack([k, v])])
    lens = np.array([2, 3], np.int32)
    keep = (np.arange(S) < lens[:, None])[:, None, None]
    y, _ = attend(q, k, v, bias=np.where(keep, 0, -10000.0), see=np.tril(np.ones((S, S), bool)))
    emit("attention_lengths_causal", M + "Attention", {"num_heads": H, "unidirectional": 1}, [x, w, bias, lens], [y])
    past, raw, more = f32(2, B, H, 2, d), np.array([[1, 1, 1, 1, 0], [0, 1, 1, 1, 1]], np.int32), f32(1, H, S, 2 + S)
    kk, vv = np.concatenate([past[0], k], 2), np.concatenate([past[1], v], 2)
    y, _ = attend(q, kk, vv, scale=0.3, bias=np.where(raw[:, None, None] != 0, 0, -50.0) + more)
    emit("attention_past_mask_bias", M + "Attention", {"num_heads": H, "scale": 0.3, "mask_filter_value": -50.0}, [x, w, bias, raw, past, more], [y, np.stack([kk, vv])])
    w2 = f32(D, 2 * 8 + 6)
    p = x.astype(np.float64) @ w2
    y, _ = attend(heads(p[..., :8], H), heads(p[..., 8:16], H), heads(p[..., 16:], H))
    emit("attention_widths", M + "Attention", {"num_heads": H, "qkv_hidden_sizes": [8, 8, 6]}, [x, w2], [y])

    xq, wq = RNG.integers(0, 255, (B, S, D)).astype(np.uint8), RNG.integers(-127, 127, (D, 3 * H * d)).astype(np.int8)
    sx, sw, zx, zw = np.float32(0.02), f32(3 * H * d, scale=0.01), np.uint8(120), RNG.integers(-3, 3, 3 * H * d).astype(np.int8)
    real = (xq.astype(np.int64) - 120) @ (wq.astype(np.int64) - zw) * (float(sx) * sw.astype(np.float64)) + bias
    y, _ = attend(*(heads(p, H) for p in np.split(real, 3, -1)))
    emit("qattention", M + "QAttention", {"num_heads": H}, [xq, wq, bias, np.array(sx), sw, None, np.array(zx), zw], [y])

    L = 4
    q, k, v, b3 = f32(B, S, H * d), f32(B, L, H * d), f32(B, L, H * 3), f32(H * (2 * d + 3))
    qh, kh, vh = heads(q + b3[: H * d], H), heads(k + b3[H * d : 2 * H * d], H), heads(v + b3[2 * H * d :], H)
    pk, pv = f32(B, H, 2, d), f32(B, H, 2, 3)
    pad = np.array([[1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 1, 1]], np.int32)
    add = f32(B, 1, S, 6)
    kk, vv = np.concatenate([pk, kh], 2), np.concatenate([pv, vh], 2)
    y, s = attend(qh, kk, vv, bias=np.where(pad[:, None, None] != 0, 0, -10000.0) + add)
    emit("mha_past", M + "MultiHeadAttention", {"num_heads": H}, [q, k, v, b3, pad, add, pk, pv], [y, kk, vv])
    pkv = f32(B, L, H, 2, d)
    y, _ = attend(heads(q, H), pkv[:, :, :, 0].swapaxes(1, 2), pkv[:, :, :, 1].swapaxes(1, 2))
    emit("mha_packed_kv", M + "MultiHeadAttention", {"num_heads": H}, [q, pkv], [y])
    pq = f32(B, S, H, 3, d)
    y, s = attend(*(pq[:, :, :, i].swapaxes(1, 2) for i in range(3)), see=np.tril(np.ones((S, S), bool)))
    emit("mha_packed_qkv_causal", M + "MultiHeadAttention", {"num_heads": H, "unidirectional": 1}, [pq], [y])
    k4, v4 = f32(B, H, L, d), f32(B, H, L, d)
    y, s = attend(heads(q, H), k4, v4)
    emit("mha_cross", M + "MultiHeadAttention", {"num_heads": H}, [q, k4, v4], [y, None, None, s])

    Hk, P, room = 1, 3, 6
    cos, sin = np.cos(f32(8, d // 2)), np.sin(f32(8, d // 2))
    for name, inter, cap in (("gqa_decode", 0, 0.0), ("gqa_decode_interleaved_softcap", 1, 2.5)):
        q, k, v, pk, pv = f32(B, 1, H * d), f32(B, 1, Hk * d), f32(B, 1, Hk * d), f32(B, Hk, room, d), f32(B, Hk, room, d)
        lens = np.array([3, 1], np.int32)  # tokens held before
        qh, kh = (rope(heads(a, n), cos, sin, lens[:, None], inter) for a, n in ((q, H), (k, Hk)))
        kk, vv = np.zeros_like(pk), np.zeros_like(pv)
        for b, n in enumerate(lens):
            kk[b, :, :n], vv[b, :, :n] = pk[b, :, :n], pv[b, :, :n]
            kk[b, :, n], vv[b, :, n] = kh[b, :, 0], heads(v, Hk)[b, :, 0]
        see = (np.arange(room) <= lens[:, None])[:, None, None]
        y, _ = attend(qh, kk, vv, see=see, softcap=cap)
        attrs = {"num_heads": H, "kv_num_heads": Hk, "do_rotary": 1, "rotary_interleaved": inter, "softcap": cap}
        emit(name, M + "GroupQueryAttention", attrs, [q, k, v, pk, pv, lens, np.array(4, np.int32), cos, sin], [y, kk, vv])
    packed = f32(B, 4, (H + 2 * Hk) * d)
    q, k, v = packed[..., : H * d], packed[..., H * d : (H + Hk) * d], packed[..., (H + Hk) * d :]
    i, j = np.arange(4)[:, None], np.arange(4)[None]
    lens = np.array([3, 3], np.int32)
    y, _ = attend(heads(q, H), heads(k, Hk), heads(v, Hk), see=(j <= i) & (j > i - 2), extra=0.0)
    attrs = {"num_heads": H, "kv_num_heads": Hk, "local_window_size": 2, "smooth_softmax": 1}
    emit("gqa_prompt_packed_window_smooth", M + "GroupQueryAttention", attrs, [packed, None, None, None, None, lens, np.array(4, np.int32)], [y, heads(k, Hk), heads(v, Hk)])

    x = f32(B, H, S, 6)
    cos, sin = f32(9, 2), f32(9, 2)
    y = rope(x, cos, sin, np.array([[4, 5, 6]] * B))
    emit("rotary_offset", M + "RotaryEmbedding", {"num_heads": H, "rotary_embedding_dim": 4}, [x, np.array([4]), cos, sin], [y])
    x3 = f32(B, S, H * 4)
    pos = np.array([[0, 3, 2], [8, 1, 1]])
    y = rope(heads(x3, H), cos, sin, pos, True).swapaxes(1, 2).reshape(B, S, -1)
    emit("rotary_positions", M + "RotaryEmbedding", {"interleaved": 1}, [x3, pos, cos, sin], [y])

    ids, seg, words, posn, segs, g, b = RNG.integers(0, 6, (B, S)).astype(np.int32), RNG.integers(0, 2, (B, S)).astype(np.int32), f32(6, 5), f32(4, 5), f32(2, 5), f32(5), f32(5)
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    e = words[ids].astype(np.float64) + posn[np.arange(S)] + segs[seg]
    n = (e - e.mean(-1, keepdims=True)) / np.sqrt(e.var(-1, keepdims=True) + 1e-5) * g + b
    emit("embed", M + "EmbedLayerNormalization", {"epsilon": 1e-5}, [ids, seg, words, posn, segs, g, b, mask], [n, mask.sum(1).astype(np.int32), e])

    I, Hd = 3, 2
    x = f32(4, B, I)
    wq, rq = RNG.integers(0, 255, (1, I, 4 * Hd)).astype(np.uint8), RNG.integers(0, 255, (1, Hd, 4 * Hd)).astype(np.uint8)
    ws, rs, wz, rz = np.array([0.01], np.float32), np.array([0.008], np.float32), np.array([128], np.uint8), np.array([110], np.uint8)
    W, R, bb = (wq[0].astype(float) - 128) * 0.01, (rq[0].astype(float) - 110) * 0.008, f32(1, 8 * Hd)
    h = c = np.zeros((B, Hd))
    ys, sg = [], lambda z: 1 / (1 + np.exp(-z))
    for t in range(4):
        z = x[t] @ W + h @ R + bb[0, : 4 * Hd] + bb[0, 4 * Hd :]
        i_, o_, f_, c_ = np.split(z, 4, -1)
        c = sg(f_) * c + sg(i_) * np.tanh(c_)
        h = sg(o_) * np.tanh(c)
        ys.append(h)
    emit("dynamic_quantize_lstm", M + "DynamicQuantizeLSTM", {"hidden_size": Hd}, [x, wq, rq, bb, None, None, None, None, ws, wz, rs, rz], [np.stack(ys)[:, None], h[None], c[None]])


# --- TFLite, float ---

SG = lambda z: 1 / (1 + np.exp(-z))


def lstm_float(x, w, r, peep, bias, proj, pb, h, c, norm, clip=0, pclip=0, aux=None, auxw=None, act=np.tanh, reverse=False):
    """x [B,T,I]; lists in the order input, forget, cell, output; None entries are absent"""
    out = np.zeros((x.shape[0], x.shape[1], h.shape[1]))
    steps = range(x.shape[1])
    for t in reversed(steps) if reverse else steps:

        def gate(g, p, cell, f):
            z = x[:, t].astype(np.float64) @ w[g].T + h @ r[g].T
            if auxw is not None and auxw[g] is not None:
                z = z + aux[:, t] @ auxw[g].T
            if p is not None and peep[p] is not None:
                z = z + peep[p] * cell
            if norm[g] is not None:
                z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True)) * norm[g]
            return f(z + bias[g])

        f = gate(1, 1, c, SG)
        i = 1 - f if w[0] is None else gate(0, 0, c, SG)
        c = f * c + i * gate(2, None, c, act)
        if clip:
            c = np.clip(c, -clip, clip)
        h = gate(3, 2, c, SG) * act(c)
        if proj is not None:
            h = h @ proj.T.astype(np.float64) + (0 if pb is None else pb)
            if pclip:
                h = np.clip(h, -pclip, pclip)
        out[:, t] = h
    return out, h, c


def weights(n, I, O, cifg=False, peep=False, norm=False, k=4):
    l = lambda *s: [f32(*s, scale=0.5) for _ in range(k)]
    w, r, b, p, nn = l(n, I), l(n, O), l(n), [f32(n) for _ in range(3)] if peep else [None] * 3, l(n) if norm else [None] * 4
    if cifg:
        w[0] = r[0] = b[0] = p[0] = nn[0] = None
    return w, r, p, b, nn


def lite_float():
    B, T_, I, n = 2, 4, 3, 5
    for name, kw, O, proj, attrs in (
        ("plain", {}, n, False, {}),
        ("time_major_clip", {}, n, False, {"time_major": 1, "cell_clip": 0.5}),
        ("peephole_cifg", {"cifg": True, "peep": True}, n, False, {}),
        ("projection_norm", {"norm": True, "peep": True}, 3, True, {"proj_clip": 0.4}),
        ("cifg_norm_relu", {"cifg": True, "norm": True}, n, False, {"activation": "relu"}),
    ):
        w, r, p, b, nn = weights(n, I, O, **kw)
        x, h, c = f32(B, T_, I), f32(B, O, scale=0.3), f32(B, n, scale=0.3)
        pw, pb = (f32(O, n), f32(O)) if proj else (None, None)
        act = (lambda z: np.maximum(z, 0)) if attrs.get("activation") == "relu" else np.tanh
        y, h1, c1 = lstm_float(x, w, r, p, b, pw, pb, h, c, nn, attrs.get("cell_clip", 0), attrs.get("proj_clip", 0), act=act)
        if attrs.get("time_major"):
            x, y = x.swapaxes(0, 1), y.swapaxes(0, 1)
        emit("lstm_" + name, "tflite.UnidirectionalSequenceLSTM", attrs, [x, *w, *r, *p, *b, pw, pb, h, c, *nn], [y, h1, c1])
    w, r, p, b, nn = weights(n, I, n)
    x, h, c = f32(B, 1, I), f32(B, n), f32(B, n)
    wq = [np.clip(np.round(a / 0.02), -127, 127).astype(np.int8) for a in w]
    y, h1, c1 = lstm_float(x, [a * np.float64(np.float32(0.02)) for a in wq], r, p, b, None, None, h, c, nn)
    emit("lstm_step_hybrid", "tflite.LSTM", {}, [x[:, 0], *[T(a, scale=0.02, zero=0) for a in wq], *r, *p, *b, None, None, h, c], [y[:, 0], h1, c1])
    for merge in (0, 1):
        fw, bw = weights(n, I, n), weights(4, I, 4, cifg=True)
        x, st = f32(B, T_, I), [f32(B, n), f32(B, n), f32(B, 4), f32(B, 4)]
        aux, aw, bwaux = (f32(B, T_, 2), [f32(n, 2) for _ in range(4)], [None] + [f32(4, 2) for _ in range(3)]) if merge else (None, [None] * 4, [None] * 4)
        yf, hf, cf = lstm_float(x, *fw[:2], fw[2], fw[3], None, None, st[0], st[1], fw[4], aux=aux, auxw=aw)
        yb, hb, cb = lstm_float(x, *bw[:2], bw[2], bw[3], None, None, st[2], st[3], bw[4], aux=aux, auxw=bwaux, reverse=True)
        outs = [np.concatenate([yf, yb], -1)] if merge else [yf, yb]
        ins = [x, *fw[0], *fw[1], *fw[2], *fw[3], None, None, *bw[0], *bw[1], *bw[2], *bw[3], None, None, st[0], st[1], st[2], st[3], aux, *aw, *bwaux]
        emit(f"bidirectional_merge{merge}", "tflite.BidirectionalSequenceLSTM", {"merge_outputs": merge}, ins, outs + [hf, hb, cf, cb])
    x, w, r, b, h = f32(B, T_, I), f32(n, I), f32(n, n), f32(n), f32(B, n)
    ys, s = [], h
    for t in range(T_):
        s = np.tanh(x[:, t] @ w.T.astype(np.float64) + s @ r.T + b)
        ys.append(s)
    emit("rnn", "tflite.UnidirectionalSequenceRNN", {"activation": "tanh"}, [x, w, r, b, h], [np.stack(ys, 1), s])
    emit("rnn_step", "tflite.RNN", {"activation": "tanh"}, [x[:, 0], w, r, b, h], [ys[0], ys[0]])
    rank, units, mem = 2, 3, 4
    F = rank * units
    x, wf, wt, b, st = f32(B, I), f32(F, I), f32(F, mem), f32(units), f32(B, mem * F)
    m = np.concatenate([st.reshape(B, F, mem)[..., 1:], (x.astype(np.float64) @ wf.T)[..., None]], -1)
    y = np.maximum((m * wt).sum(-1).reshape(B, units, rank).sum(-1) + b, 0)
    emit("svdf", "tflite.SVDF", {"rank": rank, "activation": "relu"}, [x, wf, wt, b, st], [y, m.reshape(B, -1)])


# --- TFLite, integer: the fixed-point arithmetic of its reference kernels ---


def trunc_shift(x, n):
    return np.where(x >= 0, x >> n, -((-x) >> n))


def mul16(a, b):
    p = np.int64(a) * np.int64(b)
    return np.clip(trunc_shift(p + np.where(p >= 0, 1 << 14, 1 - (1 << 14)), 15), -32768, 32767)


def round_shift(x, e):
    x = np.int64(x)
    if e <= 0:
        return x << -e
    mask = (1 << e) - 1
    return (x >> e) + ((x & mask) > (mask >> 1) + (x < 0))


def pot(x, e):
    return round_shift(x, -e) if e < 0 else np.clip(np.int64(x) << e, -32768, 32767)


sat16 = lambda x: np.clip(x, -32768, 32767)
const = lambda v: int(round_shift(v, 16))


def exp_negative(a, bits):
    fraction = 15 - bits
    quarter = 1 << (fraction - 2)
    part = (a & (quarter - 1)) - quarter
    x = pot(part, bits) + (1 << 12)
    x2 = mul16(x, x)
    x3, x4 = mul16(x2, x), mul16(x2, x2)
    t = pot(mul16(pot(x4, -2) + x3, const(715827883)) + x2, -1)
    e = const(1895147668)
    y = sat16(e + mul16(e, x + t))
    for k, m in ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242)):
        if bits > k:
            y = np.where((part - a) & (1 << (fraction + k)), mul16(y, const(m)), y)
    return np.where(a == 0, 32767, y)


def reciprocal(a):
    s = a + 32767
    half = (s + 1) >> 1
    x = sat16(const(1515870810) + mul16(half, const(-1010580540)))
    for _ in range(3):
        x = x + pot(mul16(x, (1 << 13) - mul16(half, x)), 2)
    return x


def sigmoid16(a):
    y = pot(reciprocal(exp_negative(-np.abs(a), 3)), 1)
    return np.where(a == 0, 1 << 14, np.where(a > 0, y, 32767 - y))


def tanh16(a, bits):
    y = pot(reciprocal(exp_negative(-np.abs(a), bits + 1)) - (1 << 13), 2)
    return np.where(a == 0, 0, np.where(a < 0, -y, y))


def multiplier(s):
    q, e = math.frexp(float(np.float32(s)))
    q = int(math.floor(q * 2**31 + 0.5))
    return (q // 2, e + 1) if q == 1 << 31 else (q, e)


def scaled(x, m):
    x = np.int64(x) << max(m[1], 0)
    p = x * m[0]
    return round_shift(trunc_shift(p + np.where(p >= 0, 1 << 30, 1 - (1 << 30)), 31), max(-m[1], 0))


def lstm_integer(name, T_, I, n, O, cifg=False, peep=False, norm=False, exp=-12, clip=0.0):
    proj = O != n
    i8 = lambda *s: RNG.integers(-127, 128, s).astype(np.int8)
    w, r = [i8(n, I) for _ in range(4)], [i8(n, O) for _ in range(4)]
    sw, sr = RNG.uniform(0.004, 0.009, 4).astype(np.float32), RNG.uniform(0.004, 0.009, 4).astype(np.float32)
    sx, zx, sh, zh, cs = np.float32(0.0157), -7, np.float32(0.0078), 3, np.float32(2.0**exp)
    b = [RNG.integers(-4000, 4000, n).astype(np.int32) for _ in range(4)]
    ps, p = RNG.uniform(2e-5, 5e-5, 3).astype(np.float32), [RNG.integers(-32767, 32767, n).astype(np.int16) for _ in range(3)]
    ns, nw = RNG.uniform(2e-5, 4e-5, 4).astype(np.float32), [RNG.integers(8000, 32767, n).astype(np.int16) for _ in range(4)]
    nb = [RNG.integers(-1 << 24, 1 << 24, n).astype(np.int32) for _ in range(4)]
    mid = [float(v) for v in RNG.uniform(2e-4, 4e-4, 4).astype(np.float32)] if norm else [0.0] * 4
    hs, hz = (np.float32(0.0071), -5) if proj else (sh, zh)
    x = i8(1, T_, I)
    h, c = np.full(O, zh, np.int64), RNG.integers(-3000, 3000, n).astype(np.int64)
    h0, c0 = h.copy(), c.copy()
    pw, pb, psc = i8(O, n), RNG.integers(-2000, 2000, O).astype(np.int32), np.float32(0.006)
    ys = []

    def gate(g, k, cell):
        to = np.float32(mid[g]) if norm else np.float32(2.0**-12)
        start = 0 if norm else b[g]
        v = sat16(scaled(start + w[g].astype(np.int64) @ (x[0, t].astype(np.int64) - zx), multiplier(sw[g] * sx / to)))
        v = sat16(v + scaled(r[g].astype(np.int64) @ (h - zh), multiplier(sr[g] * sh / to)))
        if peep and k is not None:
            v = sat16(v + scaled(p[k].astype(np.int64) * cell, multiplier(cs * ps[k] / to)))
        if norm:
            mean = int(v.sum()) * 1024 // n if v.sum() >= 0 else -(-int(v.sum()) * 1024 // n)
            var = int((int((v * v).sum()) * ((1 << 20) // n) - mean * mean) / (1 << 20))
            var = var if var >= 1 else max(1, int(10000 * ns[g]))
            z = np.round((1024 * v - mean) / math.sqrt(var)).astype(np.int64) * nw[g] + nb[g]
            v = sat16(scaled(trunc_shift(z + np.where(z > 0, 512, -512), 10), (multiplier(ns[g])[0], multiplier(ns[g])[1] + 12)))
        return tanh16(v, 3) if g == 2 else sigmoid16(v)

    for t in range(T_):
        f = gate(1, 1, c)
        i = 32767 - f if cifg else gate(0, 0, c)
        c = sat16(round_shift(f * c, 15) + round_shift(i * gate(2, None, c), 30 + exp))
        if clip:
            q = int(min(clip / cs, 32767))
            c = np.clip(c, -q, q)
        o = gate(3, 2, c) * tanh16(c, 15 + exp)
        m = multiplier(np.float32(2.0**-15 / float(hs) * 2.0**-15))
        if proj:
            z = np.clip(scaled(o, m) - hz, -128, 127) + hz
            h = np.clip(scaled(pb + pw.astype(np.int64) @ z, multiplier(psc * hs / sh)) + zh, -128, 127)
        else:
            h = np.clip(scaled(o, m) + hz, -128, 127)
        ys.append(h)
    gates = lambda ts, scales, on=True: [None if not on or (cifg and k == 0) else T(a, scale=scales[k], zero=0) for k, a in enumerate(ts)]
    biases = [None if cifg and k == 0 else a for k, a in enumerate(nb if norm else b)]
    ins = [T(x, scale=sx, zero=zx), *gates(w, sw), *gates(r, sr), *gates(p, ps, peep), *biases]
    ins += [T(pw, scale=psc, zero=0) if proj else None, pb if proj else None]
    ins += [T(h0.astype(np.int8)[None], scale=sh, zero=zh), T(c0.astype(np.int16)[None], scale=cs, zero=0), *gates(nw, ns, norm)]
    attrs = {"cell_clip": clip, "intermediate_scale": mid + [float(hs)], "intermediate_zero": [0, 0, 0, 0, int(hz)]}
    outs = [T(np.array(ys, np.int8)[None], scale=sh, zero=zh, steps=1), T(h.astype(np.int8)[None], scale=sh, zero=zh, steps=1), T(c.astype(np.int16)[None], scale=cs, zero=0, steps=96)]
    emit("lstm_int8_" + name, "tflite.UnidirectionalSequenceLSTM", attrs, ins, outs)


def svdf_integer():
    B, I, rank, units, mem = 2, 4, 2, 3, 5
    F = rank * units
    i8 = lambda *s: RNG.integers(-127, 128, s).astype(np.int8)
    x, wf, wt = i8(B, I), i8(F, I), RNG.integers(-32767, 32767, (F, mem)).astype(np.int16)
    b, st = RNG.integers(-200000, 200000, units).astype(np.int32), RNG.integers(-9000, 9000, (B, mem * F)).astype(np.int16)
    sx, sf, ss, stt, sy = (np.float32(v) for v in (0.02, 0.008, 1e-4, 3e-5, 0.03))
    new = sat16(scaled((x.astype(np.int64) + 9) @ wf.T.astype(np.int64), multiplier(sx * sf / ss)))
    m = np.concatenate([st.reshape(B, F, mem)[..., 1:].astype(np.int64), new[..., None]], -1)
    acc = (m * wt).sum(-1).reshape(B, units, rank).sum(-1) + b
    y = np.clip(scaled(acc, multiplier(ss * stt / sy)) - 128, -128, 127)
    ins = [T(x, scale=sx, zero=-9), T(wf, scale=sf, zero=0), T(wt, scale=stt, zero=0), b, T(st, scale=ss, zero=0)]
    emit("svdf_int8", "tflite.SVDF", {"rank": rank, "activation": "relu"}, ins, [T(y.astype(np.int8), scale=sy, zero=-128, steps=1), T(m.reshape(B, -1).astype(np.int16), scale=ss, zero=0, steps=1)])


if sys.argv[1] == "onnx":
    onnx_cases(sys.argv[2], len(sys.argv) > 3)
elif sys.argv[1] == "contrib":
    contrib()
else:
    lite_float()
    lstm_integer("plain", 12, 6, 8, 8)
    lstm_integer("cifg_peephole_clip", 8, 5, 8, 8, cifg=True, peep=True, exp=-11, clip=2.0)
    lstm_integer("projection", 8, 6, 8, 5)
    lstm_integer("norm", 6, 6, 8, 8, norm=True)
    svdf_integer()

#!/usr/bin/env python3
"""Writes cases.jsonl: ONNX's backend cases of these operators, and cases of more lengths, axes and types by NumPy.

    cases.py FOLDER_OF_BACKEND_CASES
"""
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "optest"))
import numpy as np
import ml_dtypes
from cases import Writer, array, read, size

rng = np.random.default_rng(3)
w = Writer(os.path.join(here, "cases.jsonl"))
ops = {"DFT", "STFT", "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix"}
for name in sorted(os.listdir(sys.argv[1])):
    c = read(os.path.join(sys.argv[1], name))
    if c and c["Op"] in ops and sum(map(size, c["In"] + c["Out"])) < 20000:
        w.write(c)


def split(z, d):
    return np.stack([z.real, z.imag], -1).astype(d)


def dft(name, x, axis, n, onesided, inverse, d):
    """x is real or complex; its transform along axis, which ONNX counts with the parts behind it."""
    if inverse and onesided:
        y = np.fft.irfft(x, n, axis)[..., None].astype(d)
    elif inverse:
        y = split(np.fft.ifft(x, n, axis), d)
    else:
        y = split(np.fft.rfft(x, n, axis) if onesided else np.fft.fft(x, n, axis), d)
    v = split(x, d) if np.iscomplexobj(x) else x[..., None].astype(d)
    attrs = {k: ["int", 1] for k, on in (("onesided", onesided), ("inverse", inverse)) if on}
    w.write({"Name": "dft_" + name, "Op": "DFT", "Attrs": attrs, "In": [array(v), None if n is None else array(np.int64(n)), array(np.int64(axis if axis >= 0 else axis - 1))],
             "Out": [array(y)]})


def signal(*shape, complex_=False, d=np.float32):
    x = rng.standard_normal(shape).astype(d).astype(np.float64)
    return x + 1j * rng.standard_normal(shape).astype(d).astype(np.float64) if complex_ else x


for d, label in ((np.float32, "f32"), (np.float64, "f64"), (np.float16, "f16"), (ml_dtypes.bfloat16, "bf16")):
    dft("bluestein_" + label, signal(2, 7, d=d), 1, None, False, False, d)
for n in (1, 2, 3, 5, 8, 13, 30):
    dft(f"length_{n}", signal(2, 11, 3, complex_=True), 1, n, False, False, np.float32)
    dft(f"inverse_length_{n}", signal(2, 11, 3, complex_=True), 0, n, False, True, np.float32)
    dft(f"onesided_length_{n}", signal(3, 9), -1, n, True, False, np.float32)
    dft(f"real_length_{n}", signal(2, 6, 2, complex_=True), 1, n, True, True, np.float32)
dft("default_real_length", signal(2, 6, complex_=True), 1, None, True, True, np.float32)
dft("axis_0", signal(6, 3, 2), 0, None, True, False, np.float32)
dft("axis_negative", signal(6, 3, 2), -3, None, False, False, np.float32)


def stft(name, x, step, window, length, onesided, d=np.float32):
    n = length or (len(window) if window is not None else x.shape[1])
    win = np.ones(n) if window is None else window
    at = range(0, x.shape[1] - n + 1, step)
    f = np.stack([x[:, i:i + n] * win for i in at], 1)
    y = split(np.fft.rfft(f) if onesided else np.fft.fft(f), d)
    v = split(x, d) if np.iscomplexobj(x) else x[..., None].astype(d)
    w.write({"Name": "stft_" + name, "Op": "STFT", "Attrs": {"onesided": ["int", int(onesided)]},
             "In": [array(v), array(np.int64(step)), None if window is None else array(window.astype(d)), None if length is None else array(np.int64(length))],
             "Out": [array(y)]})


stft("whole", signal(2, 12), 5, None, None, True)
stft("rest", signal(2, 21), 4, np.hanning(8), None, True)
stft("both", signal(1, 21), 3, np.hanning(6).astype(np.float32), 6, False)
stft("complex", signal(2, 20, complex_=True), 7, np.hamming(5).astype(np.float32), None, False)
stft("f64", signal(1, 20, d=np.float64), 7, None, 10, True, np.float64)

for op, a, b, c in (("HannWindow", .5, .5, 0), ("HammingWindow", 25 / 46, 21 / 46, 0), ("BlackmanWindow", .42, .5, .08)):
    for periodic in (0, 1):
        for n, d, number in ((0, np.float32, 1), (1, np.float32, 1), (17, np.float64, 11), (16, np.float16, 10)):
            k = 2 * np.pi * np.arange(n) / max(1, n - 1 + periodic)
            y = a - b * np.cos(k) + c * np.cos(2 * k) if n - 1 + periodic else np.ones(n)
            w.write({"Name": f"{op}_{n}_{periodic}", "Op": op, "Attrs": {"periodic": ["int", periodic], "output_datatype": ["int", number]},
                     "In": [array(np.int32(n))], "Out": [array(y.astype(d))]})

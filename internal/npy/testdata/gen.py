"""Writes the array files beside this script with NumPy: python gen.py"""
import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def save(name, a, **kw):
    with open(os.path.join(here, name + ".npy"), "wb") as f:
        np.lib.format.write_array(f, a, **kw)


seq = np.arange(24).reshape(2, 3, 4)
save("i32_fortran", np.asfortranarray(seq.astype("<i4")))
save("i32_c", seq.astype("<i4"))
save("f32_big", (seq / 8).astype(">f4"))
save("f64_big_fortran", np.asfortranarray((seq / 8).astype(">f8")), version=(2, 0))
save("i64_scalar", np.array(-5, dtype="<i8"))
save("f16_v3", np.array([1, -2.5, 65504], dtype="<f2"), version=(3, 0))
save("bool", np.array([[True, False], [False, True]]))
save("text", np.array([["", "abc"], ["Grüße", "日本"]]))
save("text_big", np.array(["x", "Ω"]).astype(">U2"))
save("bytes", np.array([b"ab", b"c"]))
save("empty", np.zeros((0, 3), "<f4"))

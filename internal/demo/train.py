#!/usr/bin/env python3
"""Train the demo's network and write digits.onnx and digits.bin beside this file.

    pip install numpy scikit-learn onnx && python3 train.py

The data are the "Optical Recognition of Handwritten Digits" test set of the UCI repository (E. Alpaydin, C. Kaynak,
CC BY 4.0), as scikit-learn ships it: 1,797 images of 8x8 pixels with values 0 to 16. Every fifth image is held out.
digits.bin holds the held-out ones: per image the label (1 byte), then 64 pixels (1 byte each, 0 to 16).
The network: three 3x3 convolutions with BatchNormalization and ReLU, a residual connection, global average pooling and
a fully connected layer. The result depends on nothing but the seed and the versions of the packages.
"""
import os
import numpy as np
import onnx
from onnx import TensorProto as T, helper as H, numpy_helper as N
from sklearn.datasets import load_digits

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)
digits = load_digits()
x, y = digits.images.astype(np.float32), digits.target
held = np.arange(len(x)) % 5 == 4
tx, ty, vx, vy = x[~held, None] / 16, y[~held], x[held, None] / 16, y[held]


def im2col(a, stride):
    n, c, h, w = a.shape
    p = np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1)))
    oh, ow = (h - 1) // stride + 1, (w - 1) // stride + 1
    cols = np.empty((n, c, 9, oh, ow), np.float32)
    for k in range(9):
        i, j = divmod(k, 3)
        cols[:, :, k] = p[:, :, i:i + oh * stride:stride, j:j + ow * stride:stride]
    return cols.reshape(n, c * 9, oh * ow), (n, c, h, w, oh, ow)


def col2im(g, dims, stride):
    n, c, h, w, oh, ow = dims
    p = np.zeros((n, c, h + 2, w + 2), np.float32)
    g = g.reshape(n, c, 9, oh, ow)
    for k in range(9):
        i, j = divmod(k, 3)
        p[:, :, i:i + oh * stride:stride, j:j + ow * stride:stride] += g[:, :, k]
    return p[:, :, 1:-1, 1:-1]


class Block:
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, cin, cout, stride):
        self.stride = stride
        self.w = (rng.standard_normal((cout, cin * 9)) * np.sqrt(2 / (cin * 9))).astype(np.float32)
        self.g, self.b = np.ones(cout, np.float32), np.zeros(cout, np.float32)
        self.mean, self.var = np.zeros(cout, np.float32), np.ones(cout, np.float32)
        self.params = ["w", "g", "b"]

    def forward(self, a, train):
        self.cols, self.dims = im2col(a, self.stride)
        z = np.einsum("ok,nkp->nop", self.w, self.cols)
        if train:
            m, v = z.mean((0, 2)), z.var((0, 2))
            self.mean = .9 * self.mean + .1 * m
            self.var = .9 * self.var + .1 * v
        else:
            m, v = self.mean, self.var
        self.inv = 1 / np.sqrt(v + 1e-5)
        self.hat = (z - m[:, None]) * self.inv[:, None]
        out = self.g[:, None] * self.hat + self.b[:, None]
        self.mask = out > 0
        n, _, _, _, oh, ow = self.dims
        return (out * self.mask).reshape(n, -1, oh, ow)

    def backward(self, grad):
        n, o = grad.shape[:2]
        d = grad.reshape(n, o, -1) * self.mask
        self.dg, self.db = (d * self.hat).sum((0, 2)), d.sum((0, 2))
        d = d * self.g[:, None]
        d = (d - d.mean((0, 2))[:, None] - self.hat * (d * self.hat).mean((0, 2))[:, None]) * self.inv[:, None]
        self.dw = np.einsum("nop,nkp->ok", d, self.cols)
        return col2im(np.einsum("ok,nop->nkp", self.w, d), self.dims, self.stride)


class Net:
    def __init__(self):
        self.a, self.b, self.c = Block(1, 16, 1), Block(16, 32, 2), Block(32, 32, 1)
        self.fw = (rng.standard_normal((10, 32)) * .2).astype(np.float32)
        self.fb = np.zeros(10, np.float32)
        self.params = ["fw", "fb"]

    def forward(self, x, train=False):
        b = self.b.forward(self.a.forward(x, train), train)
        self.map = b + self.c.forward(b, train)
        self.pool = self.map.mean((2, 3))
        return self.pool @ self.fw.T + self.fb

    def backward(self, grad):
        self.dfw, self.dfb = grad.T @ self.pool, grad.sum(0)
        h, w = self.map.shape[2:]
        g = np.repeat((grad @ self.fw)[:, :, None], h * w, 2).reshape(self.map.shape) / (h * w)
        self.a.backward(self.b.backward(g + self.c.backward(g)))


def train(net, epochs=60, batch=64):
    layers = [net, net.a, net.b, net.c]
    state = {(i, p): [np.zeros_like(getattr(l, p))] * 2 for i, l in enumerate(layers) for p in l.params}
    steps, total = 0, epochs * (len(tx) // batch)
    for _ in range(epochs):
        order = rng.permutation(len(tx))
        for k in range(0, len(tx) - batch + 1, batch):
            i = order[k:k + batch]
            shift = rng.integers(-1, 2, 2)
            logits = net.forward(np.roll(tx[i], shift, (2, 3)), True)
            e = np.exp(logits - logits.max(1, keepdims=True))
            grad = e / e.sum(1, keepdims=True)
            grad[np.arange(batch), ty[i]] -= 1
            net.backward(grad / batch)
            steps += 1
            lr = .004 * .5 * (1 + np.cos(np.pi * steps / total))
            for j, l in enumerate(layers):
                for p in l.params:
                    g = getattr(l, "d" + p)
                    m, v = state[j, p]
                    m, v = .9 * m + .1 * g, .999 * v + .001 * g * g
                    state[j, p] = [m, v]
                    w = getattr(l, p)
                    step = lr * (m / (1 - .9 ** steps)) / (np.sqrt(v / (1 - .999 ** steps)) + 1e-8)
                    setattr(l, p, (w - step - lr * 1e-2 * w * (w.ndim > 1)).astype(np.float32))


def export(net, path):
    nodes, init = [], []

    def const(name, a):
        init.append(N.from_array(np.ascontiguousarray(a, dtype=np.float32), name))
        return name

    def block(l, name, src, cin):
        const(name + ".weight", l.w.reshape(-1, cin, 3, 3))
        nodes.append(H.make_node("Conv", [src, name + ".weight"], [name + ".conv"], name, kernel_shape=[3, 3],
                                 pads=[1] * 4, strides=[l.stride] * 2))
        bn = [const(name + s, a) for s, a in ((".gamma", l.g), (".beta", l.b), (".mean", l.mean), (".var", l.var))]
        nodes.append(H.make_node("BatchNormalization", [name + ".conv"] + bn, [name + ".bn"], name + ".bn", epsilon=1e-5))
        nodes.append(H.make_node("Relu", [name + ".bn"], [name + ".relu"], name + ".relu"))
        return name + ".relu"

    b = block(net.b, "conv2", block(net.a, "conv1", "image", 1), 16)
    c = block(net.c, "conv3", b, 32)
    nodes.append(H.make_node("Add", [b, c], ["residual"], "residual"))
    nodes.append(H.make_node("GlobalAveragePool", ["residual"], ["pool"], "pool"))
    nodes.append(H.make_node("Flatten", ["pool"], ["flat"], "flatten"))
    nodes.append(H.make_node("Gemm", ["flat", const("fc.weight", net.fw), const("fc.bias", net.fb)], ["logits"], "fc", transB=1))
    g = H.make_graph(nodes, "digits", [H.make_tensor_value_info("image", T.FLOAT, [1, 1, 8, 8])],
                     [H.make_tensor_value_info("logits", T.FLOAT, [1, 10])], init)
    m = H.make_model(g, opset_imports=[H.make_opsetid("", 17)], ir_version=8, producer_name="edgerun demo")
    H.set_model_props(m, {"labels": "\n".join("0123456789")})
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, path)


net = Net()
train(net)
print("held out:", (net.forward(vx).argmax(1) == vy).sum(), "of", len(vy))
export(net, os.path.join(here, "digits.onnx"))
with open(os.path.join(here, "digits.bin"), "wb") as f:
    for image, label in zip(x[held], vy):
        f.write(bytes([label]) + image.astype(np.uint8).tobytes())

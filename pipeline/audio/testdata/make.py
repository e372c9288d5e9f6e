"""Makes the golden features of package audio with NumPy: python make.py (in this folder)."""

import json

import numpy as np

rate, n = 16000, 4000
t = np.arange(n) / rate
x = 0.5 * np.sin(2 * np.pi * 440 * t) + 0.25 * np.sin(2 * np.pi * 3000 * t * (1 + t)) + 0.01 * np.cos(7919 * t * t)
x = (np.round(x * 32767) / 32768).astype(np.float32)


def hz_to_mel(f, scale):
    f = np.asarray(f, float)
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    return np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1e-9) / 1000) * 27 / np.log(6.4))


def mel_to_hz(m, scale):
    m = np.asarray(m, float)
    if scale == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


def bank(fft, bands, lo, hi, scale, norm, interp="hz"):
    edges = np.linspace(hz_to_mel(lo, scale), hz_to_mel(hi, scale), bands + 2)
    hz = mel_to_hz(edges, scale)
    f = np.arange(fft // 2 + 1) * rate / fft
    e, g = (hz, f) if interp == "hz" else (edges, hz_to_mel(f, scale))
    up = (g[None] - e[:-2, None]) / (e[1:-1] - e[:-2])[:, None]
    down = (e[2:, None] - g[None]) / (e[2:] - e[1:-1])[:, None]
    w = np.maximum(0, np.minimum(up, down))
    if norm:
        w *= (2 / (hz[2:] - hz[:-2]))[:, None]
    return w


def frames(x, win, hop, fft, window, centre):
    if centre:
        x = np.pad(x, fft // 2, mode="reflect")
        window = np.pad(window, ((fft - win) // 2, fft - win - (fft - win) // 2))
        win = fft
    k = (len(x) - win) // hop + 1
    return np.stack([np.fft.rfft(x[i * hop : i * hop + win] * window, fft) for i in range(k)])


hann = lambda n: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
xd = x.astype(float)

# Whisper's features.
s = np.abs(frames(xd, 400, 160, 400, hann(400), True)[:-1]) ** 2
w = np.log10(np.maximum(s @ bank(400, 80, 0, 8000, "slaney", True).T, 1e-10))
whisper = (np.maximum(w, w.max() - 8) + 4) / 4

# TensorFlow's MFCC as in MLPerf Tiny keyword spotting.
s = np.abs(frames(xd, 480, 320, 512, hann(480), False))
m = np.log(s @ bank(512, 40, 20, 4000, "htk", False, "mel").T + 1e-6)
c = np.arange(10)[:, None] * (np.arange(40)[None] + 0.5) * np.pi / 40
mfcc = m @ np.cos(c).T * np.sqrt(2 / 40)

# Decibels with pre-emphasis, a Hamming window and an FFT length with several prime factors.
y = np.append(xd[0], xd[1:] - 0.97 * xd[:-1])
y = y.astype(np.float32).astype(float)
win = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(300) / 300)
s = np.abs(frames(y, 300, 150, 420, win, False)) ** 2
db = 10 * np.log10(np.maximum(s @ bank(420, 20, 50, 7000, "htk", False).T, 1e-6))

(x * 32768).astype("<i2").tofile("chirp.s16")
short = lambda a: {"rows": len(a), "values": [float(f"{v:.8g}") for v in a.ravel()]}
json.dump({"whisper": short(whisper), "mfcc": short(mfcc), "db": short(db)}, open("features.json", "w"))

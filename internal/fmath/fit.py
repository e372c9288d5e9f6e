"""Fits the polynomials of package fmath: nearly minimax in relative error, by reweighted least squares, with the
coefficients rounded one after the other, highest degree last, so that each absorbs the rounding of those before it."""
import numpy as np
from scipy.special import erf, erfc, erfcx

def fit(x, y, w, degree, rounded=np.float32, lead=None):
    """Coefficients c so that |w*(sum c[i]*x**i - y)| is small throughout; lowest degree first."""
    c = []
    rest = y.astype(np.longdouble)
    for k in range(degree + 1):
        a = np.stack([x**i for i in range(k, degree + 1)], 1) * w[:, None]
        scale = np.abs(a).max(0)
        weight = np.ones(len(x))
        best, best_err = None, np.inf
        for _ in range(60):
            s = np.sqrt(weight)
            sol = np.linalg.lstsq((a / scale) * s[:, None], np.asarray(rest * w, float) * s, rcond=None)[0]
            e = np.abs((a / scale) @ sol - np.asarray(rest * w, float))
            if e.max() < best_err:
                best, best_err = sol / scale, e.max()
            weight = weight * (e / e.max() + 1e-6)
            weight /= weight.max()
        v = rounded(best[0])
        c.append(v)
        rest = rest - np.longdouble(v) * x.astype(np.longdouble)**k
    return c, float(np.abs(rest * w).max())

def show(name, r, exact=False):
    c, err = r
    print(name, "worst error %.3g" % err)
    for i, v in enumerate(c):
        print("   %2d  %s" % (i, repr(float(v)) if exact else "%.9g" % float(v)))

n = 4001
cheb = np.cos(np.pi * (np.arange(n) + .5) / n)

# e**r = 1 + r + r*r*P(r) for |r| <= ln(2)/2, relative to e**r - 1 as Expm1 needs it.
r = cheb * (np.log(2) / 2 * 1.0001)
rl = r.astype(np.longdouble)
show("exp", fit(r, (np.expm1(rl) - rl) / rl**2, np.abs(np.asarray(rl**2 / np.expm1(rl), float)), 5))

# log(1+f) = f - f*f/2 + f**3*L(f) for sqrt(1/2) <= 1+f <= sqrt(2).
lo, hi = np.sqrt(.5) - 1, np.sqrt(2) - 1
f = (lo + hi) / 2 + cheb * (hi - lo) / 2 * 1.0001
fl = f.astype(np.longdouble)
y = (np.log1p(fl) - fl + fl * fl / 2) / fl**3
small = np.abs(f) < 1e-2  # where the quotient loses digits the series takes over
y = np.where(small, sum((-1)**k * fl**k / (k + 3) for k in range(14)), y)
show("log", fit(f, y, np.abs(np.asarray(fl**3 / np.log1p(fl), float)), 8))

# -log(erfc(a)) = a*(1.125 + R(a)) for 0 <= a <= 4; an error d in it becomes d*erfc(a) in erf(a).
a = 2.0 + cheb * 2.0
q = np.where(a > .5, -(np.log(erfcx(a)) - a * a), -np.log1p(-erf(a))) / a
show("erf", fit(a, q - 1.125, a * erfc(a) / erf(a), 9))

# tanh(x) = x + x**3*T(x*x) for |x| <= 0.625.
x = np.abs(cheb) * .625 * 1.0001
xl = x.astype(np.longdouble)
y = np.asarray((np.tanh(xl) - xl) / xl**3, float)
y = np.where(x < 1e-2, -1 / 3 + 2 / 15 * x**2 - 17 / 315 * x**4, y)
show("tanh", fit(x * x, y, x**3 / np.tanh(x), 4))

# sin and cos in float64 for |r| <= pi/4
r = np.abs(cheb) * np.pi / 4 * 1.0001
r2 = r * r
rl = r.astype(np.longdouble)
show("sin", fit(r2, np.asarray((np.sin(rl) - rl) / rl**3, float), r2 * r / np.sin(r), 4, float), True)
show("cos", fit(r2, np.asarray((np.cos(rl) - 1 + rl * rl / 2) / rl**4, float), r2 * r2 / np.cos(r), 3, float), True)

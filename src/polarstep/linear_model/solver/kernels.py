"""Compiled kernels: one read of X gives the loss, its gradient, and what else is asked for.

X is a C- or F-ordered array of float32 or float64, or a CSR matrix as the tuple (data, indices,
indptr) with unsigned indices (signed ones cost a check for negative values at every access). Rows
are taken a tile at a time: their margins, the loss on the margins, and the gradient while the tile
is still in the cache. Rows are read in order, one by one, as the hardware's prefetcher expects.

A kernel never centres a sparse X; `samples` does so outside, in O(d).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

# The order of the sums is free, NaN and infinity keep their meaning: they are how bad input shows.
_FREE_ORDER = {"reassoc", "contract", "arcp", "nsz"}
_TILE = 64

# The codes of the losses, which `MarginLoss.kernel` holds.
SOFTPLUS, SIGMOID, NORMAL_CDF, SMOOTH_HINGE, SQUARED = range(5)


def _compiled(function: Any) -> Any:
    return numba.njit(fastmath=_FREE_ORDER, nogil=True, error_model="numpy", cache=True)(function)


# --------------------------------------------------------------------------- exp and log1p

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2 = 0.6931471805599453


@numba.njit(fastmath={"contract", "nsz"}, nogil=True, error_model="numpy", cache=True)
def _exp_of_negative(x: np.ndarray, bits: np.ndarray, k: int) -> None:
    """x <- exp(x) for k values x <= 0, to three units in the last place; below -708 as at -708.

    exp(x) = 2^m exp(r), |r| <= ln(2)/2, by Taylor's polynomial; loops of this form are vectorised.
    """
    for i in range(k):
        v = max(x[i], -708.0)
        m = np.floor(v * _LOG2E + 0.5)
        r = (v - m * _LN2_HIGH) - m * _LN2_LOW
        p = r / 479001600.0 + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        x[i] = p * r + 1.0
        bits[i] = (np.int64(m) + 1023) << 52
    scale = bits.view(np.float64)
    for i in range(k):
        x[i] *= scale[i]


@_compiled
def _log1p(e: float) -> float:
    """log(1 + e) for 0 <= e <= 1, with full relative precision, by 2 atanh(e/(2 + e))."""
    large = e > 0.41421356
    t = (e - 1.0) * 0.5 if large else e
    s = t / (2.0 + t)
    q = s * s
    p = q / 21.0 + 1 / 19.0
    p = p * q + 1 / 17.0
    p = p * q + 1 / 15.0
    p = p * q + 1 / 13.0
    p = p * q + 1 / 11.0
    p = p * q + 1 / 9.0
    p = p * q + 1 / 7.0
    p = p * q + 1 / 5.0
    p = p * q + 1 / 3.0
    p = p * q + 1.0
    return 2.0 * s * p + (_LN2 if large else 0.0)


# --------------------------------------------------------------------------- losses on a tile


@_compiled
def _loss(
    code: int,
    width: float,
    a: np.ndarray,
    s: np.ndarray,
    second: np.ndarray,
    e: np.ndarray,
    bits: np.ndarray,
    k: int,
) -> float:
    """Sum of s phi(a); a <- s phi'(a) and second <- s phi''(a), for k margins."""
    total = 0.0
    if code == SOFTPLUS:
        for i in range(k):
            e[i] = -abs(a[i])
        _exp_of_negative(e, bits, k)
        for i in range(k):
            total += s[i] * (0.5 * (a[i] + abs(a[i])) + _log1p(e[i]))
            q = 1.0 / (1.0 + e[i])
            second[i] = s[i] * e[i] * q * q
            a[i] = s[i] * (q if a[i] >= 0 else e[i] * q) + 0.0 * a[i]
    elif code == SIGMOID:
        for i in range(k):
            e[i] = -abs(a[i])
        _exp_of_negative(e, bits, k)
        for i in range(k):
            q = 1.0 / (1.0 + e[i])
            value = q if a[i] >= 0 else e[i] * q
            slope = e[i] * q * q
            total += s[i] * value + 0.0 * a[i]
            sign = 1.0 if a[i] >= 0 else -1.0
            second[i] = -s[i] * slope * sign * (1.0 - e[i]) * q
            a[i] = s[i] * slope
    elif code == NORMAL_CDF:
        for i in range(k):
            e[i] = max(-0.5 * a[i] * a[i], -708.0)
        _exp_of_negative(e, bits, k)
        for i in range(k):
            pdf = e[i] * 0.3989422804014327
            total += s[i] * 0.5 * math.erfc(-a[i] * 0.7071067811865476)
            second[i] = -s[i] * a[i] * pdf
            a[i] = s[i] * pdf
    elif code == SMOOTH_HINGE:
        for i in range(k):
            a[i] = (1.0 + a[i]) / width
            e[i] = max(-0.5 * a[i] * a[i], -708.0)
        _exp_of_negative(e, bits, k)
        for i in range(k):
            pdf = e[i] * 0.3989422804014327
            cdf = 0.5 * math.erfc(-a[i] * 0.7071067811865476)
            total += s[i] * max(width * (a[i] * cdf + pdf), 0.0) + 0.0 * a[i]
            second[i] = s[i] * pdf / width
            a[i] = s[i] * cdf
    else:  # SQUARED
        for i in range(k):
            v = 1.0 + a[i]
            total += s[i] * v * v
            second[i] = 2.0 * s[i]
            a[i] = 2.0 * s[i] * v
    return total


# --------------------------------------------------------------------------- products with a tile


def _project(X: Any, centre: np.ndarray, start: int, k: int, w: np.ndarray, a: np.ndarray) -> None:
    """a <- (X - 1 centre^T) w on k rows (sparse: X w)."""


def _combine(X: Any, centre: np.ndarray, start: int, k: int, r: np.ndarray, g: np.ndarray) -> None:
    """g += (X - 1 centre^T)^T r on k rows (sparse: X^T r)."""


def _square(X: Any, centre: np.ndarray, start: int, k: int, r: np.ndarray, q: np.ndarray) -> None:
    """q += (X - 1 centre^T)^2T r on k rows, squares by element (sparse: X^2T r)."""


@overload(_project, jit_options={"fastmath": _FREE_ORDER, "nogil": True, "error_model": "numpy"})
def _project_by_layout(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> Any:
    def rows(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        for i in range(k):
            total = 0.0
            for j in range(X.shape[1]):
                total += (X[start + i, j] - centre[j]) * w[j]
            a[i] = total

    def columns(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        d = X.shape[1]
        stop = start + k
        for i in range(k):
            a[i] = 0.0
        for j in range(0, d - 3, 4):  # four at a time: a is read and written a quarter as often
            w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
            c0, c1, c2, c3 = centre[j], centre[j + 1], centre[j + 2], centre[j + 3]
            x0, x1 = X[start:stop, j], X[start:stop, j + 1]
            x2, x3 = X[start:stop, j + 2], X[start:stop, j + 3]
            for i in range(k):
                left = (x0[i] - c0) * w0 + (x1[i] - c1) * w1
                a[i] += left + ((x2[i] - c2) * w2 + (x3[i] - c3) * w3)
        for j in range(d - d % 4, d):
            for i in range(k):
                a[i] += (X[start + i, j] - centre[j]) * w[j]

    def csr(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        data, indices, indptr = X
        for i in range(k):
            total = 0.0
            for at in range(indptr[start + i], indptr[start + i + 1]):
                total += data[at] * w[indices[at]]
            a[i] = total

    return _by_layout(X, rows, columns, csr)


@overload(_combine, jit_options={"fastmath": _FREE_ORDER, "nogil": True, "error_model": "numpy"})
def _combine_by_layout(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> Any:
    def rows(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        for i in range(k):
            for j in range(X.shape[1]):
                g[j] += r[i] * (X[start + i, j] - centre[j])

    def columns(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        for j in range(X.shape[1]):
            total = 0.0
            for i in range(k):
                total += r[i] * (X[start + i, j] - centre[j])
            g[j] += total

    def csr(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        data, indices, indptr = X
        for i in range(k):
            for at in range(indptr[start + i], indptr[start + i + 1]):
                g[indices[at]] += r[i] * data[at]

    return _by_layout(X, rows, columns, csr)


@overload(_square, jit_options={"fastmath": _FREE_ORDER, "nogil": True, "error_model": "numpy"})
def _square_by_layout(X: Any, centre: Any, start: Any, k: Any, r: Any, q: Any) -> Any:
    def dense(X: Any, centre: Any, start: Any, k: Any, r: Any, q: Any) -> None:
        for i in range(k):
            for j in range(X.shape[1]):
                x = X[start + i, j] - centre[j]
                q[j] += r[i] * x * x

    def csr(X: Any, centre: Any, start: Any, k: Any, r: Any, q: Any) -> None:
        data, indices, indptr = X
        for i in range(k):
            for at in range(indptr[start + i], indptr[start + i + 1]):
                x = np.float64(data[at])
                q[indices[at]] += r[i] * x * x

    return _by_layout(X, dense, dense, csr)


def _by_layout(X: Any, rows: Any, columns: Any, csr: Any) -> Any:
    if isinstance(X, types.BaseTuple):
        return csr
    return columns if X.layout == "F" else rows


# --------------------------------------------------------------------------- the kernels


@_compiled
def evaluate(
    X: Any,
    centre: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    w: np.ndarray,
    b: float,
    code: int,
    width: float,
    margins: np.ndarray,
    known: bool,
    g: np.ndarray,
    tile: int,
) -> tuple[float, float, float, float]:
    """The loss and its derivatives at the margins a = -y (p + b), p = (x - centre)^T w.

    Returns the sums of s phi(a), of its derivative by b, of s p and of s p^2. margins <- a, unless
    they are known; g += the gradient by w. Rows are taken `tile` at a time.
    """
    n = len(y)
    total = slope = mean = square = 0.0
    a, second, e = np.empty(tile), np.empty(tile), np.empty(tile)
    bits = np.empty(tile, np.int64)
    for start in range(0, n, tile):
        k = min(tile, n - start)
        if known:
            for i in range(k):
                a[i] = -y[start + i] * margins[start + i] - b
        else:
            _project(X, centre, start, k, w, a)
        for i in range(k):
            mean += s[start + i] * a[i]
            square += s[start + i] * a[i] * a[i]
            a[i] = -y[start + i] * (a[i] + b)
            margins[start + i] = a[i]
        total += _loss(code, width, a, s[start : start + k], second, e, bits, k)
        for i in range(k):
            a[i] *= -y[start + i]
            slope += a[i]
        _combine(X, centre, start, k, a, g)
    return total, slope, mean, square


@_compiled
def project(X: Any, centre: np.ndarray, w: np.ndarray, out: np.ndarray, tile: int) -> None:
    """out <- (X - 1 centre^T) w (sparse: X w)."""
    for start in range(0, len(out), tile):
        k = min(tile, len(out) - start)
        _project(X, centre, start, k, w, out[start : start + k])


@_compiled
def combine(X: Any, centre: np.ndarray, r: np.ndarray, g: np.ndarray, tile: int) -> None:
    """g += (X - 1 centre^T)^T r (sparse: X^T r)."""
    for start in range(0, len(r), tile):
        k = min(tile, len(r) - start)
        _combine(X, centre, start, k, r[start : start + k], g)


@_compiled
def combine_squares(X: Any, centre: np.ndarray, r: np.ndarray, q: np.ndarray, tile: int) -> None:
    """q += (X - 1 centre^T)^2T r, squares by element (sparse: X^2T r)."""
    for start in range(0, len(r), tile):
        k = min(tile, len(r) - start)
        _square(X, centre, start, k, r[start : start + k], q)


@_compiled
def plane(
    a: np.ndarray,
    p: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    t: float,
    h: float,
    code: int,
    width: float,
) -> tuple[float, float, float, float, float, float]:
    """The loss on the plane (t, h) -> sum of s phi(a + t p - h y), with its derivatives.

    (value, by t, by h, by tt, by th, by hh): a length and an intercept on cached margins.
    """
    n = len(y)
    v = vt = vh = vtt = vth = vhh = 0.0
    m, second, e = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    bits = np.empty(_TILE, np.int64)
    for start in range(0, n, _TILE):
        k = min(_TILE, n - start)
        for i in range(k):
            m[i] = a[start + i] + t * p[start + i] - h * y[start + i]
        v += _loss(code, width, m, s[start : start + k], second, e, bits, k)
        for i in range(k):
            pi, yi = p[start + i], y[start + i]
            vt += m[i] * pi
            vh -= m[i] * yi
            vtt += second[i] * pi * pi
            vth -= second[i] * pi * yi
            vhh += second[i]
    return v, vt, vh, vtt, vth, vhh


@_compiled
def curvatures(
    a: np.ndarray, s: np.ndarray, floor: float, code: int, width: float, out: np.ndarray
) -> tuple[float, float]:
    """out <- s max(|phi''(a)|, floor |phi'(a)|). Returns the sums of s |phi''| and of s |phi'|."""
    n = len(a)
    total, slope = 0.0, 0.0
    m, second, e = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    bits = np.empty(_TILE, np.int64)
    for start in range(0, n, _TILE):
        k = min(_TILE, n - start)
        for i in range(k):
            m[i] = a[start + i]
        _loss(code, width, m, s[start : start + k], second, e, bits, k)
        for i in range(k):
            total += abs(second[i])
            slope += abs(m[i])
            out[start + i] = max(abs(second[i]), floor * abs(m[i]))
    return total, slope


@_compiled
def counts(indices: np.ndarray, out: np.ndarray) -> None:
    """Add to out how often each index occurs."""
    for at in range(len(indices)):
        out[indices[at]] += 1


@_compiled
def csr_gram(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, h: np.ndarray, G: np.ndarray
) -> None:
    """Add Z^T diag(h) Z to G, Z = (X, 1). One triangle only: the sum is G + G^T - diag(G)."""
    k = len(G) - 1
    for i in range(len(h)):
        G[k, k] += h[i]
        for u in range(indptr[i], indptr[i + 1]):
            x = h[i] * data[u]
            row = G[indices[u]]
            row[k] += x
            for v in range(u, indptr[i + 1]):
                row[indices[v]] += x * data[v]


@_compiled
def csr_gram_of_sums(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    h: np.ndarray,
    place: np.ndarray,
    G: np.ndarray,
) -> None:
    """The same for Z = (X A, 1): columns j added up into columns place[j], < 0: left out."""
    k = len(G) - 1
    values, places = np.empty(k + 1), np.empty(k + 1, np.uint32)
    slot, row_of = np.empty(k, np.int64), np.full(k, -1, np.int64)
    for i in range(len(h)):
        used = 0
        for at in range(indptr[i], indptr[i + 1]):
            where = place[indices[at]]
            if where < 0:
                continue
            if row_of[where] == i:
                values[slot[where]] += data[at]
                continue
            row_of[where], slot[where] = i, used
            values[used], places[used] = data[at], where
            used += 1
        values[used], places[used] = 1.0, k
        for u in range(used + 1):
            x = h[i] * values[u]
            row = G[places[u]]
            for v in range(u, used + 1):
                row[places[v]] += x * values[v]


@_compiled
def columns_of_rows(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    slot: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
) -> None:
    """Write the entries of some columns one column after the other, column j from starts[slot[j]].

    slot < 0 leaves a column out; starts is moved on.
    """
    for i in range(len(indptr) - 1):
        for at in range(indptr[i], indptr[i + 1]):
            j = slot[indices[at]]
            if j >= 0:
                rows[starts[j]], values[starts[j]] = i, data[at]
                starts[j] += 1


@_compiled
def settle(
    rows: np.ndarray,
    values: np.ndarray,
    starts: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    alpha: np.ndarray,
    w: np.ndarray,
    code: int,
    width: float,
    margins: np.ndarray,
) -> None:
    """Minimise the loss by one weight after the other, all others fixed; margins go along.

    Column j has the entries starts[j] to starts[j + 1] of rows and values, and the penalty
    alpha[j] w[j]^2/2. Newton's method, no margin moving by more than 2 a step.
    """
    most = 1
    for j in range(len(w)):
        most = max(most, starts[j + 1] - starts[j])
    z, weight, a, second, e = np.empty((5, most))
    bits = np.empty(most, np.int64)
    for j in range(len(w)):
        first, k = starts[j], starts[j + 1] - starts[j]
        largest, moved = 0.0, 0.0
        for i in range(k):
            row = rows[first + i]
            z[i], weight[i] = -y[row] * values[first + i], s[row]
            largest = max(largest, abs(z[i]))
        if largest == 0.0:
            continue
        for _ in range(20):
            for i in range(k):
                a[i] = margins[rows[first + i]] + moved * z[i]
            _loss(code, width, a, weight, second, e, bits, k)
            slope, curvature = alpha[j] * (w[j] + moved), alpha[j]
            for i in range(k):
                slope += a[i] * z[i]
                curvature += second[i] * z[i] * z[i]
            step = -slope / max(curvature, 1e-300)
            step = min(max(step, -2.0 / largest), 2.0 / largest)
            moved += step
            if abs(step) * largest < 0.1:
                break
        w[j] += moved
        for i in range(k):
            margins[rows[first + i]] += moved * z[i]

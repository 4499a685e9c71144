"""Compiled kernels: the loss, its gradient and more, from a single read of X.

X is a C- or F-ordered array of float32 or float64, or a CSR matrix as the tuple (data, indices,
indptr) with unsigned indices (signed indices cost a check for negative values at every access). The
kernels process a tile of rows at a time: they compute the margins, the loss on the margins, and the
gradient while the tile is still in the cache. They read the rows in order, which suits the
prefetcher of the processor.

The kernels do not centre a sparse X; `SparseMatrix` accounts for the centre afterwards, in O(d).

A loop either adds up or writes, never both. The compiler checks at run time whether the arrays of a
loop may overlap, and then adds in another order; the bits of a sum would depend on where the arrays
happen to lie in memory.

All kernels stay in this one file, because Numba's cache does not notice changes in other files.
Functions that kernels call are inlined into them, so that every process computes the same digits.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from .kernel_cache import compile_with_cache

# Sums may be reordered. NaN and infinity must keep their meaning, because they reveal bad input.
_FREE_ORDER = {"reassoc", "contract", "arcp", "nsz"}
_TILE = 64

# The codes of the losses, which `MarginLoss.kernel` holds.
SOFTPLUS, SIGMOID, NORMAL_CDF, SMOOTH_HINGE, SQUARED = range(5)

_OPTIONS: Any = {"fastmath": _FREE_ORDER, "nogil": True, "error_model": "numpy"}
_INLINE: Any = _OPTIONS | {"forceinline": True}


def _compiled(function: Any) -> Any:
    """Compile a function when it is first called, and keep the result for later processes."""
    return compile_with_cache(function, **_OPTIONS)


def _inlined(function: Any, **options: Any) -> Any:
    """Compile a function as a part of each kernel that calls it.

    If it is not inlined, each kernel contains a copy that is optimised in its own way. Which copy a
    process uses then depends on the kernels that it loaded before, and so do the last digits.
    """
    return numba.njit(**_INLINE | options)(function)


# --------------------------------------------------------------------------- exp and log1p

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2 = 0.6931471805599453


@partial(_inlined, fastmath={"contract", "nsz"})
def _exp_of_negative(x: np.ndarray, bits: np.ndarray, k: int) -> None:
    """Set x to exp(x) for k values x <= 0, with an error of three units in the last place.

    exp(x) = 2^m exp(r) with |r| <= ln(2)/2, by a Taylor polynomial. The compiler vectorises loops
    of this form. Values below -708 are treated as -708.
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


@_inlined
def _log1p(e: float) -> float:
    """Return log(1 + e) = 2 atanh(e/(2 + e)) for 0 <= e <= 1, with full relative precision."""
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


@_inlined
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
    """Return the sum of s phi(a) over k margins; set a to s phi'(a) and second to s phi''(a)."""
    if code == SOFTPLUS:
        for i in range(k):
            e[i] = -abs(a[i])
        _exp_of_negative(e, bits, k)
        for i in range(k):
            value = s[i] * (0.5 * (a[i] + abs(a[i])) + _log1p(e[i]))
            q = 1.0 / (1.0 + e[i])
            second[i] = s[i] * e[i] * q * q
            a[i] = s[i] * (q if a[i] >= 0 else e[i] * q) + 0.0 * a[i]
            e[i] = value
    elif code == SIGMOID:
        for i in range(k):
            e[i] = -abs(a[i])
        _exp_of_negative(e, bits, k)
        for i in range(k):
            q = 1.0 / (1.0 + e[i])
            value = q if a[i] >= 0 else e[i] * q
            slope = e[i] * q * q
            sign = 1.0 if a[i] >= 0 else -1.0
            second[i] = -s[i] * slope * sign * (1.0 - e[i]) * q
            e[i] = s[i] * value + 0.0 * a[i]
            a[i] = s[i] * slope
    elif code == NORMAL_CDF:
        for i in range(k):
            e[i] = max(-0.5 * a[i] * a[i], -708.0)
        _exp_of_negative(e, bits, k)
        for i in range(k):
            pdf = e[i] * 0.3989422804014327
            e[i] = s[i] * 0.5 * math.erfc(-a[i] * 0.7071067811865476)
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
            e[i] = s[i] * max(width * (a[i] * cdf + pdf), 0.0) + 0.0 * a[i]
            second[i] = s[i] * pdf / width
            a[i] = s[i] * cdf
    else:  # SQUARED
        for i in range(k):
            v = 1.0 + a[i]
            e[i] = s[i] * v * v
            second[i] = 2.0 * s[i]
            a[i] = 2.0 * s[i] * v
    total = 0.0
    for i in range(k):
        total += e[i]
    return total


# --------------------------------------------------------------------------- products with a tile


def _project(X: Any, centre: np.ndarray, start: int, k: int, w: np.ndarray, a: np.ndarray) -> None:
    """Set a to (X - 1 centre^T) w on k rows; a sparse X is not centred."""


def _combine(X: Any, centre: np.ndarray, start: int, k: int, r: np.ndarray, g: np.ndarray) -> None:
    """Add (X - 1 centre^T)^T r on k rows to g; a sparse X is not centred."""


def _square(X: Any, centre: np.ndarray, start: int, k: int, r: np.ndarray, q: np.ndarray) -> None:
    """Add the sums of r (x - centre)^2 over k rows to q; a sparse X is not centred."""


@overload(_project, jit_options=_OPTIONS)
def _project_by_rows(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> Any:
    def rows(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        for i in range(k):
            total = 0.0
            for j in range(X.shape[1]):
                total += (X[start + i, j] - centre[j]) * w[j]
            a[i] = total

    def csr(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        data, indices, indptr = X
        for i in range(k):
            total = 0.0
            for at in range(indptr[start + i], indptr[start + i + 1]):
                total += data[at] * w[indices[at]]
            a[i] = total

    return _by_layout(X, rows, None, csr)


@overload(_project, jit_options=_INLINE)
def _project_by_columns(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> Any:
    def columns(X: Any, centre: Any, start: Any, k: Any, w: Any, a: Any) -> None:
        d = X.shape[1]
        stop = start + k
        for i in range(k):
            a[i] = 0.0
        for j in range(
            0, d - 3, 4
        ):  # four columns at a time save three quarters of the traffic of a
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

    return _by_layout(X, None, columns, None)


@overload(_combine, jit_options=_OPTIONS)
def _combine_by_rows(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> Any:
    def rows(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        for i in range(k):
            for j in range(X.shape[1]):
                g[j] += r[i] * (X[start + i, j] - centre[j])

    def csr(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        data, indices, indptr = X
        for i in range(k):
            for at in range(indptr[start + i], indptr[start + i + 1]):
                g[indices[at]] += r[i] * data[at]

    return _by_layout(X, rows, None, csr)


@overload(_combine, jit_options=_INLINE)
def _combine_by_columns(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> Any:
    def columns(X: Any, centre: Any, start: Any, k: Any, r: Any, g: Any) -> None:
        for j in range(X.shape[1]):
            total = 0.0
            for i in range(k):
                total += r[i] * (X[start + i, j] - centre[j])
            g[j] += total

    return _by_layout(X, None, columns, None)


@overload(_square, jit_options=_OPTIONS)
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
    """Evaluate the loss and its gradient at the margins a = -y (p + b), p = (x - centre)^T w.

    The margins are read if they are known, and written otherwise. The gradient with respect to w is
    added to g. The kernel processes `tile` rows at a time.

    Returns
    -------
    value, by_b, mean, square : float
        The sums of s phi(a), of its derivative with respect to b, of s p and of s p^2.
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
        for i in range(k):
            a[i] = -y[start + i] * (a[i] + b)
            margins[start + i] = a[i]
        total += _loss(code, width, a, s[start : start + k], second, e, bits, k)
        for i in range(k):
            a[i] *= -y[start + i]
        for i in range(k):
            slope += a[i]
        _combine(X, centre, start, k, a, g)
    return total, slope, mean, square


@_compiled
def project(X: Any, centre: np.ndarray, w: np.ndarray, out: np.ndarray, tile: int) -> None:
    """Set out to (X - 1 centre^T) w; a sparse X is not centred."""
    for start in range(0, len(out), tile):
        k = min(tile, len(out) - start)
        _project(X, centre, start, k, w, out[start : start + k])


@_compiled
def combine(X: Any, centre: np.ndarray, r: np.ndarray, g: np.ndarray, tile: int) -> None:
    """Add (X - 1 centre^T)^T r to g; a sparse X is not centred."""
    for start in range(0, len(r), tile):
        k = min(tile, len(r) - start)
        _combine(X, centre, start, k, r[start : start + k], g)


@_compiled
def combine_squares(X: Any, centre: np.ndarray, r: np.ndarray, q: np.ndarray, tile: int) -> None:
    """Add the sums of r (x - centre)^2 to q; a sparse X is not centred."""
    for start in range(0, len(r), tile):
        k = min(tile, len(r) - start)
        _square(X, centre, start, k, r[start : start + k], q)


@_compiled
def gram_times_vector(
    X: Any,
    centre: np.ndarray,
    h: np.ndarray,
    v: np.ndarray,
    shift: float,
    out: np.ndarray,
    tile: int,
) -> float:
    """Add Z^T r to out and return the sum of r = h (Z v + shift); a sparse Z = X is not centred."""
    total = 0.0
    r = np.empty(tile)
    for start in range(0, len(h), tile):
        k = min(tile, len(h) - start)
        _project(X, centre, start, k, v, r)
        for i in range(k):
            r[i] = h[start + i] * (r[i] + shift)
        for i in range(k):
            total += r[i]
        _combine(X, centre, start, k, r, out)
    return total


@_compiled
def conjugate_step(
    length: float,
    p: np.ndarray,
    product: np.ndarray,
    inverse: np.ndarray,
    x: np.ndarray,
    r: np.ndarray,
) -> float:
    """Add length p to x, subtract length product from r, and return the sum of inverse r^2."""
    for j in range(len(x)):
        x[j] += length * p[j]
    for j in range(len(x)):
        r[j] -= length * product[j]
    total = 0.0
    for j in range(len(x)):
        total += inverse[j] * r[j] * r[j]
    return total


@_compiled
def conjugate_direction(share: float, r: np.ndarray, inverse: np.ndarray, p: np.ndarray) -> None:
    """Set p to inverse r + share p."""
    for j in range(len(p)):
        p[j] = inverse[j] * r[j] + share * p[j]


@_compiled
def add_penalty(alpha: np.ndarray, p: np.ndarray, product: np.ndarray) -> float:
    """Add alpha p to the product of the Hessian with p, and return the curvature along p."""
    for j in range(len(p)):
        product[j] += alpha[j] * p[j]
    total = 0.0
    for j in range(len(p)):
        total += p[j] * product[j]
    return total


@_inlined
def _plane(
    a: np.ndarray,
    p: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    t: float,
    h: float,
    code: int,
    width: float,
) -> tuple[float, float, float, float, float, float]:
    """Evaluate sum s phi(a + t p - h y) and its derivatives with respect to t, h, tt, th and hh.

    Here t is a length along a direction and h an intercept. The margins a and their change p along
    the direction take the place of X.
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
    """Evaluate `_plane` on all rows: sum s phi(a + t p - h y) and its five derivatives."""
    return _plane(a, p, y, s, t, h, code, width)


@_compiled
def curvatures(
    a: np.ndarray, s: np.ndarray, floor: float, code: int, width: float, out: np.ndarray
) -> tuple[float, float]:
    """Set out to s max(|phi''(a)|, floor |phi'(a)|); return the sums of s |phi''| and s |phi'|."""
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
        for i in range(k):
            out[start + i] = max(abs(second[i]), floor * abs(m[i]))
    return total, slope


@_compiled
def count_indices(indices: np.ndarray, out: np.ndarray) -> None:
    """Add the number of occurrences of each index to out."""
    for at in range(len(indices)):
        out[indices[at]] += 1


@_compiled
def csr_gram(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, h: np.ndarray, G: np.ndarray
) -> None:
    """Add one triangle of Z^T diag(h) Z to G, Z = (X, 1); the matrix is G + G^T - diag(G)."""
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
    """Add one triangle of Z^T diag(h) Z to G, Z = (X A, 1); the matrix is G + G^T - diag(G).

    A adds column j of X to column place[j]; place[j] < 0 leaves column j out.
    """
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
def gather_columns(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    slot: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
) -> None:
    """Write the entries of some columns one column after the other, column j from starts[slot[j]].

    slot[j] < 0 leaves column j out. At the end starts[slot[j]] is the end of column j.
    """
    for i in range(len(indptr) - 1):
        for at in range(indptr[i], indptr[i + 1]):
            j = slot[indices[at]]
            if j >= 0:
                rows[starts[j]], values[starts[j]] = i, data[at]
                starts[j] += 1


@_compiled
def fit_columns(
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
    """Minimise the loss over one weight after the other, in a single sweep; update the margins.

    Column j has the entries starts[j] to starts[j + 1] of rows and values, and the penalty
    alpha[j] w[j]^2/2. Newton's method is used, and no margin changes by more than 2 in a step.
    """
    longest = 1
    for j in range(len(w)):
        longest = max(longest, starts[j + 1] - starts[j])
    z, weight, a, second, e = np.empty((5, longest))
    bits = np.empty(longest, np.int64)
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


# --------------------------------------------------------------------------- many models at once


@_inlined
def _softmax_block(
    m: np.ndarray, codes: np.ndarray, s: np.ndarray, split: np.ndarray, fun: np.ndarray
) -> None:
    """Add the cross-entropy of each model to fun, and replace the scores by its derivatives.

    m has the shape (models, classes, rows). Model b weighs row i by s[split[b], i].
    """
    n_classes, k = m.shape[1], m.shape[2]
    top, rest, ones = np.empty((3, k))
    bits = np.empty(k, np.int64)
    for b in range(m.shape[0]):
        z, weight = m[b], s[split[b]]
        for i in range(k):
            top[i] = z[0, i]
        for c in range(1, n_classes):
            row = z[c]
            for i in range(k):
                top[i] = max(top[i], row[i])
        value = 0.0
        for i in range(k):
            value += weight[i] * (top[i] - z[codes[i], i])
            rest[i] = 0.0
            ones[i] = 0.0
        for c in range(n_classes):
            row = z[c]
            for i in range(k):
                row[i] -= top[i]
            _exp_of_negative(row, bits, k)
            for i in range(k):
                rest[i] += row[i] if row[i] < 1.0 else 0.0
            for i in range(k):
                ones[i] += 0.0 if row[i] < 1.0 else row[i]
        for i in range(k):
            # Without the largest term, which is 1, small losses and residuals do not cancel.
            if ones[i] > 1.0:
                rest[i] += ones[i] - 1.0
            value += weight[i] * math.log1p(rest[i])
            top[i] = weight[i] / (1.0 + rest[i])
            ones[i] = z[codes[i], i]
        for c in range(n_classes):
            row = z[c]
            for i in range(k):
                row[i] *= top[i]
        for i in range(k):
            if ones[i] == 1.0:
                z[codes[i], i] = -top[i] * rest[i]
            else:
                z[codes[i], i] -= weight[i]
        fun[b] += value


@_compiled
def softmax_block(
    m: np.ndarray, codes: np.ndarray, s: np.ndarray, split: np.ndarray, fun: np.ndarray
) -> None:
    """Add the cross-entropy of each model to fun by `_softmax_block`; m holds derivatives then."""
    _softmax_block(m, codes, s, split, fun)


@_compiled
def margins_block(
    m: np.ndarray,
    codes: np.ndarray,
    positive: np.ndarray,
    s: np.ndarray,
    split: np.ndarray,
    code: int,
    width: float,
    fun: np.ndarray,
    second: np.ndarray,
) -> None:
    """Add the margin loss of each model to fun, and replace the scores by its derivatives.

    m and second, which is set to the second derivatives, have the shape (models, rows). The rows of
    class positive[b] have the label +1 in model b, and the others -1.
    """
    k = m.shape[1]
    e, sign = np.empty(k), np.empty(k)
    bits = np.empty(k, np.int64)
    for b in range(m.shape[0]):
        a = m[b]
        for i in range(k):
            sign[i] = -1.0 if codes[i] == positive[b] else 1.0
            a[i] *= sign[i]
        fun[b] += _loss(code, width, a, s[split[b]], second[b], e, bits, k)
        for i in range(k):
            a[i] *= sign[i]


@_compiled
def csr_times_block(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    rows: np.ndarray,
    w: np.ndarray,
    out: np.ndarray,
) -> None:
    """Set out to the product of some rows of a CSR matrix with the columns of w, transposed."""
    q = w.shape[1]
    total = np.empty(q)
    for i in range(len(rows)):
        total[:] = 0.0
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            x, row = data[at], w[indices[at]]
            for c in range(q):
                total[c] += x * row[c]
        for c in range(q):
            out[c, i] = total[c]


@_compiled
def csr_transposed_times_block(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    rows: np.ndarray,
    r: np.ndarray,
    g: np.ndarray,
) -> None:
    """Add to g the product of the transpose of some rows of a CSR matrix with r transposed."""
    q = r.shape[0]
    values = np.empty(q)
    for i in range(len(rows)):
        for c in range(q):
            values[c] = r[c, i]
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            x, row = data[at], g[indices[at]]
            for c in range(q):
                row[c] += x * values[c]


@_inlined
def factorize(a: np.ndarray, ridge: float) -> bool:
    """Replace the lower triangle of a by the Cholesky factor of a + ridge I, if there is one."""
    n = len(a)
    for j in range(n):
        for i in range(j, n):
            total = a[i, j]
            if i == j:
                total += ridge
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                a[j, j] = math.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    return True


@_inlined
def solve_factorized(a: np.ndarray, x: np.ndarray) -> None:
    """Replace x by the solution of the system whose Cholesky factor is the lower triangle of a."""
    n = len(a)
    for i in range(n):
        total = x[i]
        for k in range(i):
            total -= a[i, k] * x[k]
        x[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= a[k, i] * x[k]
        x[i] = total / a[i, i]


@_inlined
def softmax_hessian(
    z: np.ndarray, q: np.ndarray, own: np.ndarray, s: np.ndarray, ridge: np.ndarray, h: np.ndarray
) -> None:
    """Set the lower triangle of h to the Hessian of the weighted cross-entropy.

    z (p, n) are the columns, q (K, n) the probabilities times the weights s, and own (K, n) the
    products p (1 - p) s without cancellation. To directions in which all classes change alike, and
    no probability does, the mean of the diagonal blocks is added.
    """
    p, n = z.shape
    n_classes = len(q)
    weight = np.empty(n)
    for c in range(n_classes):
        for e in range(c + 1):
            if c == e:
                weight[:] = own[c]
            else:
                for i in range(n):
                    weight[i] = -q[c, i] * q[e, i] / s[i]
            for j in range(p):
                for k in range(p if c != e else j + 1):
                    total = 0.0
                    for i in range(n):
                        total += weight[i] * z[j, i] * z[k, i]
                    h[c * p + j, e * p + k] = total
    for j in range(p):
        for k in range(j + 1):
            mean = 0.0
            for c in range(n_classes):
                mean += h[c * p + j, c * p + k]
            mean /= n_classes * n_classes
            for c in range(n_classes):
                for e in range(c + 1):
                    h[c * p + j, e * p + k] += mean
                    if c != e and j != k:
                        h[c * p + k, e * p + j] += mean
    for c in range(n_classes):
        for j in range(len(ridge)):
            h[c * p + j, c * p + j] += ridge[j]


@_compiled
def minimise_small_softmax(
    z: np.ndarray,
    codes: np.ndarray,
    s: np.ndarray,
    ridge: np.ndarray,
    theta: np.ndarray,
    tol: float,
    rounding: float,
    funs: np.ndarray,
    decrements: np.ndarray,
) -> tuple[int, bool, float]:
    """Minimise the penalised cross-entropy by Newton's method, for a few rows and columns.

    z (p, n) are the columns and s the positive weights of the rows. theta (K, p) is updated in
    place, and the values and decrements of the iterates are written to the last arguments.

    Returns the number of steps, whether the estimated suboptimality (the third value) is at most
    tol (f + rounding), or how far the iteration came.
    """
    p, n = z.shape
    n_classes, d = len(theta), len(ridge)
    size = n_classes * p
    m, q, own, moved = np.empty((4, n_classes, n))
    scores = np.empty((1, n_classes, n))
    weights = s.copy().reshape(1, n)
    split = np.zeros(1, np.int64)
    value = np.zeros(1)
    g, step, scale = np.empty((3, size))
    h, a = np.empty((2, size, size))
    for c in range(n_classes):
        for i in range(n):
            total = 0.0
            for j in range(p):
                total += z[j, i] * theta[c, j]
            m[c, i] = total
    contraction, excess, gap, before, expected = 0.25, 1.0, np.inf, 0.0, 0.0
    most = len(funs) - 1
    for iteration in range(most + 1):
        scores[0] = m
        value[0] = 0.0
        _softmax_block(scores, codes, weights, split, value)
        fun = value[0]
        for c in range(n_classes):
            for j in range(p):
                total = 0.0
                for i in range(n):
                    total += scores[0, c, i] * z[j, i]
                if j < d:
                    total += ridge[j] * theta[c, j]
                    fun += 0.5 * ridge[j] * theta[c, j] * theta[c, j]
                g[c * p + j] = total
            for i in range(n):
                r = scores[0, c, i]
                if codes[i] == c:
                    q[c, i] = r + s[i]
                    own[c, i] = -r * q[c, i] / s[i]
                else:
                    q[c, i] = r
                    own[c, i] = r * (s[i] - r) / s[i]
        if iteration > 0 and expected > 1e-9 * abs(before):
            excess = min(max((before - fun) / expected, 1.0), 10.0)
        softmax_hessian(z, q, own, s, ridge, h)
        for j in range(size):
            scale[j] = math.sqrt(h[j, j]) if h[j, j] > 0 else 1.0
        extra = 1e-14 * size
        while True:
            for j in range(size):
                for k in range(j + 1):
                    a[j, k] = h[j, k] / (scale[j] * scale[k])
                a[j, j] = 1.0
            if factorize(a, extra):
                break
            extra *= 10.0
            if extra > 1e3 or extra != extra:
                funs[iteration], decrements[iteration] = fun, np.nan
                return iteration, False, np.inf
        for j in range(size):
            step[j] = -g[j] / scale[j]
        solve_factorized(a, step)
        for j in range(size):
            step[j] /= scale[j]
        for j in range(p):  # a change of all classes alike is a rounding error
            mean = 0.0
            for c in range(n_classes):
                mean += step[c * p + j]
            mean /= n_classes
            for c in range(n_classes):
                step[c * p + j] -= mean
        slope = 0.0
        for j in range(size):
            slope += step[j] * g[j]
        decrement = -0.5 * slope
        funs[iteration], decrements[iteration] = fun, decrement
        first = max(iteration - 3, 0)
        if iteration > 0 and decrements[first] > 0:
            power = 1.0 / (iteration - first)
            factor = (max(decrement, 1e-300) / decrements[first]) ** power
            contraction = min(max(factor, 1e-4), 0.95)
        root = math.sqrt(max(contraction, 0.25) if iteration < 3 else contraction)
        gap = 1.5 * decrement * excess * (1.0 + root) / (1.0 - root)
        if gap <= tol * (abs(fun) + rounding):
            return iteration, True, gap
        if iteration == most:
            break
        for c in range(n_classes):
            for i in range(n):
                total = 0.0
                for j in range(p):
                    total += z[j, i] * step[c * p + j]
                moved[c, i] = total
        length, lower = 1.0, False
        for _ in range(60):
            for c in range(n_classes):
                for i in range(n):
                    scores[0, c, i] = m[c, i] + length * moved[c, i]
            value[0] = 0.0
            _softmax_block(scores, codes, weights, split, value)
            new = value[0]
            for c in range(n_classes):
                for j in range(d):
                    w = theta[c, j] + length * step[c * p + j]
                    new += 0.5 * ridge[j] * w * w
            lower = new <= fun + 1e-4 * length * slope
            if decrement <= 1e-11 * abs(fun):
                lower = lower or new <= fun * (1.0 + 1e-12)
            if lower:
                break
            length *= 0.5
        if not lower or decrement <= 1e-16 * abs(fun):
            break
        for c in range(n_classes):
            for j in range(p):
                theta[c, j] += length * step[c * p + j]
            for i in range(n):
                m[c, i] += length * moved[c, i]
        before, expected = fun, decrement
    return iteration, False, gap


@_inlined
def slopes(
    a: np.ndarray, s: np.ndarray, code: int, width: float, r: np.ndarray, h: np.ndarray
) -> float:
    """Set r to s phi'(a) and h to s phi''(a), and return the sum of s phi(a)."""
    n, total = len(a), 0.0
    e, bits = np.empty(_TILE), np.empty(_TILE, np.int64)
    for start in range(0, n, _TILE):
        k = min(_TILE, n - start)
        for i in range(k):
            r[start + i] = a[start + i]
        total += _loss(
            code,
            width,
            r[start : start + k],
            s[start : start + k],
            h[start : start + k],
            e,
            bits,
            k,
        )
    return total


@_inlined
def gram_of_columns(z: np.ndarray, h: np.ndarray, out: np.ndarray) -> None:
    """Set the lower triangle of out to z diag(h) z^T, for the columns z (p, n) of a matrix."""
    p, n = z.shape
    v = np.empty(n)
    for j in range(p):
        for i in range(n):
            v[i] = h[i] * z[j, i]
        last = j + 1 - (j + 1) % 4
        for k in range(0, last, 4):  # four at a time, so that v is read less often
            z0, z1, z2, z3 = z[k], z[k + 1], z[k + 2], z[k + 3]
            t0 = t1 = t2 = t3 = 0.0
            for i in range(n):
                t0 += v[i] * z0[i]
                t1 += v[i] * z1[i]
                t2 += v[i] * z2[i]
                t3 += v[i] * z3[i]
            out[j, k], out[j, k + 1], out[j, k + 2], out[j, k + 3] = t0, t1, t2, t3
        for k in range(last, j + 1):
            total = 0.0
            for i in range(n):
                total += v[i] * z[k, i]
            out[j, k] = total


@_inlined
def newton_direction(h: np.ndarray, g: np.ndarray, step: np.ndarray) -> bool:
    """Set step to -h^-1 g, where h is given by its lower triangle; return whether that worked.

    The matrix is scaled to the diagonal 1, and the smallest ridge is added with which it is
    positive definite.
    """
    p = len(g)
    a, scale = np.empty((p, p)), np.empty(p)
    for j in range(p):
        if not math.isfinite(h[j, j]):
            return False
        scale[j] = math.sqrt(h[j, j]) if h[j, j] > 0 else 1.0
    extra = 1e-14 * p
    while True:
        for j in range(p):
            for k in range(j):
                a[j, k] = h[j, k] / (scale[j] * scale[k])
            a[j, j] = 1.0
        if factorize(a, extra):
            break
        extra *= 10.0
        if extra > 1e3 or extra != extra:
            return False
    for j in range(p):
        step[j] = -g[j] / scale[j]
    solve_factorized(a, step)
    for j in range(p):
        step[j] /= scale[j]
    return True


@_inlined
def search_length(
    a: np.ndarray,
    change: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    code: int,
    width: float,
    penalty: tuple[float, float, float],
    fun: float,
    slope: float,
) -> float:
    """Return the length of a step whose unit changes the margins a by `change`; 0 if f rises.

    The penalty has the given value, slope and curvature along the step. The rule is that of
    `lbfgs.take_step`: the unit step if it satisfies the Wolfe conditions, else Newton's method on
    the slope within a bracket, down to a tenth of the slope at 0.
    """
    low, high, t = 0.0, np.inf, 1.0
    is_flat = -slope <= 1e-11 * abs(fun)
    for trial in range(60):
        value, by_t, _, by_tt, _, _ = _plane(a, change, y, s, t, 0.0, code, width)
        value += penalty[0] + t * penalty[1] + 0.5 * t * t * penalty[2]
        by_t += penalty[1] + t * penalty[2]
        by_tt += penalty[2]
        if trial == 0:
            is_lower = value <= fun + 1e-4 * slope
            is_lower = is_lower or (is_flat and value <= fun * (1.0 + 1e-12))
            if is_lower and abs(by_t) <= 0.9 * abs(slope):
                return 1.0
            if -slope <= 1e-15 * abs(fun):
                return 0.0
        is_lower = math.isfinite(value) and value <= fun
        if is_lower and abs(by_t) <= 0.1 * abs(slope):
            return t
        if is_lower and by_t < 0:
            low = t
        else:
            high = t
        new = t - by_t / by_tt if by_tt > 0 else np.nan
        if not low < new < high:
            new = 0.5 * (low + high) if high < np.inf else 4.0 * t
            if low == 0.0 and high < np.inf:
                new = 0.1 * high
        t = min(new, 10.0 * t)
        if (high < np.inf and high - low <= 1e-14 * high) or t > 1e12:
            break
    return low


@_compiled
def minimise_small_margins(
    z: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    alpha: np.ndarray,
    intercept: bool,
    code: int,
    width: float,
    floor: float,
    tol: float,
    rounding: float,
    theta: np.ndarray,
    trace: np.ndarray,
) -> tuple[int, int, float]:
    """Minimise a convex margin loss by Newton's method, for a few rows and columns.

    z (p, n) are the columns, of which the last is 1 if there is an intercept, and alpha (p,) the
    penalties, of which that of the intercept is 0. If the curvature almost vanishes, it is at least
    `floor` times the slope, as in `Samples.curvatures`.

    theta (max_iter + 1, p) holds the start and receives the iterates. A row of the trace receives
    the value, the decrement, and the root mean square of the margins without the intercept.

    Returns the number of steps, how the iteration ended (0 converged, 1 the most steps, 2 no step
    lowers f, 3 not finite), and the estimated suboptimality.
    """
    p, n = z.shape
    a, change, r, h = np.empty((4, n))
    g, step = np.empty((2, p))
    H = np.empty((p, p))
    contraction, excess, gap = 0.25, 1.0, np.inf
    before, expected = 0.0, 0.0
    most = len(theta) - 1
    for iteration in range(most + 1):
        w = theta[iteration]
        change[:] = 0.0
        for j in range(p):
            for i in range(n):
                change[i] += w[j] * z[j, i]
        for i in range(n):
            a[i] = -y[i] * change[i]
        b = w[p - 1] if intercept else 0.0
        square = 0.0
        for i in range(n):
            square += s[i] * (change[i] - b) * (change[i] - b)
        fun = slopes(a, s, code, width, r, h)
        total, steepness = 0.0, 0.0
        for i in range(n):
            total += abs(h[i])
            steepness += abs(r[i])
        least = floor if total < 0.1 * floor * steepness else 0.0
        for i in range(n):
            h[i] = max(abs(h[i]), least * abs(r[i]))
        for i in range(n):
            r[i] *= -y[i]
        gram_of_columns(z, h, H)
        for j in range(p):
            total = 0.0
            for i in range(n):
                total += r[i] * z[j, i]
            g[j] = total + alpha[j] * w[j]
            H[j, j] += alpha[j]
            fun += 0.5 * alpha[j] * w[j] * w[j]
        if iteration > 0 and expected > 1e-9 * abs(before):
            excess = min(max((before - fun) / expected, 1.0), 10.0)
        if not (math.isfinite(fun) and newton_direction(H, g, step)):
            return iteration, 3, gap
        slope = 0.0
        for j in range(p):
            slope += step[j] * g[j]
        decrement = -0.5 * slope
        if not math.isfinite(decrement):
            return iteration, 3, gap
        trace[iteration, 0], trace[iteration, 1] = fun, decrement
        trace[iteration, 2] = math.sqrt(square)
        first = max(iteration - 3, 0)
        if iteration > 0 and trace[first, 1] > 0:
            power = 1.0 / (iteration - first)
            factor = (max(decrement, 1e-300) / trace[first, 1]) ** power
            contraction = min(max(factor, 1e-4), 0.95)
        root = math.sqrt(max(contraction, 0.25) if iteration < 3 else contraction)
        gap = 1.5 * decrement * excess * (1.0 + root) / (1.0 - root)
        if gap <= tol * (abs(fun) + rounding):
            return iteration, 0, gap
        if iteration == most:
            break
        change[:] = 0.0
        for j in range(p):
            for i in range(n):
                change[i] += step[j] * z[j, i]
        for i in range(n):
            change[i] *= -y[i]
        at_w, at_step, both = 0.0, 0.0, 0.0
        for j in range(p):
            at_w += 0.5 * alpha[j] * w[j] * w[j]
            both += alpha[j] * w[j] * step[j]
            at_step += alpha[j] * step[j] * step[j]
        penalty = (at_w, both, at_step)
        length = search_length(a, change, y, s, code, width, penalty, fun, slope)
        if length == 0.0:
            return iteration, 2, gap
        for j in range(p):
            theta[iteration + 1, j] = w[j] + length * step[j]
        before, expected = fun, decrement
    return most, 1, gap

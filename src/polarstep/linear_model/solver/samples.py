"""A weighted sample in memory, seen through sums over its rows.

All that the method "whitened" asks of data is here: each question is one pass over the rows, each
answer a sum of what blocks of rows contribute. Blocks go to threads here, to workers in `cluster`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from sklearn.utils import assert_all_finite

from ...losses import MarginLoss
from ...validation import complaint, plus_minus_one
from . import kernels

_FLANK = 0.01  # of the largest curvature, where the slope is full
_SINGLE_FROM = 256  # columns
_GRAM_VALUES = 1 << 17  # values of X that are centred and weighted at a time: 1 MiB


class Sums(NamedTuple):
    """What rows contribute to the loss at (w, b): a = -y (p + b), p = (x - centre)^T w."""

    value: float  # sum of s phi(a)
    by_w: np.ndarray  # its gradient, shape (d,)
    by_b: float
    mean: float  # sum of s p
    square: float  # sum of s p^2

    def __add__(self, other: Any) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Samples:
    """Rows of X with labels -1, +1 and weights, for one loss.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
        float32 or float64, used where it lies.
    y, weight : ndarray, shape (n,)
        float64.
    centre : ndarray, shape (d,)
        What is subtracted from every row, implicitly.
    loss : MarginLoss
    n_threads : int
    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        centre: np.ndarray,
        loss: MarginLoss,
        n_threads: int = 1,
    ) -> None:
        self.X, self.y, self.weight, self.centre, self.loss = X, y, weight, centre, loss
        self.n_threads = n_threads
        self.is_sparse = sp.issparse(X)
        self.n, self.d = X.shape
        self._code: Any = loss.kernel
        bounds = np.linspace(0, self.n, min(n_threads, self.n) + 1).astype(int)
        self._blocks = [
            (slice(start, stop), _for_kernels(X, start, stop)) for start, stop in pairwise(bounds)
        ]
        by_columns = not self.is_sparse and not X.flags.c_contiguous
        self._tile = 512 if by_columns else 256 if self.d < 32 else 64

    @property
    def size(self) -> int:
        """How many values of X a pass reads."""
        return self.X.nnz if self.is_sparse else self.n * self.d

    @property
    def is_compiled(self) -> bool:
        """Whether the loss is one of those that kernels know."""
        return self._code is not None

    def effective_rows(self) -> np.ndarray:
        """How many rows each column's variance rests on, shape (d,).

        Dense: (sum z^2)^2 / sum z^4, z = x - centre, from a thousand rows; sparse: entries that are
        not zero.
        """
        if self.is_sparse:
            counts = np.zeros(self.d, np.int64)
            kernels.counts(_for_kernels(self.X, 0, self.n)[1], counts)
            return counts.astype(float)
        Z = np.square(self.X[:: max(1, self.n // 1_000)] - self.centre)
        fourth = np.square(Z).sum(axis=0)
        few = np.divide(Z.sum(axis=0) ** 2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return few * (self.n / len(Z))

    def categories(self) -> np.ndarray:
        """Where the columns of each category of a sparse X begin; [0] unless it is categorical.

        It is where every row has the same number of entries, each in a range of its own.
        """
        return category_starts(category_ranges(self.X))

    def gram_cost(self, k: int) -> float:
        """About how long `gram` takes, in passes (measured on one core of a recent processor)."""
        if not self.is_sparse:
            return dense_gram_cost(k)
        return csr_gram_cost(k, self.d, self.X.nnz, self._nnz_squares)

    @cached_property
    def _nnz_squares(self) -> float:
        lengths = np.diff(self.X.indptr).astype(float)
        return float(lengths @ lengths)

    def one_against_rest(self, label: float) -> Samples:
        """The same rows with +1 for one of the labels and -1 for the others."""
        y = plus_minus_one(self.y == label)
        return Samples(self.X, y, self.weight, self.centre, self.loss, self.n_threads)

    def with_loss(self, loss: MarginLoss) -> Samples:
        """The same rows for another loss."""
        return Samples(self.X, self.y, self.weight, self.centre, loss, self.n_threads)

    def refuse_what_is_not_finite(self, who: str) -> None:
        """Say where NaN or infinity stands in X.

        Raises
        ------
        ValueError
            Always.
        """
        assert_all_finite(self.X, estimator_name=who, input_name="X")
        got, advice = "numbers whose products overflow", "Rescale the largest columns."
        raise ValueError(complaint(who, "X", "hold numbers of a reasonable size", got, advice))

    def sample(self, m: int, rng: np.random.Generator) -> Samples:
        """About m of the rows at random, half of a fair share at least from each class.

        Their weights make up for it: each class keeps its sum. (Case-control sampling, as in
        Fithian and Hastie 2014.) Of each class one row is drawn from every stretch of rows of
        equal length, which keeps them in order: that is how they lie in memory.
        """
        if self._is_binary:
            classes = [np.flatnonzero(self.y < 0), np.flatnonzero(self.y > 0)]
        else:
            classes = [np.flatnonzero(self.y == k) for k in np.unique(self.y)]
        if not self.weight.all():
            classes = [rows[self.weight[rows] > 0] for rows in classes]
        parts = []
        for rows, count in zip(classes, shares(m, [len(rows) for rows in classes]), strict=True):
            if not count:
                continue
            places = (np.arange(count) + rng.random(count)) * (len(rows) / count)
            chosen = rows[np.minimum(places.astype(np.intp), len(rows) - 1)]
            chosen = chosen[np.append(True, np.diff(chosen) > 0)]  # neighbours may share a row
            weight = self.weight[chosen]
            parts.append((chosen, weight * (self.weight[rows].sum() / weight.sum())))
        rows = np.concatenate([rows for rows, _ in parts])
        order = np.argsort(rows, kind="stable")
        rows, weight = rows[order], np.concatenate([weight for _, weight in parts])[order]
        return Samples(self.X[rows], self.y[rows], weight, self.centre, self.loss, self.n_threads)

    @cached_property
    def _is_binary(self) -> bool:
        """Whether labels are -1 and +1, rather than 0, 1, ... for several classes."""
        return bool(self.y.min() < 0)

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(
        self, w: np.ndarray, b: float, margins: np.ndarray | None = None
    ) -> tuple[Sums, np.ndarray]:
        """The sums at (w, b) and the margins -y (p + b), shape (n,), if those are not known.

        One read of X.
        """
        if margins is None and not w.any():
            margins = -b * self.y
        known = margins is not None
        a = np.empty(self.n) if margins is None else margins
        shift = float(self.centre @ w) if self.is_sparse else 0.0
        work = self._evaluate if self._code is not None else self._evaluate_custom
        parts = self._map(lambda at, X: work(at, X, w, b - shift, a[at], known))
        return self._centred(reduce(Sums.__add__, parts), shift), a

    def project(self, v: np.ndarray, h: float) -> np.ndarray:
        """How the margins change with (w, b) along (v, h): -y ((x - centre)^T v + h). One read."""
        out = np.empty(self.n)
        shift = float(self.centre @ v) if self.is_sparse else 0.0
        self._map(lambda at, X: kernels.project(X, self.centre, v, out[at], self._tile))
        out += h - shift
        out *= -self.y
        return out

    def plane(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        """The loss at margins + t p - h y: value, by t, h, tt, th, hh, shape (6,). Reads no X."""
        if self._code is None:
            return self._plane_custom(margins, p, t, h)
        y, s = self.y, self.weight
        parts = self._map(
            lambda at, _: np.array(
                kernels.plane(margins[at], p[at], y[at], s[at], t, h, *self._code)
            )
        )
        return reduce(np.add, parts)

    def move(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        """margins + t p - h y."""
        return margins + t * p - h * self.y

    def total(self, values: np.ndarray) -> float:
        """The sum of n values."""
        return float(values.sum())

    def root_mean_square(self, values: np.ndarray) -> float:
        """The weighted root mean square of n values."""
        return float(np.sqrt(self.weight @ np.square(values) / self.weight.sum()))

    def curvatures(self, margins: np.ndarray) -> np.ndarray:
        """s |phi''(a)|, shape (n,); where all of it is next to nothing, a little of s |phi'(a)|.

        On its flanks a loss may have a slope but no curvature to speak of (a narrow smooth hinge),
        and a Newton step from there would have no bounds.
        """
        out = np.empty(self.n)
        floor = _FLANK * self.loss.sup_curvature / self.loss.typical_slope
        total, slope = self._curvatures(margins, 0.0, out)
        if total < 0.1 * floor * slope:
            self._curvatures(margins, floor, out)
        return out

    def _curvatures(self, a: np.ndarray, floor: float, out: np.ndarray) -> tuple[float, float]:
        if self._code is not None:
            return kernels.curvatures(a, self.weight, floor, *self._code, out)
        first = self.weight * np.abs(self.loss.dphi(a))
        second = self.weight * np.abs(self.loss.d2phi(a))
        np.maximum(second, floor * first, out=out)
        return float(second.sum()), float(first.sum())

    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """Z^T diag(h) Z for Z = ((X - 1 centre^T) A, 1), shape (k+1, k+1). One read of X.

        A adds columns up: column j into column place[j] of k; place < 0 leaves it out.
        """
        return self._csr_gram(h, place, k) if self.is_sparse else self._dense_gram(h, place, k)

    def squares(self, h: np.ndarray) -> np.ndarray:
        """Sum of h (x - centre)^2 by element, shape (d,). One read of X."""
        q = np.zeros(self.d)
        for at, X in self._blocks:
            kernels.combine_squares(X, self.centre, h[at], q, self._tile)
        if self.is_sparse:
            q += self.centre * (self.centre * h.sum() - 2 * (self.X.T @ h))
        return q

    def settle(
        self, w: np.ndarray, b: float, alpha: np.ndarray, share: float
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Minimise by the weights of the rarest columns of a sparse X, one after the other.

        They are those that have this share of the entries. The loss is a convex one, with the
        penalty sum alpha w^2/2. Returns w, b, and the margins.
        """
        counts = self.effective_rows().astype(np.int64)
        order = np.argsort(counts)
        columns = np.sort(order[np.cumsum(counts[order]) <= share * self.X.nnz])
        starts = np.append(0, np.cumsum(counts[columns]))
        slot = np.full(self.d, -1, np.int32)
        slot[columns] = np.arange(len(columns), dtype=np.int32)
        rows, values = np.empty(starts[-1], np.int64), np.empty(starts[-1])
        X = _for_kernels(self.X, 0, self.n)
        kernels.columns_of_rows(*X, slot, starts[:-1].copy(), rows, values)
        margins = self.project(w, b)
        new, few = w.copy(), w[columns]
        kernels.settle(
            rows, values, starts, self.y, self.weight, alpha[columns], few, *self._code, margins
        )
        new[columns] = few
        return new, b + float(self.centre @ (new - w)), margins

    # ------------------------------------------------------------------ how

    def _map(self, work: Callable[[slice, Any], Any]) -> list[Any]:
        if len(self._blocks) == 1:
            return [work(*self._blocks[0])]
        with ThreadPoolExecutor(len(self._blocks)) as pool:
            return list(pool.map(lambda block: work(*block), self._blocks))

    def _evaluate(
        self, at: slice, X: Any, w: np.ndarray, b: float, a: np.ndarray, known: bool
    ) -> Sums:
        g, y, s = np.zeros(self.d), self.y[at], self.weight[at]
        value, by_b, mean, square = kernels.evaluate(
            X, self.centre, y, s, w, b, *self._code, a, known, g, self._tile
        )
        return Sums(value, g, by_b, mean, square)

    def _evaluate_custom(
        self, at: slice, X: Any, w: np.ndarray, b: float, a: np.ndarray, known: bool
    ) -> Sums:
        y, s, g = self.y[at], self.weight[at], np.zeros(self.d)
        if known:
            p = -y * a - b
        else:
            p = np.empty(len(y))
            kernels.project(X, self.centre, w, p, self._tile)
            a[:] = -y * (p + b)
        mean, square = float(s @ p), float(s @ np.square(p))
        r = s * self.loss.dphi(a)
        r *= -y
        kernels.combine(X, self.centre, r, g, self._tile)
        return Sums(float(s @ self.loss.phi(a)), g, float(r.sum()), mean, square)

    def _centred(self, sums: Sums, shift: float) -> Sums:
        """The sums of a sparse X that was not centred, as if it had been."""
        if not self.is_sparse:
            return sums
        total = float(self.weight.sum())
        g = sums.by_w - self.centre * sums.by_b
        mean = sums.mean - shift * total
        square = sums.square - shift * (2 * sums.mean - shift * total)
        return sums._replace(by_w=g, mean=mean, square=max(square, 0.0))

    def _plane_custom(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        a = margins + t * p - h * self.y
        first = self.weight * self.loss.dphi(a)
        second = self.weight * self.loss.d2phi(a)
        return np.array(
            [
                self.weight @ self.loss.phi(a), first @ p, -(first @ self.y),
                second @ np.square(p), -(second @ (p * self.y)), second.sum(),
            ]
        )  # fmt: skip

    def _dense_gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        # Of a dense X columns are left out, not added up.
        columns = slice(None) if k == self.d else np.argsort(place, kind="stable")[self.d - k :]
        centre = self.centre[columns]
        # A metric need not be exact: many columns are multiplied in single precision, each in units
        # in which it is about 1.
        single = k >= _SINGLE_FROM
        kind: type[np.floating] = np.float32 if single else np.float64
        syrk = la.blas.ssyrk if single else la.blas.dsyrk
        top = float(h.max()) if single else 1.0
        if single:
            few = self.X[:: max(1, self.n // 500), columns] - centre
            unit = np.sqrt(np.square(few).mean(axis=0))
            unit[unit == 0] = 1.0
        root = np.sqrt(h / top) if top > 0 else np.zeros(self.n)
        step = max(32, _GRAM_VALUES // (k + 1))
        rows = np.empty((min(step, self.n), k + 1), kind)
        G = np.zeros((k + 1, k + 1), kind, order="F")
        for start in range(0, self.n, step):
            at = slice(start, min(start + step, self.n))
            part = rows[: at.stop - at.start]
            np.subtract(self.X[at, columns], centre, out=part[:, :-1], casting="same_kind")
            if single:
                part[:, :-1] /= unit
            part[:, -1] = 1.0
            part *= root[at, None]
            G = syrk(1.0, part.T, beta=1.0, c=G, overwrite_c=True)
        if single:
            unit = np.append(unit, 1.0)
            G = G.astype(np.float64) * (top * np.outer(unit, unit))
        return _mirrored(G)

    def _csr_gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        X = _for_kernels(self.X, 0, self.n)
        triangle = np.zeros((k + 1, k + 1))
        if k == self.d:
            kernels.csr_gram(*X, h, triangle)
        elif k == 1:
            z = np.empty(self.n)
            kernels.project(X, self.centre, (place >= 0).astype(float), z, self._tile)
            triangle[0] = h @ np.square(z), h @ z
            triangle[1, 1] = h.sum()
        else:
            kernels.csr_gram_of_sums(*X, h, place, triangle)
        G = _mirrored(triangle)
        inside = place >= 0
        c = np.bincount(place[inside], self.centre[inside], k)
        t, total = G[:k, k].copy(), G[k, k]
        G[:k, :k] += np.outer(c, c * total - t) - np.outer(t, c)
        G[:k, k] = G[k, :k] = t - c * total
        return G


def shares(m: int, sizes: list[int]) -> list[int]:
    """About m rows from K classes of these sizes: in proportion, but m/(2 K) at least."""
    n, least = sum(sizes), m // (2 * len(sizes))
    return [min(size, max(round(m * size / n), least)) for size in sizes]


def dense_gram_cost(k: int) -> float:
    """`Samples.gram_cost` of a dense X."""
    return 2.0 + k / (50.0 if k >= _SINGLE_FROM else 18.0)


def csr_gram_cost(k: int, d: int, nnz: float, squares: float) -> float:
    """That of a sparse X with nnz entries; the squares of their numbers in each row add up so."""
    return 1.0 + (0.15 if k == d else 0.3) * min(squares / max(nnz, 1), k)


def category_ranges(X: Any) -> np.ndarray | None:
    """The least and the largest column of the first entries of all rows, of the second ones, ...

    Shape (2, r); None where rows differ in their number r of entries.
    """
    lengths = np.diff(X.indptr)
    r = int(lengths[0])
    if not 1 < r <= 200 or (lengths != r).any():
        return None
    columns = X.indices[X.indptr[0] : X.indptr[-1]].reshape(-1, r)
    return np.array([columns.min(axis=0), columns.max(axis=0)])


def category_starts(ranges: np.ndarray | None) -> np.ndarray:
    """Where categories begin, if the ranges are apart; else [0]."""
    if ranges is None or not (ranges[1, :-1] < ranges[0, 1:]).all():
        return np.zeros(1, int)
    return np.append(0, ranges[0, 1:]).astype(int)


def _mirrored(G: np.ndarray) -> np.ndarray:
    """The symmetric matrix of which one triangle is given, the other zero."""
    return G + G.T - np.diag(np.diag(G))


def _for_kernels(X: Any, start: int, stop: int) -> Any:
    """Rows start to stop of X in the form that kernels take."""
    if not sp.issparse(X):
        return X[start:stop]
    kinds = {np.dtype(np.int32): np.uint32, np.dtype(np.int64): np.uint64}
    indices = X.indices.view(kinds[X.indices.dtype])
    indptr = X.indptr[start : stop + 1].view(kinds[X.indptr.dtype])
    return X.data, indices, indptr

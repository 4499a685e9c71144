"""The metrics of the models of a block, from all rows or from those that matter most.

References
----------
P. Xu, J. Yang, F. Roosta-Khorasani, C. Ré, M. W. Mahoney, "Sub-sampled Newton methods with
non-uniform sampling", NeurIPS 2016.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..solver.metric import ENOUGH_ROWS
from .families import Softmax
from .preconditioner import (
    DiagonalMetric,
    FullMetric,
    ModelMetric,
    Preconditioner,
    ScaledMetric,
    SoftmaxHessian,
    class_metrics,
)
from .problem import BlockProblem, NotFinite
from .rows import BlockRows

_NEGLIGIBLE = 1e-3  # curvature of a row, in units of the mean, that a metric leaves out
_FEW_ROWS = 2_000  # up to here no row is left out, because it may be alone in its direction
_FIRST_ROWS = 10_000  # rows of second moments if the rows are not in memory
_PROBES = 300  # rows on which the curvatures of models are compared
_NEAR = 0.3  # relative difference up to which curvatures are shared


class Choice(NamedTuple):
    """A kind of metric and a number of rows.

    Attributes
    ----------
    full : bool
        Whether all blocks of the Hessian are computed.
    rows : int
    shared : bool
        Whether models that differ only in their splits share one metric.
    """

    full: bool
    rows: int
    shared: bool = False


def make_metrics(
    problem: BlockProblem,
    rows: BlockRows,
    theta: np.ndarray,
    which: np.ndarray,
    choice: Choice,
    rng: np.random.Generator,
) -> list[ModelMetric]:
    """Return the metrics of some models at theta (b, k, p), from rows in memory.

    If there are more rows than the choice asks for, those of large curvature are preferred. In a
    shared metric, models whose points are close to each other have the second moments of one of
    them, with their own penalty. The splits differ then as much as two subsamples do.
    """
    if not choice.shared:
        return _metrics(problem, rows, theta, which, np.arange(len(which)), choice, rng)
    order = np.argsort(problem.models.alike[which], kind="stable")
    anchor = _anchors(problem, rows, theta[order], which[order])
    metrics = _metrics(problem, rows, theta[order], which[order], anchor, choice, rng)
    return [metrics[at] for at in np.argsort(order)]


def _anchors(
    problem: BlockProblem, rows: BlockRows, theta: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """Return for each model the position of the model whose curvatures it may use, shape (b,)."""
    at = np.unique(np.linspace(0, rows.n - 1, _PROBES).astype(np.intp))
    models, weights = problem.models.take(which), np.ones((len(rows.weights), len(at)))
    scores = rows.scores(theta, problem.intercept, at)
    h = problem.family.curvatures(scores, rows.codes[at], weights, models)
    anchor, last = np.arange(len(which)), 0
    for b in range(1, len(which)):
        is_near = np.abs(h[b] - h[last]).sum() <= _NEAR * h[last].sum()
        if models.positive[b] == models.positive[last] and is_near:
            anchor[b] = last
        else:
            last = b
    return anchor


def _metrics(
    problem: BlockProblem,
    rows: BlockRows,
    theta: np.ndarray,
    which: np.ndarray,
    anchor: np.ndarray,
    choice: Choice,
    rng: np.random.Generator,
) -> list[ModelMetric]:
    """Return a metric for each model, with the second moments of its anchor and its own penalty.

    Models with the same anchor and nearly the same penalty share the metric.
    """
    family, intercept, columns = problem.family, problem.intercept, problem.columns
    own = np.flatnonzero(anchor == np.arange(len(which)))
    models, ridge = problem.models.take(which), problem.ridge(which)
    diagonals = {}
    counts = rows.matrix.effective_rows()
    exact = rows.n == problem.rows.n and choice.rows >= rows.n
    if not choice.full and ((not exact and counts.min() < ENOUGH_ROWS) or not columns.all_single):
        squares = problem.rows.curvature_squares(family, models.take(own), theta[own], intercept)
        diagonals = dict(zip(own.tolist(), squares, strict=True))
        problem.passes += len(own) / len(problem.models)
    moments: dict[int, Any] = {}
    for b in own.tolist():
        one = models.take(np.array([b]))
        scores = rows.scores(theta[b : b + 1], intercept)
        p = family.probabilities(scores)[0] if isinstance(family, Softmax) else scores[0]
        h = family.curvatures(scores, rows.codes, rows.weights, one)[0]
        at, factor = _important_rows(h, rows, choice.rows, rng)
        part = rows if at is None else rows.take(at, factor)
        if choice.full:
            Z, s = part.centred_array(intercept), part.weights[one.split[0]]
            moments[b] = SoftmaxHessian(Z, p if at is None else p[:, at], s)
            continue
        h = h if at is None else h[:, at] * factor
        moments[b] = [
            part.matrix.gram(np.ascontiguousarray(row), columns.place, columns.size) for row in h
        ]
    metrics: dict[tuple[int, int], ModelMetric] = {}
    keys = list(zip(anchor.tolist(), problem.models.alike[which].tolist(), strict=True))
    for b, (a, group) in enumerate(keys):
        if (a, group) in metrics:
            continue
        metrics[a, group] = (
            FullMetric(moments[a], ridge[b])
            if choice.full
            else class_metrics(
                moments[a], columns, ridge[b], intercept,
                diagonals.get(a), None if exact else counts,
            )
        )  # fmt: skip
    return [metrics[key] for key in keys]


def _important_rows(
    h: np.ndarray, rows: BlockRows, m: int, rng: np.random.Generator
) -> tuple[np.ndarray | None, Any]:
    """Draw about m rows with probabilities in proportion to their curvature and squared length.

    This is the sampling by block norm squares of Xu et al. (2016).

    Returns
    -------
    at : ndarray of int, or None for all rows
    factor : ndarray
        The factors by which their weights have to be multiplied.
    """
    importance = h.sum(axis=0) * rows.squared_lengths
    n = len(importance)
    total = importance.sum()
    if not total > 0 or (m >= n and n <= _FEW_ROWS):
        return None, None
    if m >= n:
        at = np.flatnonzero(importance >= _NEGLIGIBLE * total / n)
        most = 0.3 if rows.is_sparse else 0.8  # A copy of sparse rows costs as much as their Gram.
        return (None, None) if len(at) > most * n else (at, np.ones(len(at)))
    chance = np.minimum(1.0, importance * (m / total))
    for _ in range(3):  # rows that are certain leave room for others
        certain = chance >= 1.0
        room, rest = m - certain.sum(), importance[~certain].sum()
        if room <= 0 or rest <= 0:
            break
        chance = np.where(certain, 1.0, np.minimum(1.0, importance * (room / rest)))
    at = np.flatnonzero(rng.random(n) < chance)
    return at, 1.0 / chance[at]


def first_metrics(problem: BlockProblem, theta: np.ndarray) -> Preconditioner:
    """Return the metrics at a start without weights, all from one matrix of second moments."""
    columns, models = problem.columns, problem.models
    rows, curvature = first_rows(problem), first_curvatures(problem, theta)
    weight = rows.weights.mean(axis=0)
    G = rows.matrix.gram(weight, columns.place, columns.size)
    if not np.isfinite(G).all():
        raise NotFinite
    diagonal = None if columns.all_single else rows.matrix.squares(weight)
    mean, ridge = curvature.mean(axis=1), problem.ridge(np.arange(len(models)))
    metrics: list[ModelMetric] = []
    known: dict[tuple[float, float], ModelMetric] = {}
    for b, h in enumerate(mean):
        key = (float(models.alpha[b]), float(h))
        if key not in known or len(models) == 1:
            one = class_metrics(
                [G * h], columns, ridge[b], problem.intercept,
                None if diagonal is None else diagonal[None] * h,
            )  # fmt: skip
            known[key] = ScaledMetric(one.parts[0], curvature[b] / h)
        metrics.append(known[key])
    return Preconditioner(metrics, problem.family)


def diagonal_metrics(problem: BlockProblem, theta: np.ndarray) -> Preconditioner:
    """Return the square roots of the diagonals of the Hessians at a start without weights.

    Conjugate gradients need fewer products with them than with the diagonals, if the columns are as
    uneven as those of text.
    """
    rows, curvature = first_rows(problem), first_curvatures(problem, theta)
    squares = rows.matrix.squares(rows.weights.mean(axis=0))
    metrics: list[ModelMetric] = []
    for h, ridge in zip(curvature, problem.ridge(np.arange(len(theta))), strict=True):
        root = np.sqrt(h[:, None] * squares + ridge)
        if problem.intercept:
            root = np.column_stack([root, np.sqrt(h)])
        metrics.append(DiagonalMetric(root))
    return Preconditioner(metrics, problem.family)


def first_rows(problem: BlockProblem) -> BlockRows:
    """Return the rows for the metrics at the start: all of them if they are in memory."""
    rows: BlockRows | None = problem.rows.in_memory()
    if rows is None:
        rows = problem.rows.subsample(_FIRST_ROWS, np.random.default_rng(0))
    return rows


def first_curvatures(problem: BlockProblem, theta: np.ndarray) -> np.ndarray:
    """Return the second derivatives of the loss where all weights are zero, shape (B, k)."""
    scores = np.zeros((*theta.shape[:2], 1))
    if problem.intercept:
        scores[:, :, 0] = theta[:, :, -1]
    # The label does not matter to the curvature of a convex loss at a score of zero.
    code, weight = np.zeros(1, np.intp), np.ones((int(problem.models.split.max()) + 1, 1))
    curvatures: np.ndarray = problem.family.curvatures(scores, code, weight, problem.models)
    return curvatures[:, :, 0]

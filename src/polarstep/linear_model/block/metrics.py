"""Which metric a model of a block gets, and from how many rows, by an estimate of the time.

References
----------
P. Xu, J. Yang, F. Roosta-Khorasani, C. Ré, M. W. Mahoney, "Sub-sampled Newton methods with
non-uniform sampling", NeurIPS 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solver.metric import ENOUGH_ROWS
from .convergence import BlockConvergence
from .descent import State
from .families import Softmax
from .preconditioner import FullMetric, ModelMetric, Preconditioner, class_metrics
from .problem import BlockProblem, NotFinite
from .rows import BlockRows

_MOST_FULL = 1_200  # largest width of a Hessian of all blocks
_PRODUCT, _SINGLE_PRODUCT = 3e-11, 1.2e-11  # seconds of a product and sum in matrix products
_SPARSE_PRODUCT = 4e-10  # seconds of a product and sum with an entry of a sparse X
_SCORE = 4e-9  # seconds of the loss of one score
_FAR = 0.1  # relative suboptimality above which f is not nearly quadratic
_NEWTON_RATE = 0.3  # contraction of Newton's method where f is not nearly quadratic
_CANDIDATES = 4  # rows from which one row is chosen by its curvature
_NEGLIGIBLE = 1e-3  # curvature of a row, in units of the mean, that a metric leaves out
_ITERATION = 4e-4  # seconds of an iteration apart from its read of X
_FIRST_ROWS = 10_000  # rows of second moments if the rows are not in memory
_MOST_BYTES = 1e9  # memory of the metrics of all models
_CALL = 3e-5  # seconds of the calls for one Gram matrix


@dataclass(frozen=True)
class Choice:
    """A kind of metric and a number of rows.

    Attributes
    ----------
    full : bool
        Whether all blocks of the Hessian are computed.
    rows : int
    """

    full: bool
    rows: int


def pass_seconds(problem: BlockProblem) -> float:
    """Estimate the time of a read of X for one model."""
    n, k = problem.rows.n, problem.n_outputs
    product = _SPARSE_PRODUCT if problem.rows.is_sparse else _PRODUCT
    return k * (2.0 * problem.rows.size * product + n * _SCORE)


def metric_seconds(problem: BlockProblem, choice: Choice) -> float:
    """Estimate the time of the metric of one model."""
    m, k, p = choice.rows, problem.n_outputs, problem.columns.size + 1
    if choice.full:
        width = k * p
        rate = _SINGLE_PRODUCT if width >= 256 else _PRODUCT
        return 0.5 * m * width**2 * rate + 0.5 * m * width * p * rate + width**3 * _PRODUCT / 3
    if problem.rows.is_sparse:
        share = m / problem.rows.n * problem.rows.gram_cost(problem.columns.size)
        return k * (share * problem.rows.size * 1e-9 + p**3 * _PRODUCT / 3)
    return k * (0.5 * m * p**2 * _PRODUCT + m * p * 2e-9 + p**3 * _PRODUCT / 3 + _CALL)


def metric_bytes(problem: BlockProblem, full: bool) -> float:
    """Return the memory of the metrics of all models."""
    k, p = problem.n_outputs, problem.columns.size + 1
    return 8.0 * len(problem.models) * ((k * p) ** 2 if full else k * p**2)


def can_be_full(problem: BlockProblem) -> bool:
    """Return whether the Hessian has several blocks and is small."""
    return (
        isinstance(problem.family, Softmax)
        and problem.columns.all_single
        and problem.n_outputs * problem.width <= _MOST_FULL
    )


def expected_contraction(problem: BlockProblem, choice: Choice) -> float:
    """Estimate the factor by which a step reduces the decrement near the minimum."""
    sampling = problem.columns.size / choice.rows if choice.rows < problem.rows.n else 0.0
    if choice.full:
        return min(max(2.0 * sampling * np.sqrt(problem.n_outputs), 1e-3), 0.9)
    return min(max(sampling, 1e-3 if problem.n_outputs == 1 else 0.2), 0.9)


def make_metrics(
    problem: BlockProblem,
    rows: BlockRows,
    theta: np.ndarray,
    which: np.ndarray,
    choice: Choice,
    rng: np.random.Generator,
) -> list[ModelMetric]:
    """Return the metrics of some models at theta (b, k, p), from rows in memory.

    If there are more rows than the choice asks for, those of large curvature are preferred.
    """
    family, intercept, columns = problem.family, problem.intercept, problem.columns
    models, ridge = problem.models.take(which), problem.ridge(which)
    diagonals = None
    counts = rows.matrix.effective_rows()
    exact = rows.n == problem.rows.n and choice.rows >= rows.n
    if not choice.full and ((not exact and counts.min() < ENOUGH_ROWS) or not columns.all_single):
        diagonals = problem.rows.curvature_squares(family, models, theta, intercept)
        problem.passes += len(which) / len(problem.models)
    metrics: list[ModelMetric] = []
    for b in range(len(which)):
        one = models.take(np.array([b]))
        scores = rows.scores(theta[b : b + 1], intercept)
        p = family.probabilities(scores)[0] if isinstance(family, Softmax) else scores[0]
        h = family.curvatures(scores, rows.codes, rows.weights, one)[0]
        at, factor = _important_rows(h, rows, choice.rows, rng)
        part = rows if at is None else rows.take(at, factor)
        if choice.full:
            s = part.weights[one.split[0]]
            Z = part.centred_array(intercept)
            metrics.append(FullMetric(Z, p if at is None else p[:, at], s, ridge[b]))
            continue
        h = h if at is None else h[:, at] * factor
        grams = [
            part.matrix.gram(np.ascontiguousarray(row), columns.place, columns.size) for row in h
        ]
        metrics.append(
            class_metrics(
                grams, columns, ridge[b], intercept,
                None if diagonals is None else diagonals[b], None if exact else counts,
            )
        )  # fmt: skip
    return metrics


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
    if not total > 0:
        return None, None
    if m >= n:
        at = np.flatnonzero(importance >= _NEGLIGIBLE * total / n)
        return (None, None) if len(at) > 0.8 * n else (at, np.ones(len(at)))
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
    rows = problem.rows.in_memory()
    if rows is None:
        rows = problem.rows.subsample(_FIRST_ROWS, np.random.default_rng(0))
    weight = rows.weights.mean(axis=0)
    G = rows.matrix.gram(weight, columns.place, columns.size)
    if not np.isfinite(G).all():
        raise NotFinite
    diagonal = None if columns.all_single else rows.matrix.squares(weight)
    scores = np.zeros((*theta.shape[:2], 1))
    if problem.intercept:
        scores[:, :, 0] = theta[:, :, -1]
    # The label does not matter to the curvature of a convex loss at a score of zero.
    curvature = problem.family.curvatures(
        scores, rows.codes[:1], np.ones((len(rows.weights), 1)), models
    )[:, :, 0]
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
            factors = curvature[b] / h
            known[key] = type(one)([one.parts[0].times(float(f)) for f in factors])
        metrics.append(known[key])
    return Preconditioner(metrics, problem.family)


class BlockRenewal:
    """A rule that decides at every iteration which models get a new metric.

    A metric is renewed if that is expected to save more time than it costs.

    Parameters
    ----------
    problem : BlockProblem
    choice : Choice or None
        The metric with which the models start; None for second moments without weights.
    tol : float
        The relative suboptimality at which the run stops.
    rng : numpy.random.Generator
    """

    def __init__(
        self, problem: BlockProblem, choice: Choice | None, tol: float, rng: np.random.Generator
    ) -> None:
        self.problem, self.tol, self.rng = problem, tol, rng
        B = len(problem.models)
        self.age, self.choice = np.zeros(B, int), [choice] * B
        everything = problem.rows.in_memory()
        self.samples: dict[int, BlockRows] = (
            {} if everything is None else {everything.n: everything}
        )
        n, largest = problem.rows.n, problem.rows.largest_subsample
        least = max(500, 2 * problem.columns.size)
        sizes = [m for m in (n // 64, n // 16, n // 4) if least <= m < largest]
        sizes.append(largest)
        kinds = [False, True] if can_be_full(problem) else [False]
        self.options = [
            Choice(full, m)
            for full in kinds
            for m in sizes
            if metric_bytes(problem, full) <= _MOST_BYTES
        ]
        self.seconds = {option: metric_seconds(problem, option) for option in self.options}
        self.heavy_tailed = (
            everything is not None and everything.matrix.effective_rows().min() < ENOUGH_ROWS
        )
        self.can_repair = everything is not None and bool(self.options)
        self.one_pass = pass_seconds(problem) + _ITERATION / B

    def __call__(
        self, state: State, active: np.ndarray, convergence: BlockConvergence
    ) -> tuple[np.ndarray, list[ModelMetric]] | None:
        """Return the positions of the active models that get new metrics, and these; or None."""
        wanted: dict[Choice, list[int]] = {}
        self.age[active] += 1
        for at, b in enumerate(active):
            if convergence.exact[at]:
                continue
            option = self._best(b, convergence, at, state.fun[b])
            if option is not None:
                wanted.setdefault(option, []).append(at)
                self.age[b], self.choice[b] = 0, option
        if not wanted:
            return None
        which: list[int] = []
        metrics: list[ModelMetric] = []
        for option, places in wanted.items():
            models = active[places]
            metrics += make_metrics(
                self.problem, self.rows(option.rows), state.theta[models], models, option, self.rng
            )
            which += places
        return np.array(which), metrics

    def repair(self, state: State, which: np.ndarray) -> list[ModelMetric]:
        best = self.options[-1]
        self.age[which] = 0
        for b in which:
            self.choice[b] = best
        rows = self.rows(best.rows)
        return make_metrics(self.problem, rows, state.theta[which], which, best, self.rng)

    def rows(self, m: int) -> BlockRows:
        """Return a few times m rows, of which those of large curvature are chosen."""
        n = self.problem.rows.n
        if self.problem.rows.in_memory() is None:
            m = min(_CANDIDATES * m, n)
        else:
            m = n if _CANDIDATES * m >= n or self.heavy_tailed else _CANDIDATES * m
        if m not in self.samples:
            self.samples[m] = self.problem.rows.subsample(m, self.rng)
        return self.samples[m]

    def _best(self, b: int, convergence: BlockConvergence, at: int, fun: float) -> Choice | None:
        """Return the metric that model b should get now, or None to keep its metric."""
        now, current = convergence.contraction[at], self.choice[b]
        gap = convergence.gap[at] / float(self.problem.magnitude(np.array(fun)))
        if gap > _FAR:
            return self._best_far(now, np.log(gap / _FAR) + 1.0, current)
        log_reduction = np.log(max(gap / self.tol, 2.0))
        if current is not None and self.age[b] < 3:
            return None

        def seconds(contraction: float) -> float:
            return log_reduction / -np.log(contraction) * self.one_pass

        best, least = None, seconds(now) - self.one_pass
        for option in self.options:
            rate = expected_contraction(self.problem, option)
            if current is not None and current.full and not option.full:
                continue
            if current is not None and current.full == option.full:
                if option.rows < current.rows:
                    continue
                rate = max(rate, 0.5 * now * current.rows / option.rows)
            total = self.seconds[option] + seconds(rate)
            if total < least:
                best, least = option, total
        return best

    def _best_far(self, now: float, log_reduction: float, current: Choice | None) -> Choice | None:
        """Return the metric to be renewed at every step while f is far from quadratic."""
        best, least = None, log_reduction / -np.log(max(now, _NEWTON_RATE)) * self.one_pass
        n = self.problem.rows.n
        for option in self.options:
            rate = max(_NEWTON_RATE, expected_contraction(self.problem, option))
            is_hessian = option.rows == n and (option.full or self.problem.n_outputs == 1)
            if current is not None and current.full and not option.full:
                continue
            if current is not None and current.full == option.full and not is_hessian:
                if option.rows < current.rows:
                    continue
                rate = max(rate, now * (current.rows / option.rows) ** 0.25)
            total = log_reduction / -np.log(rate) * (self.one_pass + self.seconds[option])
            if total < least:
                best, least = option, total
        return best

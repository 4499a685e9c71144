"""Which metric a model of a block gets, and from how many rows, by an estimate of the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solver.metric import ENOUGH_ROWS
from .descent import BlockConvergence, State
from .families import Softmax
from .preconditioner import FullMetric, ModelMetric, Preconditioner, class_metrics
from .problem import BlockProblem
from .rows import BlockRows

_MOST_FULL = 1_200  # largest width of a Hessian of all blocks
_PRODUCT, _SINGLE_PRODUCT = 3e-11, 1.2e-11  # seconds of a product and sum in matrix products
_SCORE = 4e-9  # seconds of the loss of one score
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
    return k * (2.0 * problem.rows.size * _PRODUCT + n * _SCORE)


def metric_seconds(problem: BlockProblem, choice: Choice) -> float:
    """Estimate the time of the metric of one model."""
    m, k, p = choice.rows, problem.n_outputs, problem.columns.size + 1
    if choice.full:
        width = k * p
        rate = _SINGLE_PRODUCT if width >= 256 else _PRODUCT
        return 0.5 * m * width**2 * rate + 0.5 * m * width * p * rate + width**3 * _PRODUCT / 3
    if problem.rows.is_sparse:
        share = m / problem.rows.n * problem.rows.matrix.gram_cost(problem.columns.size)
        return k * (share * problem.rows.size * 1e-9 + p**3 * _PRODUCT / 3)
    return k * (0.5 * m * p**2 * _PRODUCT + m * p * 2e-9 + p**3 * _PRODUCT / 3 + _CALL)


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
    problem: BlockProblem, rows: BlockRows, theta: np.ndarray, which: np.ndarray, full: bool
) -> list[ModelMetric]:
    """Return the metrics of some models at theta (b, k, p), from rows in memory."""
    family, intercept, columns = problem.family, problem.intercept, problem.columns
    models, ridge = problem.models.take(which), problem.ridge(which)
    if full:
        assert isinstance(family, Softmax)
        Z = rows.centred_array(intercept)
        return [
            FullMetric(
                Z,
                family.probabilities(theta[b : b + 1] @ Z.T)[0],
                rows.weights[models.split[b]],
                ridge[b],
            )
            for b in range(len(which))
        ]
    counts, diagonals = rows.matrix.effective_rows(), None
    exact = rows.n == problem.rows.n
    if not exact and counts.min() < ENOUGH_ROWS or not columns.all_single:
        diagonals = problem.rows.squares(family, models, theta, intercept)
        problem.passes += len(which) / len(problem.models)
    metrics: list[ModelMetric] = []
    for b in range(len(which)):
        one = models.take(np.array([b]))
        scores = rows.scores(theta[b : b + 1], intercept)
        h = family.curvatures(scores, rows.codes, rows.weights, one)[0]
        grams = [
            rows.matrix.gram(np.ascontiguousarray(row), columns.place, columns.size) for row in h
        ]
        metrics.append(
            class_metrics(
                grams, columns, ridge[b], intercept,
                None if diagonals is None else diagonals[b], None if exact else counts,
            )
        )  # fmt: skip
    return metrics


def first_metrics(problem: BlockProblem, theta: np.ndarray) -> Preconditioner:
    """Return the metrics at a start without weights, all from one matrix of second moments."""
    rows, columns, models = problem.rows, problem.columns, problem.models
    weight = rows.weights.mean(axis=0)
    G = rows.matrix.gram(weight, columns.place, columns.size)
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
        self.samples: dict[int, BlockRows] = {problem.rows.n: problem.rows}
        n = problem.rows.n
        sizes = [m for m in (n // 64, n // 16, n // 4) if m >= max(500, 2 * problem.columns.size)]
        if isinstance(problem.rows, BlockRows):
            sizes.append(n)
        kinds = [False, True] if can_be_full(problem) else [False]
        self.options = [Choice(full, m) for full in kinds for m in sizes]
        self.seconds = {option: metric_seconds(problem, option) for option in self.options}
        self.one_pass = pass_seconds(problem)

    def __call__(
        self, state: State, active: np.ndarray, convergence: BlockConvergence
    ) -> tuple[np.ndarray, list[ModelMetric]] | None:
        """Return the positions of the active models that get new metrics, and these; or None."""
        wanted: dict[Choice, list[int]] = {}
        self.age[active] += 1
        for at, b in enumerate(active):
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
                self.problem, self.rows(option.rows), state.theta[models], models, option.full
            )
            which += places
        return np.array(which), metrics

    def rows(self, m: int) -> BlockRows:
        """Return about m of the rows."""
        if m not in self.samples:
            self.samples[m] = self.problem.rows.subsample(m, self.rng)
        return self.samples[m]

    def _best(self, b: int, convergence: BlockConvergence, at: int, fun: float) -> Choice | None:
        """Return the metric that model b should get now, or None to keep its metric."""
        now, current = convergence.contraction[at], self.choice[b]
        gap = convergence.gap[at] / (self.tol * abs(fun) + 1e-300)
        log_reduction = np.log(max(gap, 2.0))
        if current is not None and self.age[b] < 2:
            return None
        if current is None:
            now = max(now, 0.5) if self.age[b] < 3 else now

        def seconds(contraction: float) -> float:
            return log_reduction / -np.log(contraction) * self.one_pass

        best, least = None, seconds(now) - self.one_pass
        for option in self.options:
            rate = expected_contraction(self.problem, option)
            if current == option:
                # The same metric at a newer point helps as far as the point has moved.
                rate = max(rate, 0.5 * now)
            elif current is not None and current.full == option.full:
                if option.rows < current.rows:
                    continue
                rate = max(rate, 0.5 * now * current.rows / option.rows)
            total = self.seconds[option] + seconds(rate)
            if total < least:
                best, least = option, total
        return best

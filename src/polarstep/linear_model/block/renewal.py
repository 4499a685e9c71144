"""When the models of a block get new metrics, and which ones, by an estimate of the time."""

from __future__ import annotations

import math

import numpy as np

from ..solver.metric import ENOUGH_ROWS
from .convergence import BlockConvergence
from .descent import State
from .families import Softmax
from .metrics import Choice, make_metrics
from .preconditioner import ModelMetric
from .problem import BlockProblem
from .rows import BlockRows

_MOST_FULL = 1_200  # largest width of a Hessian of all blocks
_PRODUCT, _SINGLE_PRODUCT = 3e-11, 1.2e-11  # seconds of a product and sum in matrix products
_SPARSE_PRODUCT = 4e-10  # seconds of a product and sum with an entry of a sparse X
_SCORE = 4e-9  # seconds of the loss of one score
_FAR = 0.1  # relative suboptimality above which f is not nearly quadratic
_NEWTON_RATE = 0.3  # contraction of Newton's method where f is not nearly quadratic
_CANDIDATES = 4  # rows from which one row is chosen by its curvature
_ITERATION = 4e-4  # seconds of an iteration apart from its read of X
_MOST_BYTES = 1e9  # memory of the metrics of all models
_CALL = 3e-5  # seconds of the calls for one Gram matrix


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


def metric_bytes(problem: BlockProblem, choice: Choice) -> float:
    """Return the memory of the metrics of all models."""
    k, p, models = problem.n_outputs, problem.columns.size + 1, problem.models
    n_metrics = int(models.alike.max()) + 1 if choice.shared else len(models)
    return 8.0 * n_metrics * ((k * p) ** 2 if choice.full else k * p**2)


def can_be_full(problem: BlockProblem) -> bool:
    """Return whether the Hessian has several blocks and is small."""
    return (
        isinstance(problem.family, Softmax)
        and problem.columns.all_single
        and problem.n_outputs * problem.width <= _MOST_FULL
    )


def expected_contraction(problem: BlockProblem, choice: Choice) -> float:
    """Estimate the factor by which a step reduces the decrement near the minimum."""
    # The Hessians of two folds, or of bootstrap samples, differ like those of two subsamples.
    is_sample = choice.shared or choice.rows < problem.rows.n
    sampling = problem.columns.size / choice.rows if is_sample else 0.0
    if choice.full:
        return min(max(2.0 * sampling * np.sqrt(problem.n_outputs), 1e-3), 0.9)
    return min(max(sampling, 1e-3 if problem.n_outputs == 1 else 0.2), 0.9)


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
        _, group, size = np.unique(problem.models.alike, return_inverse=True, return_counts=True)
        self.sharing = size[group]
        options = [
            Choice(full, m, shared)
            for shared in ([True, False] if size.max() > 1 else [False])
            for full in kinds
            for m in sizes
        ]
        self.options = [o for o in options if metric_bytes(problem, o) <= _MOST_BYTES]
        self.seconds = {option: metric_seconds(problem, option) for option in self.options}
        self.rates = {option: expected_contraction(problem, option) for option in self.options}
        self.heavy_tailed = (
            everything is not None and everything.matrix.effective_rows().min() < ENOUGH_ROWS
        )
        # A metric of a few columns for each class costs much and gains little: products with the
        # Hessian by conjugate gradients serve such data better.
        self.prefers_products = (
            problem.n_outputs > 1 and problem.rows.is_sparse and not problem.columns.all_single
        )
        self.can_repair = everything is not None and bool(self.options)
        self.one_pass = pass_seconds(problem) + _ITERATION / B

    def __call__(
        self, state: State, active: np.ndarray, convergence: BlockConvergence
    ) -> tuple[np.ndarray, list[ModelMetric]] | None:
        """Return the positions of the active models that get new metrics, and these; or None."""
        if self.prefers_products:
            return None
        self.age[active] += 1
        best = [
            None if convergence.exact[at] else self._best(b, convergence, at, state.fun[b])
            for at, b in enumerate(active)
        ]
        self._offer(best, active, convergence)
        wanted: dict[Choice, list[int]] = {}
        for at, (b, option) in enumerate(zip(active, best, strict=True)):
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

    def _offer(
        self, best: list[Choice | None], active: np.ndarray, convergence: BlockConvergence
    ) -> None:
        """Let the whole group have a shared metric that one of its models gets, where it helps."""
        group = self.problem.models.alike[active]
        offered: dict[int, Choice] = {}
        for g, option in zip(group, best, strict=True):
            if option is not None and option.shared:
                largest = offered.setdefault(g, option)
                if (option.full, option.rows) > (largest.full, largest.rows):
                    offered[g] = option
        for at, (g, b) in enumerate(zip(group, active, strict=True)):
            option, own, current = offered.get(g), best[at], self.choice[b]
            if option is None or convergence.exact[at] or (own is not None and not own.shared):
                continue
            is_due = current is None or (self.age[b] >= 3 and _may_follow(current, option))
            if is_due and self.rates[option] < convergence.contraction[at]:
                best[at] = option

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
        now, current = float(convergence.contraction[at]), self.choice[b]
        gap = float(convergence.gap[at] / self.problem.magnitude(np.asarray(fun)))
        if gap > _FAR:
            return self._best_far(b, now, math.log(gap / _FAR) + 1.0, current)
        log_reduction = math.log(max(gap / self.tol, 2.0))
        if current is not None and self.age[b] < 3:
            return None

        def seconds(contraction: float) -> float:
            return log_reduction / -math.log(contraction) * self.one_pass

        best, least = None, seconds(now) - self.one_pass
        for option in self.options:
            if current is not None and not _may_follow(current, option):
                continue
            rate = self.rates[option]
            if current is not None and _is_same_kind(current, option):
                rate = max(rate, 0.5 * now * current.rows / option.rows)
            total = self._cost(option, b) + seconds(rate)
            if total < least:
                best, least = option, total
        return best

    def _best_far(
        self, b: int, now: float, log_reduction: float, current: Choice | None
    ) -> Choice | None:
        """Return the metric to be renewed at every step while f is far from quadratic."""
        best, least = None, log_reduction / -math.log(max(now, _NEWTON_RATE)) * self.one_pass
        n = self.problem.rows.n
        for option in self.options:
            rate = max(_NEWTON_RATE, self.rates[option])
            is_hessian = option.rows == n and (option.full or self.problem.n_outputs == 1)
            is_hessian &= not option.shared
            if current is not None and not _may_follow(current, option, is_hessian):
                continue
            if current is not None and _is_same_kind(current, option) and not is_hessian:
                rate = max(rate, now * (current.rows / option.rows) ** 0.25)
            total = log_reduction / -math.log(rate) * (self.one_pass + self._cost(option, b))
            if total < least:
                best, least = option, total
        return best

    def _cost(self, option: Choice, b: int) -> float:
        """Return the time of a metric of model b, or of its share of one."""
        return self.seconds[option] / (self.sharing[b] if option.shared else 1)


def _is_same_kind(current: Choice, option: Choice) -> bool:
    """Return whether two metrics differ in their numbers of rows alone."""
    return current.full == option.full and current.shared == option.shared


def _may_follow(current: Choice, option: Choice, is_hessian: bool = False) -> bool:
    """Return whether a metric can be expected to be better than the current one.

    A Hessian may, whatever its number of rows is, because it is computed at another point.
    """
    if current.full != option.full:
        return option.full
    if option.shared and not current.shared:
        return False
    return is_hessian or option.rows >= current.rows

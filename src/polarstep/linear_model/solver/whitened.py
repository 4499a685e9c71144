"""The method "whitened": L-BFGS in the metric of the data, from a start that is nearly right.

For Gaussian data every critical point lies on the line S^-1 u, and one number, the length, is left
to be found (sections 1 and 2 of the method; Erdogdu, Bayati and Dicker 2016 call it scaled least
squares). Other data are close enough to that for a start:

1. On a few thousand rows: the direction S^-1 u, then length and intercept by Newton's method on
   cached margins.
2. On ever more rows, up to a twentieth or so of them (of sparse ones at once on a sixth): L-BFGS in
   the metric of a weighted Gram matrix, to the accuracy that so many rows can have.
3. On all rows: the weights of rare columns, one by one; then the same as before, in the metric of
   the last subsample, one read of X a step. Where that is slow, a Gram matrix of more rows replaces
   the metric, if it pays.

Most of the speed comes from 2 and 3: the subsample's Hessian differs from the true one by about
sqrt(d/m) for m rows, whatever the condition number, so that each read of X gains a factor of about
m/d. Subsampled Newton methods: Erdogdu and Montanari 2015; Roosta-Khorasani and Mahoney 2019.
L-BFGS: Liu and Nocedal 1989.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...losses import margin_loss
from ...methods.objectives import Halfspace
from ...result import Progress, Result, Status
from ...validation import complaint, vector, whole_number
from ..centring import shift_far_columns
from .lbfgs import Rate, descend
from .metric import ENOUGH_ROWS, Metric
from .problem import Plane, Point, Problem, finite
from .samples import Samples

_FEWEST_ROWS = 2_000  # of a subsample
_SMALL = 300_000  # values of X, of which a pass takes no time to speak of
_AFFORDABLE = 8.0  # passes, for a metric of all rows


def subsample_sizes(problem: Problem) -> list[int]:
    """How many rows the stages before the last have.

    The metric of m rows contracts by about k/m a pass (the edges of the spectrum of a sample
    covariance, (1 +- sqrt(k/m))^2, put into the rate of conjugate gradients): the best m balances
    the passes that it saves against its Gram matrix.
    """
    n, k = problem.samples.n, problem.coarse.size
    if not problem.coarse.is_all:
        return []
    fewest = max(_FEWEST_ROWS, 4 * k)
    if problem.samples.is_sparse and problem.gram_cost(n) <= _AFFORDABLE:
        m = max(n // 6, fewest)  # for a start only: a metric of all rows comes after
        return [m] if m <= n // 2 else []
    sizes = [m for m in (n // 2**i for i in range(1, 12)) if m >= fewest]
    if not sizes:
        return []
    cost = {m: 1.5 * problem.gram_cost(m) + 18.0 / np.log(m / k) + 3.0 * m / n for m in sizes}
    large = min(sizes, key=lambda m: cost[m])
    small = max(large // 8, fewest)
    return [small, large] if small <= large // 2 else [large]


def stages_of(problem: Problem, rng: np.random.Generator) -> list[Problem]:
    """The problem on subsamples, nested and growing, and on all rows."""
    problem = problem.in_row_space()
    stages = [problem]
    for m in reversed(subsample_sizes(problem)):
        stages.insert(0, stages[0].subsample(m, rng))
    return stages


def solve(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    observe: Callable[[Point, Rate], None] | None = None,
) -> tuple[Point, str]:
    """Minimise f from theta, or from the line S^-1 u, stage by stage."""
    *few, problem = stages
    n, metric = problem.samples.n, None
    if theta is None:
        theta, metric = start(stages[0])
        for now in few:
            accuracy = 0.05 * now.coarse.size / now.samples.n  # of so many rows
            renew = renewal(now, now.samples.n, rng, accuracy)
            point, _ = descend(now, now.evaluate(theta), metric, accuracy, 30, better=renew)
            theta = point.theta
    point = finite(problem.settle(theta) if few else problem.evaluate(theta))
    rows = few[-1] if few else None
    if rows is not None and rows.seen.min() < ENOUGH_ROWS and problem.gram_cost(n) <= _AFFORDABLE:
        rows = None  # rare columns: their correlations need all rows
    if few or metric is None or problem.coarse.is_all:  # else it is all but a diagonal: S will do
        metric = problem.metric(point, rows)
    renew = renewal(problem, n if rows is None else rows.samples.n, rng, tol)
    return descend(problem, point, metric, tol, max_iter, observe=observe, better=renew)


def start(problem: Problem) -> tuple[np.ndarray, Metric]:
    """The best point on the line S^-1 u, for Gaussian data the optimum, and the metric S there."""
    samples, (G, diagonal) = problem.samples, problem.moments
    zero = finite(problem.evaluate(np.zeros(samples.d + problem.intercept)))
    # Where z is Gaussian the Hessian is E phi'' S. At first the largest phi'' must do.
    largest = samples.loss.sup_curvature
    scaled = None if diagonal is None else largest * diagonal
    penalty, dense = problem.l2_penalty, problem.dense_penalty
    S = Metric(largest * G, problem.coarse, penalty, problem.intercept, scaled, None, dense)
    theta, margins = fit_length(problem, zero, -S.solve(zero.gradient))
    return theta, S.times(samples.total(samples.curvatures(margins)) / largest)


def fit_length(problem: Problem, point: Point, p: np.ndarray) -> tuple[np.ndarray, Any]:
    """The best length along p, and intercept, from theta = 0, and the margins there.

    Newton's method on cached margins. A bounded loss has several local optima in the length, so
    for one the search starts at the best of a few.
    """
    f = Plane(problem, point, p)
    t, h = 1.0, 0.0
    if not problem.convex:
        unit = f.samples.root_mean_square(f.change)
        t = min(2.0 ** np.arange(-2, 6) / (unit if unit > 0 else 1.0), key=lambda t: f(t)[0])
    now = f(t, h)
    for _ in range(50):
        dt, dh = newton_step(now, problem.intercept)
        decrement = -0.5 * (now[1] * dt + now[2] * dh)
        if not decrement > 1e-4 * abs(now[0]):
            break
        size = 1.0
        new = f(t + dt, h + dh)
        while not new[0] <= now[0] - 1e-4 * size * decrement and size > 1e-9:
            size *= 0.3
            new = f(t + size * dt, h + size * dh)
        if not new[0] < now[0]:
            break
        t, h, now = t + size * dt, h + size * dh, new
    theta = t * p
    if problem.intercept:
        theta[-1] += h
    return theta, f.samples.move(point.margins, f.change, t, h)


def newton_step(f: np.ndarray, both: bool) -> tuple[float, float]:
    """-H^-1 g of a `Plane`, by t and h or by t alone; negative curvature is turned round."""
    _, ft, fh, ftt, fth, fhh = (float(value) for value in f)
    if not both:
        return -ft / max(abs(ftt), 1e-300), 0.0
    determinant = ftt * fhh - fth * fth
    if ftt > 0 and determinant > 1e-12 * ftt * fhh:
        return (fth * fh - fhh * ft) / determinant, (fth * ft - ftt * fh) / determinant
    values, vectors = np.linalg.eigh([[ftt, fth], [fth, fhh]])
    values = np.maximum(np.abs(values), 1e-14 * np.abs(values).max() + 1e-300)
    dt, dh = -vectors @ (vectors.T @ [ft, fh] / values)
    return float(dt), float(dh)


def renewal(
    problem: Problem, m: int, rng: np.random.Generator, tol: float = 1e-4
) -> Callable[[Point, Rate], Metric | None]:
    """When to replace the metric of m rows, and by that of how many.

    All rows at every step where that is cheap (Newton's method, for small data); else where the
    passes that it can be expected to save are more than it costs.
    """
    n = problem.samples.n
    age = 0
    exact = problem.convex and problem.coarse.is_all  # of all rows, it is Newton's method
    cheap = exact and problem.samples.size <= _SMALL and problem.gram_cost(n) <= 30.0

    def better(point: Point, rate: Rate) -> Metric | None:
        nonlocal m, age
        age += 1
        if age < (1 if cheap else 3) or rate.contraction < 0.05:
            return None
        if cheap:
            m, age = n, 0
            return problem.metric(point)
        digits = np.log(max(rate.gap / (tol * (abs(point.fun) + problem.smallest)), 2.0))

        def passes(contraction: float) -> float:
            return digits / -np.log(contraction)

        def contraction(rows: int) -> float:
            best = 1e-3 if exact else 0.1
            return max(best, min(rate.contraction, 0.5) * m / rows / (2 if rows > m else 1))

        sizes = [rows for rows in (4 * m, n) if m < rows <= n] or [n]
        if sizes == [n] and m == n:
            cost = {n: problem.gram_cost(n) + passes(1e-3 if exact else rate.contraction)}
        else:
            cost = {rows: problem.gram_cost(rows) + passes(contraction(rows)) for rows in sizes}
        rows = min(cost, key=lambda rows: cost[rows])
        if cost[rows] + 1 >= passes(rate.contraction):
            return None
        m, age = rows, 0
        return problem.metric(point, None if rows == n else problem.subsample(rows, rng))

    return better


# --------------------------------------------------------------------------- runs


@dataclass
class Log:
    """What is written down of a run: a row of the trace at every iterate, then the result."""

    problem: Problem
    callback: Callable[[Progress], Any] | None = None
    rows: list[Progress] = field(default_factory=list)
    gap: float = np.nan
    clock: float = field(default_factory=time.perf_counter)

    def __call__(self, point: Point, rate: Rate) -> None:
        self.gap = rate.gap / abs(point.fun) if point.fun else 0.0
        row = Progress(
            iteration=len(self.rows),
            x=self.problem.leave(point.theta),
            fun=point.fun,
            grad_norm=float(np.sqrt(2.0 * max(rate.decrements[-1], 0.0))),
            length=point.length,
            direction_gap=np.nan,
            passes=round(self.problem.passes),
            seconds=time.perf_counter() - self.clock,
        )
        self.rows.append(row)
        if self.callback is not None:
            self.callback(row)

    def result(self, ended: str) -> Result:
        """Return the rows as a result."""
        return Result.from_rows(self.rows, status=Status[ended], method="whitened", gap=self.gap)


def run(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None = None,
) -> Result:
    """`solve`, written down; interrupted it gives the last iterate, if it came to one."""
    log = Log(stages[-1], callback)
    theta = None if theta is None else stages[-1].enter(theta)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _, ended = solve(stages, theta, tol, max_iter, rng, log)
    except (KeyboardInterrupt, StopIteration):
        if not log.rows:
            raise KeyboardInterrupt from None
        ended = "interrupted"
    return log.result(ended)


def minimize_halfspace(
    objective: Halfspace,
    w0: np.ndarray | None,
    max_iter: int,
    tol: float,
    callback: Callable[[Progress], Any] | None,
    *,
    n_restarts: int = 0,
    seed: int = 0,
    n_threads: int = 1,
) -> Result:
    """`minimize` on data: what the objective holds, put to `run`."""
    who, design = "minimize (whitened)", objective.design
    n_restarts = whole_number(n_restarts, who, "n_restarts")
    n_threads = whole_number(n_threads, who, "n_threads", at_least=1)
    rng = np.random.default_rng(whole_number(seed, who, "seed"))
    if objective.max_length < np.inf:
        advice = "Use a length_penalty or an l2_penalty, or one of the paper's methods."
        got = f"{objective.max_length:g}"
        raise ValueError(complaint(who, "max_length", "be infinite", got, advice))
    n, d = design.shape[0], design.n_features
    weight = np.ones(n) if design.weights is None else design.weights
    X, centre = shift_far_columns(design.X, design.mean)
    samples = Samples(X, objective.labels, weight / n, centre, objective.loss, n_threads)
    dense = None
    if objective.length_penalty:
        dense = objective.length_penalty * objective.moments.S[:d, :d]
    problem = Problem(
        samples,
        np.full(d, objective.l2_penalty),
        objective.intercept,
        objective.loss.is_convex,
        dense,
    )
    theta = None if w0 is None else vector(w0, who, "w0", length=d + objective.intercept)
    stages = stages_of(problem, rng)
    result = run(stages, theta, tol, max_iter, rng, callback)
    if n_restarts and not problem.convex:
        result = restart(stages, result, n_restarts, tol, max_iter, rng, callback)
    return result


def restart(
    stages: list[Problem],
    best: Result,
    n_restarts: int,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None = None,
) -> Result:
    """Further runs of a loss that is not convex; the lowest end of all.

    The first starts at the optimum of softplus, the others in random directions, at lengths between
    1 and 10 times the root mean square of the margins.
    """
    samples = stages[-1].samples
    moments = samples.squares(samples.weight)
    unit = np.divide(1.0, np.sqrt(moments), out=np.zeros(samples.d), where=moments > 0)
    for k in range(n_restarts):
        if k == 0:
            convex = [now.with_loss(margin_loss("softplus")) for now in stages]
            theta = solve(convex, None, 1e-3, max_iter, rng)[0].theta
        else:
            w = unit * rng.standard_normal(samples.d)
            length = stages[-1].evaluate(stages[-1].join(w, 0.0)).length
            w *= 10.0 ** rng.random() / max(length, 1e-300)
            theta = stages[-1].join(w, 0.0)
        result = run(stages, stages[-1].leave(theta), tol, max_iter, rng, callback)
        better = result if result.fun < best.fun else best
        if result.status is Status.interrupted:
            return replace(better, status=result.status)
        best = better
    return best

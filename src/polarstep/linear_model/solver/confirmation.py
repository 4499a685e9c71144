"""Whether a run has really converged.

The decrement is measured in a metric. If f has fallen by a large factor since the metric was
computed, as it does where the classes are almost separable, the metric overestimates curvatures and
the decrement says too little. The metric is then renewed before convergence is believed.

A loss that is not convex is flat far from the boundary. There the gradient and with it the
decrement are small although f is far from a minimum, all the more so in the metric of a point where
it was not flat. Before convergence is believed, the metric is renewed, and f is compared along two
directions: the ray through the weights, and the Newton step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...result import Status
from .lbfgs import Convergence, InverseHessian, descend
from .metric import HessianMetric
from .problem import Plane, Point, Problem

_AFFORDABLE = 30.0  # passes that a metric of all rows may cost
_STALE = 0.1  # factor by which a convex f may have fallen since the metric was computed
_CAUTION = 4.5  # ratio of the estimated suboptimality to the decrement before the first steps
_STEPS = (2.0 ** np.arange(-4.0, 16.0)).tolist()
_SMALL = 300_000  # largest number of values of X for which the Hessian itself is decomposed
_FEW_COLUMNS = 200  # and largest number of columns
_LENGTHS = [
    -1.0,
    *(
        2.0 ** np.concatenate([np.arange(-10, -2), np.arange(-2, 2.1, 0.25), np.arange(3, 11)])
        - 1.0
    ).tolist(),
]
_FEW_ROWS = 5_000  # with more rows f varies more smoothly along a ray
_FEW_CROSSINGS = 500  # largest number of rows for which f is compared between all of them


def descend_until_confirmed(
    problem: Problem,
    point: Point,
    metric: HessianMetric,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, Convergence], None] | None,
    renew_metric: Callable[[Point, Convergence], HessianMetric | None],
    leave: Callable[[Point, InverseHessian, Convergence], bool] | None = None,
) -> tuple[Point, Status | None]:
    """Call `descend` until convergence can be believed.

    A convex f must not have fallen by a large factor since the metric was computed. Otherwise
    `find_lower` must find nothing lower. The arguments and the results are those of `descend`.
    """
    n_seen, fun_of_metric = 0, point.fun
    known: Point | None = None

    def count(point: Point, convergence: Convergence) -> None:
        nonlocal n_seen
        if point is known:
            return
        n_seen += 1
        if observe is not None:
            observe(point, convergence)

    def renew(point: Point, convergence: Convergence) -> HessianMetric | None:
        nonlocal fun_of_metric
        new = renew_metric(point, convergence)
        if new is not None:
            fun_of_metric = point.fun
        return new

    while True:
        point, status = descend(
            problem, point, metric, tol, max_iter - max(n_seen - 1, 0),
            observe=count, renew_metric=renew, leave=leave,
        )  # fmt: skip
        if status not in (Status.converged, Status.stalled):
            return point, status
        if problem.convex:
            if status is Status.stalled or point.fun >= _STALE * fun_of_metric:
                return point, status
            known, metric, fun_of_metric = point, problem.metric(point), point.fun
            continue
        found = find_lower(problem, point, metric, tol)
        if found is None or (status is Status.stalled and found[0] is point):
            return point, status
        known, (point, metric) = point, found


def find_lower(
    problem: Problem, point: Point, metric: HessianMetric, tol: float
) -> tuple[Point, HessianMetric] | None:
    """Return a point from which to continue, and the metric there; None if there is none.

    Parameters
    ----------
    problem : Problem
    point : Point
        The point at which a run has converged.
    metric : HessianMetric
        The last metric of the run.
    tol : float
        The tolerance of the run. Decreases of f below it do not count.
    """
    if problem.gram_cost(problem.samples.n) <= _AFFORDABLE:
        metric = problem.metric(point)
    step = -metric.solve(point.gradient)
    threshold = tol * problem.magnitude(point.fun)
    best, lowest = point.theta, point.fun - threshold
    for direction, path in _paths(problem, point, step):
        f = Plane(problem, point, direction)
        values = np.array([f(t, h)[0] for t, h in path])
        k = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        if values[k] < lowest:
            t, h = path[k]
            best, lowest = point.theta + t * direction, values[k]
            if problem.intercept:
                best[-1] += h
    if best is not point.theta:
        point = problem.evaluate(best)
        return point, problem.metric(point)
    is_settled = _CAUTION * -0.5 * float(point.gradient @ step) <= threshold
    return None if is_settled else (point, metric)


def _paths(
    problem: Problem, point: Point, step: np.ndarray
) -> list[tuple[np.ndarray, list[tuple[float, float]]]]:
    """Return directions, and for each of them lengths with changes of the intercept.

    Along the ray through the weights the intercept stays as it is for the centred features, as it
    is for the features that were given, or changes in proportion.
    """
    w, b = problem.split(point.theta)
    found = []
    if w.any():
        rates = {0.0}
        if problem.intercept and problem.samples.n <= _FEW_ROWS:
            rates |= {b, float(problem.samples.centre @ w)}
        lengths = {rate: [*_LENGTHS, *_between_crossings(problem, point, rate)] for rate in rates}
        path = [(t, t * rate) for rate in sorted(rates) for t in lengths[rate]]
        found.append((problem.join(w, 0.0), path))
    for direction in (step, _signed_newton_step(problem, point)):
        if direction is not None and direction.any():
            found.append((direction, [(t, 0.0) for t in _STEPS]))
    return found


def _signed_newton_step(problem: Problem, point: Point) -> np.ndarray | None:
    """Return the Newton step in the Hessian itself, if the problem is small and in memory.

    The metric has |phi''| in the place of phi''. It overestimates the curvature along directions in
    which positive and negative terms cancel. Negative eigenvalues are replaced by their sizes.
    """
    samples, columns = problem.samples, problem.columns
    small = samples.size <= _SMALL and samples.d <= _FEW_COLUMNS and columns.all_single
    if not small or not isinstance(point.margins, np.ndarray):
        return None
    h = samples.weight * samples.loss.d2phi(point.margins)
    parts = (np.maximum(h, 0.0), np.maximum(-h, 0.0))
    positive, negative = (samples.gram(part, columns.place, columns.size) for part in parts)
    H = positive - negative
    H = H if problem.intercept else H[:-1, :-1].copy()
    problem.penalty.add_to_gram(H, columns)
    scale = np.sqrt(np.abs(H.diagonal()))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(H / np.outer(scale, scale))
    values = np.maximum(np.abs(values), 1e-12 * np.abs(values).max())
    return -vectors @ (vectors.T @ (point.gradient / scale) / values) / scale


def _between_crossings(problem: Problem, point: Point, rate: float) -> list[float]:
    """Return one length between any two at which a margin changes its sign, if there are few rows.

    Where all margins are large, f depends on their signs alone.
    """
    w, _ = problem.split(point.theta)
    if problem.samples.n > _FEW_CROSSINGS or not isinstance(point.margins, np.ndarray):
        return []
    crossings = -point.margins / problem.samples.project(w, rate)
    kept = np.sort(crossings[(crossings > -1.0) & (crossings < 1e6)])
    return (0.5 * (kept[1:] + kept[:-1])).tolist()

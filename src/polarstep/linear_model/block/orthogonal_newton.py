"""Newton's method by orthogonal factorization, for softmax models that have not converged.

A Hessian in floating point knows nothing of curvatures below 1e-16 of the largest one. Where the
columns, the row weights and the probabilities all differ by many orders of magnitude, these
curvatures matter. The Newton step is also the solution of a least-squares problem, whose matrix has
the square roots of the curvatures, so that twice as many orders of magnitude are resolved. It costs
more, and only small data are treated in this way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg as la

from ...result import Progress, Status
from .families import Softmax
from .models import BlockResult
from .problem import BlockProblem

_PATIENCE = 40  # iterations of the other methods before this one
_MOST_PRODUCTS = 3e8  # largest number of products for one factorization: about 0.1 seconds
_SAFETY = 4.5  # ratio of the estimated suboptimality to the decrement
_LEAST_FLOOR, _LARGEST_FLOOR = 1e-14, 0.25
_FLAT = 1e-11  # decreases of f below it, relative to f, are rounding errors


def can_factorize(problem: BlockProblem) -> bool:
    """Return whether the least-squares problems of the models are small."""
    if not isinstance(problem.family, Softmax) or problem.rows.in_memory() is None:
        return False
    K = problem.n_outputs
    unknowns = K * problem.width
    equations = K * (K - 1) // 2 * problem.rows.n + unknowns
    return equations * unknowns**2 <= _MOST_PRODUCTS


def iterations_before(problem: BlockProblem, max_iter: int) -> int:
    """Return how many iterations the other methods may take before this one continues."""
    return min(max_iter, _PATIENCE) if can_factorize(problem) else max_iter


def rescue(
    problem: BlockProblem,
    result: BlockResult,
    tol: float,
    max_iter: int,
    callback: Callable[[Progress], Any] | None = None,
) -> BlockResult:
    """Continue the models that have not converged, if `can_factorize` says that they are small.

    Parameters
    ----------
    problem : BlockProblem
    result : BlockResult
        How the models ended. Its arrays and lists are updated in place.
    tol : float
        The estimated relative suboptimality at which the iteration of a model stops.
    max_iter : int
        The largest number of iterations of each model, with those that it has taken.
    callback : callable, optional
        A function that is called with a `Progress` at every iteration.

    Returns
    -------
    BlockResult
        The result with the new iterates. There is one more row for each iteration.
    """
    failed = [b for b, s in enumerate(result.status) if s in (Status.max_iter, Status.stalled)]
    if not failed or not can_factorize(problem):
        return result
    clock, rows = time.perf_counter() - result.rows[-1].seconds, result.rows
    for b in failed:
        try:
            for theta, fun, gap, status in iterates(problem, b, result.theta[b], tol):
                moved = status is Status.max_iter and (theta != result.theta[b]).any()
                result.theta[b], result.fun[b], result.status[b] = theta, fun, status
                result.gap[b] = gap / float(problem.magnitude(np.array(fun)))
                if moved:
                    result.n_iter[b] += 1
                    row = rows[-1]._replace(
                        iteration=rows[-1].iteration + 1,
                        x=result.theta.ravel().copy(),
                        fun=float(result.fun.mean()),
                        grad_norm=float(np.sqrt(2.0 * gap / _SAFETY)),
                        passes=rows[-1].passes + 1,
                        seconds=time.perf_counter() - clock,
                    )
                    rows.append(row)
                    if callback is not None:
                        callback(row)
                if result.n_iter[b] >= max_iter:
                    break
        except (KeyboardInterrupt, StopIteration):
            result.status[b] = Status.interrupted
            break
    return replace(result, passes=float(rows[-1].passes))


def iterates(
    problem: BlockProblem, b: int, theta: np.ndarray, tol: float
) -> Iterator[tuple[np.ndarray, float, float, Status]]:
    """Yield the iterates of one model, the start included.

    Parameters
    ----------
    problem : BlockProblem
    b : int
        The index of the model.
    theta : ndarray, shape (K, p)
        The start.
    tol : float
        The estimated relative suboptimality at which the iteration stops.

    Yields
    ------
    theta : ndarray, shape (K, p)
    fun, gap : float
        The value there, and the estimated absolute suboptimality.
    status : Status
        How the iteration ended; ``max_iter`` as long as it has not.
    """
    rows: Any = problem.rows.in_memory()
    s = rows.weights[problem.models.split[b]]
    used = np.flatnonzero(s)
    model = _Model(
        rows.centred_array(problem.intercept)[used], rows.codes[used], s[used],
        problem.ridge(np.array([b]))[0], problem.n_outputs,
    )  # fmt: skip
    theta = theta - theta.mean(axis=0)
    fun, scores = model.value(theta)
    floor, least, hidden = 1e-2, _LEAST_FLOOR, 0.0
    while True:
        step, decrement = model.newton_step(theta, scores, floor)
        target = tol * float(problem.magnitude(np.array(fun)))
        if _SAFETY * decrement <= target and floor > least:
            floor = least  # the floor may have made the decrement too small
            continue
        if _SAFETY * decrement <= target:
            other, more = model.newton_step(theta, scores, floor, model.negligible(scores, target))
            if more > decrement:
                step, decrement = other, more
        gap = _SAFETY * max(decrement, hidden)
        if _SAFETY * decrement <= target:
            yield theta, fun, gap, Status.converged if gap <= target else Status.stalled
            return
        yield theta, fun, gap, Status.max_iter
        length, new = 1.0, model.value(theta + step)
        while not new[0] <= fun - 1e-4 * length * decrement and length > 1e-4:
            length *= 0.4
            new = model.value(theta + length * step)
        if new[0] < fun:
            theta = theta + length * step
            fun, scores = new
            least, hidden = _LEAST_FLOOR, 0.0
            floor = min(max(floor * (0.1 if length == 1.0 else 10.0), least), _LARGEST_FLOOR)
        elif decrement <= _FLAT * fun or floor >= _LARGEST_FLOOR:
            flat = decrement <= _FLAT * fun
            yield theta, fun, gap, Status.rounding if flat else Status.stalled
            return
        else:  # a smaller floor would fail at this point as well
            floor = least = min(10.0 * floor, _LARGEST_FLOOR)
            hidden = max(hidden, decrement)


class _Model:
    """The penalised cross-entropy of one softmax model, in scaled columns."""

    def __init__(
        self, Z: np.ndarray, codes: np.ndarray, s: np.ndarray, ridge: np.ndarray, n_classes: int
    ) -> None:
        self.s, self.n_classes, p = s, n_classes, Z.shape[1]
        self.own = codes[:, None] == np.arange(n_classes)
        self.unit = np.sqrt(s @ np.square(Z))
        self.unit[self.unit == 0] = 1.0
        self.Z = Z / self.unit
        self.alpha = np.zeros(p)
        self.alpha[: len(ridge)] = ridge

    def value(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the value and the scores minus those of the rows' own classes."""
        scores = self.Z @ (theta * self.unit).T
        scores -= scores[self.own][:, None]
        top = np.maximum(scores.max(axis=1), 0.0)
        rest = np.where(self.own, 0.0, np.exp(scores - top[:, None])).sum(axis=1)
        loss = np.where(top > 0, top + np.log(rest + np.exp(-top)), np.log1p(rest))
        return float(self.s @ loss + 0.5 * (self.alpha * np.square(theta)).sum()), scores

    def negligible(self, scores: np.ndarray, target: float) -> np.ndarray:
        """Return the rows whose losses add up to less than a tenth of a suboptimality.

        A row of negligible loss that lies far out can have a large curvature along a direction in
        which its loss only falls. The quadratic model then hides what the other rows would gain.
        """
        rest = np.where(self.own, 0.0, np.exp(np.minimum(scores, 0.0))).sum(axis=1)
        losses = self.s * np.where((scores > 0).any(axis=1), np.inf, rest)
        order = np.argsort(losses)
        out = np.zeros(len(losses), bool)
        out[order[np.cumsum(losses[order]) <= 0.1 * target]] = True
        return out

    def newton_step(
        self,
        theta: np.ndarray,
        scores: np.ndarray,
        floor: float,
        without: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:
        """Return Newton's step and the decrement g^T H^-1 g/2.

        The probability of a row's own class counts as at least `floor` in the curvature. A row that
        is far on the wrong side has a gradient but no curvature, and the step would be unbounded.
        Rows can be left out, shape (n,).

        For one row the Hessian is diag(p) - p p^T = sum_{k<l} p_k p_l v v^T with v = e_k - e_l, and
        the gradient is sum_k p_k (e_k - e_c), where c is its own class. Both are thus J^T J and
        J^T r for a matrix J with one row for each pair of classes.
        """
        K, p = self.n_classes, self.Z.shape[1]
        P = np.exp(scores - scores.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        blocks, right = [], []
        used = np.ones(len(P), bool) if without is None else ~without
        Q = np.where(self.own, np.maximum(P, floor), P)
        for k in range(K):
            for m in range(k + 1, K):
                root = np.sqrt(self.s * Q[:, k] * Q[:, m])
                kept = np.flatnonzero(used & (root > 1e-150))
                J = np.zeros((len(kept), K, p))
                J[:, k] = root[kept, None] * self.Z[kept]
                J[:, m] = -J[:, k]
                # The pairs of the own class make up the gradient: root r is +-s P of the other.
                own_k, own_m = self.own[kept, k], self.own[kept, m]
                slope = np.where(own_k, -P[kept, m], np.where(own_m, P[kept, k], 0.0))
                blocks.append(J.reshape(len(kept), K * p))
                right.append(self.s[kept] * slope / root[kept])
        penalty = np.sqrt(self.alpha) / self.unit
        at = np.flatnonzero(penalty)
        for k in range(K):
            J = np.zeros((len(at), K, p))
            J[np.arange(len(at)), k, at] = penalty[at]
            blocks.append(J.reshape(len(at), K * p))
            right.append(np.sqrt(self.alpha[at]) * theta[k, at])
        A, r = np.concatenate(blocks), np.concatenate(right)
        if not len(A):  # no row has a curvature that double precision can tell from zero
            return np.zeros((K, p)), 0.0
        # A change of all classes alike has no curvature and no gradient; these rows rule it out.
        gauge = np.linalg.norm(A, axis=0).reshape(K, p).max(axis=0)
        gauge[gauge == 0] = 1.0
        A, r = np.concatenate([A, np.tile(np.diag(gauge), K)]), np.append(r, np.zeros(p))
        # With a penalty the rank is full, and no direction is too flat to matter.
        cond = 1e-300 if self.alpha.any() else 1e-15
        order = np.argsort(-np.abs(A).max(axis=1), kind="stable")  # stable for graded rows
        size = np.linalg.norm(A, axis=0)
        size[size == 0] = 1.0
        solution = la.lstsq(
            A[order] / size, -r[order], cond=cond, lapack_driver="gelsy", check_finite=False
        )[0]
        step = (solution / size).reshape(K, p)
        step -= step.mean(axis=0)
        decrement = 0.5 * float(np.square(A @ step.ravel()).sum())
        return step / self.unit, decrement

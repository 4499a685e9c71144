"""Reference optima, computed by SciPy in whitened coordinates, independently of `minimize`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize

from ...methods.halfspace import Halfspace


def reference_optimum(objective: Halfspace, n_starts: int = 16) -> dict[str, Any]:
    """Find the lowest value that SciPy reaches from several starts.

    The coordinates are wt = P v with ||wt||_S = ||v||_2, so that the conditioning of the data does
    not matter. The method is a trust-region Newton method with the exact Hessian; if the length is
    capped and the unconstrained optimum lies beyond the cap, it is L-BFGS over directions at the
    length of the cap.

    A convex problem has one optimum and needs one start. For other problems the starts are S^-1 u
    and random directions at several lengths, and the lowest value need not be the global minimum.

    Parameters
    ----------
    objective
        The objective, with its loss, its length penalty and its cap on the length.
    n_starts
        The number of starts for problems that are not convex.

    Returns
    -------
    dict
        fun: the lowest value. grad_norm: the norm of the gradient with respect to v or, on the cap,
        of its tangential part. length: ||v||. starts: the number of starts. spread: the
        largest minus the lowest value over the starts.
    """
    P = objective.moments.whitening
    Z = -objective.labels[:, None] * np.asarray(objective.design.X @ P - objective.design.mean @ P)
    loss, lam, cap = objective.loss, objective.length_penalty, objective.max_length
    n, d = Z.shape

    def value(v: np.ndarray) -> float:
        return float(np.mean(loss.phi(Z @ v))) + 0.5 * lam * float(v @ v)

    def gradient(v: np.ndarray) -> np.ndarray:
        return Z.T @ loss.dphi(Z @ v) / n + lam * v

    def hessian(v: np.ndarray) -> np.ndarray:
        return (Z * loss.d2phi(Z @ v)[:, None]).T @ Z / n + lam * np.eye(d)

    def free(v: np.ndarray) -> np.ndarray:
        options = {"gtol": 1e-13, "maxiter": 2000}
        return optimize.minimize(
            value, v, jac=gradient, hess=hessian, method="trust-exact", options=options
        ).x

    def on_cap(v: np.ndarray) -> np.ndarray:
        def along(x: np.ndarray) -> tuple[float, np.ndarray]:
            norm = float(np.linalg.norm(x))
            unit = x / norm
            slope = gradient(cap * unit)
            return value(cap * unit), cap / norm * (slope - unit * (unit @ slope))

        options = {"gtol": 1e-12, "ftol": 0.0, "maxiter": 5000, "maxfun": 10_000}
        x = optimize.minimize(along, v, jac=True, method="L-BFGS-B", options=options).x
        return cap * x / np.linalg.norm(x)

    def solve(v: np.ndarray) -> np.ndarray:
        if not np.isfinite(cap):
            return free(v)
        end = on_cap(v)
        if end @ gradient(end) > 0:  # shorter weights have a smaller f: the optimum may lie inside
            inside = free(0.9 * end)
            if np.linalg.norm(inside) <= cap:
                return inside
        return end

    rng = np.random.default_rng(0)
    u = Z.mean(axis=0)
    starts = [-u / np.linalg.norm(u)]
    if not loss.is_convex:
        for k in range(1, n_starts):
            random = -u / np.linalg.norm(u) + 0.3 * k * rng.standard_normal(d) / np.sqrt(d)
            starts.append(random / np.linalg.norm(random) * min(cap, 2.0 + k))
    ends = [solve(v) for v in starts]
    values = [value(v) for v in ends]
    best = ends[int(np.argmin(values))]
    slope = gradient(best)
    length = float(np.linalg.norm(best))
    if length >= cap * (1 - 1e-9):
        slope = slope - best * (best @ slope) / length**2
    return {
        "fun": min(values),
        "grad_norm": float(np.linalg.norm(slope)),
        "length": length,
        "starts": len(starts),
        "spread": max(values) - min(values),
    }

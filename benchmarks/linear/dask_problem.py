"""Simulated data in Dask collections, and the objective on them, evaluated without polarstep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg
from scipy.special import expit

from polarstep.experiments.data import tables as datasets

BLOCKS = 16


def block(i: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows whose covariance has eigenvalues from 1e-3 to 1; scale columns by 0.01 to 100."""
    X, y = datasets.gaussian_sample(*datasets.gaussian_moments(d, 1e3, 0.5, 0), n, 1 + i)
    return X * np.random.default_rng(0).permutation(np.logspace(-2, 2, d)), (y > 0).astype(int)


def persisted_data(n: int, d: int) -> tuple[Any, Any]:
    import dask
    import dask.array as da
    from distributed import wait

    size = n // BLOCKS
    pairs = [dask.delayed(block, nout=2)(i, size, d) for i in range(BLOCKS)]
    X = da.concatenate([da.from_delayed(p[0], (size, d), np.float64) for p in pairs])
    y = da.concatenate([da.from_delayed(p[1], (size,), np.int64) for p in pairs])
    X, y = dask.persist(X, y)
    wait([X, y])
    return X, y


class Objective:
    """The objective sum phi(-y (x w + b)) + ||w||^2 / (2 C), evaluated independently by NumPy."""

    def __init__(self, X: Any, y: Any, C: float) -> None:
        import dask

        self.pairs = list(zip(X.to_delayed().ravel(), y.to_delayed().ravel(), strict=True))
        self.center, self.scale = dask.compute(X.mean(axis=0), X.std(axis=0))
        self.ridge = np.append(1 / (C * self.scale**2), 0.0)
        self.best = 0.0

    def sums(self, part: Callable[..., Any], model: Any) -> tuple[Any, np.ndarray]:
        import dask

        w, b = np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])
        v = np.append(w * self.scale, b + self.center @ w)
        task = dask.delayed(part)
        parts = dask.compute(*[task(x, y, self.center, self.scale, v) for x, y in self.pairs])
        return [sum(each) for each in zip(*parts, strict=True)], v

    def value(self, model: Any) -> float:
        (losses,), v = self.sums(losses_of, model)
        return float(losses + 0.5 * v @ (self.ridge * v))

    def suboptimality(self, model: Any) -> float:
        found = self.value(model) / self.best - 1
        return found if np.isfinite(found) else np.inf

    def decrement(self, model: Any) -> float:
        """Estimate (F - F*) / F by Newton's quadratic model."""
        (gradient, hessian), v = self.sums(derivatives_of, model)
        gradient, hessian = gradient + self.ridge * v, hessian + np.diag(self.ridge)
        step = linalg.cho_solve(linalg.cho_factor(hessian), gradient)
        return float(0.5 * gradient @ step / self.value(model))


def margins(x: Any, y: Any, center: Any, scale: Any, v: Any) -> tuple[np.ndarray, np.ndarray]:
    A = np.hstack([(x - center) / scale, np.ones((len(x), 1))])
    return A, (1 - 2 * y) * (A @ v)


def losses_of(x: Any, y: Any, *rest: Any) -> tuple[float]:
    return (float(np.logaddexp(0.0, margins(x, y, *rest)[1]).sum()),)


def derivatives_of(x: Any, y: Any, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
    A, a = margins(x, y, *rest)
    p = expit(a)
    return A.T @ ((1 - 2 * y) * p), (A * (p * (1 - p))[:, None]).T @ A

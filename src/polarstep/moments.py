"""The first two moments that the theory runs on: u, S, and the geometry that S defines."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la

from .design import Design, as_design, too_large
from .validation import complaint, matrix, number, vector

_LARGEST_DIMENSION = 20_000


@dataclass(frozen=True, eq=False)
class Moments:
    """u = -E[y x] and S = E[x x^T] of centred data, with norms and solves in the metric S.

    Parameters
    ----------
    u : array-like, shape (d,)
        The mean of z = -y x. It must lie in the range of S.
    S : array-like, shape (d, d)
        The covariance of x: symmetric, positive semidefinite, not zero.
    mean : ndarray, shape (d,), optional
        The mean of x before centring; zeros by default.
    n_samples : int, optional
        How many samples (of positive weight) the moments were taken from; None for a population.
    y_squared : float
        E[y^2]; 1 for labels -1 and +1.

    Notes
    -----
    Rank and solves are taken in the correlation scale diag(S)^(-1/2) S diag(S)^(-1/2), so that
    they do not depend on the units of the features. Where S is singular, `mu` is the smallest
    non-zero eigenvalue and `solve` the pseudo-inverse; every statement of the theory then holds
    on the range of S.

    Source: Kohler et al., AISTATS 2019 (arXiv 1805.10694), section 2.
    """

    u: np.ndarray
    S: np.ndarray
    mean: np.ndarray = None  # type: ignore[assignment]
    n_samples: int | None = None
    y_squared: float = 1.0
    n_passes: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        who = "Moments"
        u = vector(self.u, who, "u")
        d = len(u)
        S = _covariance(self.S, d, who)
        mean = np.zeros(d) if self.mean is None else vector(self.mean, who, "mean", length=d)
        for name, value in (("u", u), ("S", S), ("mean", mean)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "y_squared", number(self.y_squared, who, "y_squared", at_least=0))
        inside = self.project(u)
        # The u of data lies there but for rounding, which is all there is where no feature is
        # correlated with the label.
        if self.n_samples is None and np.linalg.norm(u - inside) > 1e-6 * np.linalg.norm(u):
            advice = "Moments of real data always do; check that u and S belong together."
            got = "a vector with a part outside it"
            raise ValueError(complaint(who, "u", "lie in the range of S", got, advice))
        object.__setattr__(self, "u", inside)

    @classmethod
    def from_data(cls, X: Any, y: Any, sample_weight: Any = None) -> Moments:
        """Moments of data: X dense or sparse (n, d), y real or -1/+1 (n,). Centres X implicitly.

        With sample weights s all means are weighted: the mean m = sum s x/sum s,
        u = -sum s y (x - m)/sum s and S = sum s (x - m) (x - m)^T/sum s. Of a `Design` with an
        intercept the moments are those of (x, 1): (u, -E[y]), of length d + 1, and blockdiag(S, 1).

        Costs three passes over X: the means, u, and the Gram matrix.

        Raises
        ------
        ValueError, TypeError
            If X, y or sample_weight is not finite and real, the shapes do not match, a weight is
            negative or all are zero, every column is constant, or d is so large that a d x d matrix
            is out of reach.
        """
        who = "Moments.from_data"
        design = as_design(X, who, sample_weight=sample_weight)
        y = vector(y, who, "y", length=design.shape[0])
        with np.errstate(over="ignore", invalid="ignore"):
            y_squared = design.average(np.square(y))
            u = -design.moment(y)
        if not np.isfinite(y_squared):
            raise ValueError(too_large(who, "y"))
        return cls.from_design(design, u, y_squared)

    @classmethod
    def from_design(cls, design: Design, u: np.ndarray, y_squared: float = 1.0) -> Moments:
        """The same where u = -E[y (x - mean)] is known already: one pass, for the Gram matrix."""
        who = "Moments.from_data"
        d = design.n_features
        if d > _LARGEST_DIMENSION:
            must = f"have at most {_LARGEST_DIMENSION:,} columns (S is a dense d x d matrix)"
            advice = "Select or hash features first."
            raise ValueError(complaint(who, "X", must, f"{d:,}", advice))
        design.check_columns(who)
        with np.errstate(over="ignore", invalid="ignore"):
            S = design.gram()
        if not (np.isfinite(u).all() and np.isfinite(S).all()):
            raise ValueError(too_large(who, "X"))
        u, mean = u.copy(), np.zeros(len(u))
        mean[:d] = design.mean
        constant = np.flatnonzero(design.constant)
        u[constant] = 0.0
        S[constant] = 0.0
        S[:, constant] = 0.0
        n = design.shape[0] if design.weights is None else np.count_nonzero(design.weights)
        return cls(u, S, mean, int(n), y_squared, n_passes=3)

    # ------------------------------------------------------------------ the geometry of S

    @cached_property
    def _geometry(self) -> tuple[np.ndarray, np.ndarray]:
        """(P, N): P^T v has 2-norm ||v||_{S^-1} for v in range(S); N is a basis of null(S)."""
        scale = np.sqrt(np.diag(self.S))
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        values, vectors = la.eigh(self.S * np.outer(inverse, inverse))
        d = len(scale)
        if values[0] < -1e-8 * d:
            got = f"a matrix with a negative eigenvalue ({values[0]:.2g} in correlation units)"
            raise ValueError(complaint("Moments", "S", "be positive semidefinite", got))
        kept = values > 64 * np.finfo(float).eps * d * values[-1]
        P = (inverse[:, None] * vectors[:, kept]) / np.sqrt(values[kept])
        if kept.all():
            return P, np.zeros((d, 0))
        # The null space of S is that of the correlation matrix divided by the scale, and the
        # constant columns; where all of a vector is constant the division leaves zero.
        flat = scale == 0
        loose = np.where(flat[:, None], vectors, vectors * inverse[:, None])[:, ~kept]
        return P, la.orth(loose / np.linalg.norm(loose, axis=0))

    @property
    def whitening(self) -> np.ndarray:
        """P, shape (d, rank): P^T S P = I, so that wt = P v has ||wt||_S = ||v||_2."""
        return self._geometry[0]

    def project(self, w: np.ndarray) -> np.ndarray:
        """The part of w in the range of S; the rest never touches a margin."""
        null = self._geometry[1]
        return w - null @ (null.T @ w) if null.shape[1] else w

    def solve(self, v: np.ndarray) -> np.ndarray:
        """S^-1 v for v in the range of S; the pseudo-inverse where S is singular."""
        P = self._geometry[0]
        return self.project(P @ (P.T @ v))

    def norm(self, w: np.ndarray) -> float:
        """||w||_S = sqrt(w^T S w)."""
        size = float(np.abs(w).max())
        if not 0 < size < np.inf:
            return size
        w = w / size  # whose square neither overflows nor vanishes
        squared = float(w @ (self.S @ w))
        return size * float(np.sqrt(max(squared, 0.0)))

    def dual_norm(self, v: np.ndarray) -> float:
        """||v||_{S^-1} = sqrt(v^T S^-1 v) for v in the range of S."""
        return float(np.linalg.norm(self._geometry[0].T @ v))

    # ------------------------------------------------------------------ the spectrum

    @property
    def rank(self) -> int:
        """The rank of S."""
        return self._geometry[0].shape[1]

    @cached_property
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of S, ascending and none below zero, and its eigenvectors as columns."""
        values, vectors = la.eigh(self.S)
        return np.maximum(values, 0.0), vectors

    @property
    def L(self) -> float:
        """The largest eigenvalue of S."""
        return float(self.eigen[0][-1])

    @cached_property
    def mu(self) -> float:
        """The smallest non-zero eigenvalue of S."""
        P, null = self._geometry
        if null.shape[1]:
            P = P - null @ (null.T @ P)
        return float(1.0 / np.linalg.norm(P, 2) ** 2)

    @property
    def condition_number(self) -> float:
        """kappa = L / mu."""
        return max(self.L / self.mu, 1.0)

    # ------------------------------------------------------------------ the Rayleigh quotient

    def rho(self, w: np.ndarray) -> float:
        """The Rayleigh quotient rho(w) = -(u^T w)^2 / ||w||_S^2."""
        return -float((self.u @ w) ** 2 / (w @ (self.S @ w)))

    @cached_property
    def rho_star(self) -> float:
        """Its minimum, -u^T S^-1 u, attained on the line S^-1 u."""
        length = self.dual_norm(self.u)
        return -length * length

    def direction_gap(self, w: np.ndarray) -> float:
        """rho(w) - rho*, without cancellation: ||u - S w (u^T w)/||w||_S^2||_{S^-1}^2."""
        Sw = self.S @ w
        squared = w @ Sw
        if not squared > 0:
            return -self.rho_star
        return self.dual_norm(self.u - Sw * (self.u @ w / squared)) ** 2


def _covariance(S: Any, d: int, who: str) -> np.ndarray:
    """S as a symmetric float64 matrix that is not zero; `_geometry` checks its spectrum."""
    S = matrix(S, who, "S", (d, d))
    scale = np.sqrt(np.maximum(np.diag(S), 0.0))
    products = np.outer(scale, scale)
    slack = 1e-8 * products + 1e-14 * scale.max() ** 2
    if (np.abs(S - S.T) > slack).any():
        raise ValueError(complaint(who, "S", "be symmetric", "a matrix that is not"))
    impossible = np.abs(S) > products + slack
    if impossible.any():
        row, column = (int(i) for i in np.argwhere(impossible)[0])
        got = f"{S[row, column]:g} in row {row}, column {column}, which its diagonal rules out"
        raise ValueError(complaint(who, "S", "be positive semidefinite", got))
    if not scale.any():
        raise ValueError(complaint(who, "S", "not be zero", "a matrix of zeros"))
    return (S + S.T) / 2

"""The first two moments of the data, u and S, and the Rayleigh quotient that they define."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .design import Design, as_design, too_large
from .geometry import Geometry
from .validation import complaint, number, vector

_LARGEST_DIMENSION = 20_000


class Moments(Geometry):
    """The moments u = -E[y x] and S = E[x x^T] of centred data, with the geometry of S.

    Parameters
    ----------
    u : array-like, shape (d,)
        The mean of z = -y x. It must lie in the range of S.
    S : array-like, shape (d, d)
        The covariance of x: symmetric, positive semidefinite and not zero.
    mean : array-like, shape (d,), optional
        The mean of x before centring; zeros by default.
    n_samples : int, optional
        The number of samples of positive weight behind the moments; None for a population.
    y_squared : float, default 1
        E[y^2], which is 1 for the labels -1 and +1.
    n_passes : int, default 0
        The number of passes over the data that the moments cost.

    Attributes
    ----------
    u : ndarray, shape (d,)
        The mean of z.
    S : ndarray, shape (d, d)
        The covariance of x.
    mean : ndarray, shape (d,)
        The mean of x before centring.
    n_samples : int or None
        The number of samples; None for a population.
    y_squared : float
        E[y^2].
    n_passes : int
        The number of passes over the data that the moments cost.

    Raises
    ------
    ValueError, TypeError
        If u or S is not finite and real, S is not a covariance matrix, or u is not in its range.

    Notes
    -----
    Rank and solves are computed in the correlation scale diag(S)^(-1/2) S diag(S)^(-1/2), so that
    they do not depend on the units of the features. If S is singular, `mu` is the smallest non-zero
    eigenvalue and `solve` the pseudo-inverse, and every statement of the theory holds on the range
    of S.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), section 2.

    Examples
    --------
    >>> moments = Moments([0.5, 0.1], [[1.0, 0.0], [0.0, 0.25]])
    >>> moments.mu, moments.L, moments.condition_number
    (0.25, 1.0, 4.0)
    >>> moments.solve(moments.u)
    array([0.5, 0.4])
    """

    def __init__(
        self,
        u: Any,
        S: Any,
        mean: Any = None,
        n_samples: int | None = None,
        y_squared: float = 1.0,
        n_passes: int = 0,
    ) -> None:
        who = "Moments"
        u = vector(u, who, "u")
        d = len(u)
        super().__init__(S, d, who)
        self.mean = np.zeros(d) if mean is None else vector(mean, who, "mean", length=d)
        self.n_samples, self.n_passes = n_samples, n_passes
        self.y_squared = number(y_squared, who, "y_squared", at_least=0)
        # For data, u is in the range of S up to rounding. If no feature is correlated with the
        # label, u consists of rounding errors alone, so that no relative check is possible.
        self.u = self.project_dual(u)
        if n_samples is None and np.linalg.norm(u - self.u) > 1e-6 * np.linalg.norm(u):
            advice = "Moments of real data always do; check that u and S belong together."
            got = "a vector with a component outside it"
            raise ValueError(complaint(who, "u", "lie in the range of S", got, advice))

    @classmethod
    def from_data(cls, X: Any, y: Any, sample_weight: Any = None) -> Moments:
        """Return the moments of data, computed in three passes over X.

        Parameters
        ----------
        X : array-like, scipy sparse or Design, shape (n, d)
            The data matrix. It is centred implicitly.
        y : array-like, shape (n,)
            Labels -1 and +1, or real targets.
        sample_weight : array-like, shape (n,), optional
            Weights >= 0 of the samples.

        Returns
        -------
        Moments
            The moments. For a `Design` with an intercept they are those of (x, 1): (u, -E[y]), of
            length d + 1, and blockdiag(S, 1).

        Raises
        ------
        ValueError, TypeError
            If X, y or sample_weight is not finite and real, shapes do not match, a weight is
            negative or all are zero, every column is constant, or d is too large for a dense
            d x d matrix.

        Notes
        -----
        With sample weights s, all means are weighted: the mean is m = sum s x/sum s,
        u = -sum s y (x - m)/sum s and S = sum s (x - m) (x - m)^T/sum s.
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
        """Return the moments of data whose u is known; the Gram matrix costs one pass.

        Parameters
        ----------
        design : Design
            The centred data matrix.
        u : ndarray, shape (d,)
            -E[y (x - mean)].
        y_squared : float, default 1
            E[y^2].

        Returns
        -------
        Moments
            The moments.

        Raises
        ------
        ValueError
            If every column is constant, numbers overflow, or d is too large for a dense d x d
            matrix.
        """
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

    def __repr__(self) -> str:
        data = "population" if self.n_samples is None else f"n_samples={self.n_samples}"
        return f"Moments(d={len(self.u)}, {data}, mu={self.mu:.4g}, L={self.L:.4g})"

    def rho(self, w: np.ndarray) -> float:
        """Return the Rayleigh quotient rho(w) = -(u^T w)^2/||w||_S^2.

        Parameters
        ----------
        w : ndarray, shape (d,)
            The direction, of any scale.

        Returns
        -------
        float
            The quotient, which is at least `rho_star`.
        """
        return -float((self.u @ w) ** 2 / (w @ (self.S @ w)))

    @cached_property
    def rho_star(self) -> float:
        """The minimum -u^T S^-1 u of the Rayleigh quotient, attained on the line S^-1 u."""
        length = self.dual_norm(self.u)
        return -length * length

    def direction_gap(self, w: np.ndarray) -> float:
        """Return the excess rho(w) - rho* of the Rayleigh quotient, without cancellation.

        Parameters
        ----------
        w : ndarray, shape (d,)
            The direction, of any scale.

        Returns
        -------
        float
            The gap >= 0, computed as ||u - S w (u^T w)/||w||_S^2||_{S^-1}^2.
        """
        Sw = self.S @ w
        squared = w @ Sw
        if not squared > 0:
            return -self.rho_star
        return self.dual_norm(self.u - Sw * (self.u @ w / squared)) ** 2

"""What is minimised: f(wt) on data or in a Gaussian population, seen along rays g -> f(g v).

Every evaluation goes through a ray. A ray projects the data onto v once; value, slope and curvature
at any length g then cost O(n), and only `gradient` reads X again.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..design import as_design
from ..losses import MarginLoss, margin_loss
from ..moments import Moments
from ..quadrature import expectation
from ..validation import complaint, number, signs


class Ray:
    """f along g -> f(g v) for a fixed vector v; a subclass per objective.

    Attributes
    ----------
    v : ndarray, shape (d,)
    squared : float
        ||v||_S^2.
    overlap : float
        u^T v.
    stationary : float or None
        The root of the slope, where a formula gives it.
    """

    stationary: float | None = None

    def __init__(self, moments: Moments, v: np.ndarray) -> None:
        self.v = v = np.asarray(v)
        self.Sv = moments.S @ v
        self.squared = max(float(v @ self.Sv), 0.0)
        self.overlap = float(moments.u @ v)

    def value(self, g: float) -> float:
        """f(g v)."""
        raise NotImplementedError

    def slope(self, g: float) -> float:
        """d f(g v)/dg = v^T grad f(g v)."""
        raise NotImplementedError

    def curvature(self, g: float) -> float:
        """d^2 f(g v)/dg^2."""
        raise NotImplementedError

    def gradient(self, g: float) -> np.ndarray:
        """grad f(g v), shape (d,)."""
        raise NotImplementedError

    def coefficients(self, g: float) -> tuple[float, float]:
        """(c1, c2): for Gaussian data grad f(g v) = c1 u + c2 g S v."""
        raise NotImplementedError

    def step_scale(self, g: float) -> float:
        """c1 u^T v, by which gdnp divides its step; another number where the theorem is silent."""
        return self.coefficients(g)[0] * self.overlap


class Objective:
    """The face that every objective shares; a subclass supplies its rays.

    Attributes
    ----------
    moments : Moments
    length_penalty : float
        lam in (lam/2) ||wt||_S^2.
    max_length : float
        The cap G: wt is confined to ||wt||_S <= G.
    curvature : float
        A bound on the curvature of f in the metric S: its Hessian is at most curvature * S.
    """

    moments: Moments
    length_penalty: float
    max_length: float
    curvature: float

    def ray(self, v: np.ndarray) -> Ray:
        """f along g -> f(g v), v as it is. Reads the data once."""
        raise NotImplementedError

    def along(self, w: np.ndarray) -> Ray:
        """f along the direction of w: g -> f(g w/||w||_S), g the length in the metric S."""
        length = self.moments.norm(w)
        if not length > 0:
            got = "a vector of S-norm zero"
            raise ValueError(
                complaint(f"{type(self).__name__}.along", "w", "have a direction", got)
            )
        return self.ray(w / length)

    def value(self, wt: np.ndarray) -> float:
        """f(wt)."""
        return self.ray(wt).value(1.0)

    def gradient(self, wt: np.ndarray) -> np.ndarray:
        """grad f(wt), shape (d,)."""
        return self.ray(wt).gradient(1.0)

    def coefficients(self, wt: np.ndarray) -> tuple[float, float]:
        """(c1, c2): for Gaussian data grad f(wt) = c1 u + c2 S wt (section 2 of the method)."""
        return self.ray(wt).coefficients(1.0)

    @property
    def n_passes(self) -> int:
        """How many products have read all of the data so far."""
        return 0

    @property
    def smoothness(self) -> float:
        """A bound on the largest eigenvalue of the Hessian of f."""
        return self.curvature * self.moments.L

    def _limits(self, length_penalty: float, max_length: float) -> None:
        who = type(self).__name__
        self.length_penalty = number(length_penalty, who, "length_penalty", at_least=0)
        self.max_length = number(max_length, who, "max_length", above=0, finite=False)


# --------------------------------------------------------------------------- least squares


class LeastSquares(Objective):
    """f(wt) = E (y - x^T wt)^2 + (lam/2) ||wt||_S^2 on centred x: Theorem 1's problem.

    Only the moments of the data enter, so no iteration reads X.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
    y : array-like, shape (n,)
        Real targets. They are not centred: an offset adds a constant to f.
    length_penalty : float
        lam >= 0.
    max_length : float
        The cap G on ||wt||_S.

    Source: Kohler et al. 2019, section 3 (Theorem 1).
    """

    def __init__(
        self, X: Any, y: Any, length_penalty: float = 0.0, max_length: float = np.inf
    ) -> None:
        self._set(Moments.from_data(X, y), length_penalty, max_length)

    @classmethod
    def from_moments(
        cls, moments: Moments, length_penalty: float = 0.0, max_length: float = np.inf
    ) -> LeastSquares:
        """The same problem from moments alone, for instance those of a population."""
        self = cls.__new__(cls)
        self._set(moments, length_penalty, max_length)
        return self

    def _set(self, moments: Moments, length_penalty: float, max_length: float) -> None:
        self.moments = moments
        self._limits(length_penalty, max_length)
        self.curvature = 2.0 + self.length_penalty
        # f = lowest + (curvature/2) ||wt - best||_S^2, which has no cancellation near the minimum.
        self._best = -2.0 / self.curvature * moments.solve(moments.u)
        self._lowest = moments.y_squared + 2.0 / self.curvature * moments.rho_star

    def ray(self, v: np.ndarray) -> _QuadraticRay:
        return _QuadraticRay(self, v)


class _QuadraticRay(Ray):
    def __init__(self, objective: LeastSquares, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        if self.squared > 0:
            self.stationary = -2.0 * self.overlap / (objective.curvature * self.squared)

    def value(self, g: float) -> float:
        excess = self.objective.moments.norm(g * self.v - self.objective._best)
        return self.objective._lowest + 0.5 * self.objective.curvature * excess * excess

    def slope(self, g: float) -> float:
        return 2.0 * self.overlap + self.objective.curvature * g * self.squared

    def curvature(self, g: float) -> float:
        return self.objective.curvature * self.squared

    def gradient(self, g: float) -> np.ndarray:
        return 2.0 * self.objective.moments.u + self.objective.curvature * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        return 2.0, self.objective.curvature


# --------------------------------------------------------------------------- halfspaces on data


class Halfspace(Objective):
    """f(wt) = mean phi(z_i^T wt) + (lam/2) ||wt||_S^2 + (alpha/2) ||wt||_2^2, z = -y x, x centred.

    With an intercept it is f(wt, b) = mean phi(-y_i (x_i^T wt + b)) + the same penalties of wt. All
    means are weighted where samples have weights.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        C- or F-ordered, float32 or float64, or sparse. Centred implicitly, never copied whole. A
        `Design` is shared; it keeps its weights and intercept unless others are given here.
    y : array-like, shape (n,)
        Two different values; the smaller is taken as -1, the larger as +1.
    loss : str or MarginLoss
        "softplus", "sigmoid", "normal_cdf", "smooth_hinge", "squared", or your own.
    length_penalty : float
        lam >= 0. A bounded loss needs it, an l2_penalty or a cap to have a minimiser of finite
        length.
    max_length : float
        The cap G on ||wt||_S; not together with an intercept.
    l2_penalty : float
        alpha >= 0. Unlike the length penalty it depends on the units of the features. On Gaussian
        data the gradient is then c1 u + c2 S wt + alpha wt, which is not the theorems' form: with
        alpha > 0 they promise nothing, and gdnp is a heuristic.
    intercept : bool
        Append b as the last coordinate, unpenalised, as if a constant feature 1 stood there: all
        vectors have d + 1 entries, the moments are (u, -mean y) and blockdiag(S, 1), and lengths
        are sqrt(||wt||_S^2 + b^2). Predictions for a row x are the signs of
        (x - moments.mean[:d])^T wt + b. The theorems do not cover it: z = -y (x, 1) is not
        Gaussian.
    sample_weight : array-like, shape (n,), optional
        Weights >= 0, of any scale. A weight of k is the same as k copies of the row; a row of
        weight zero has no influence (but must hold finite numbers).

    Attributes
    ----------
    design : Design
    labels : ndarray, shape (n,)
        y as -1.0 and +1.0.
    u : ndarray, shape (d,)
        -mean y x.
    moments : Moments
        Taken at first use, which costs the pass for the Gram matrix.

    Raises
    ------
    ValueError, TypeError
        For labels that are not two-valued, values that are not finite, shapes that do not match,
        unknown losses, weights that are negative or leave out a class, a cap with an intercept.

    Notes
    -----
    Where S is singular the part of wt outside its range never touches a margin, and the l2 penalty
    only grows with it: `minimize` keeps it at zero.

    Source: Kohler et al. 2019, section 4.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: str | MarginLoss = "softplus",
        length_penalty: float = 0.0,
        max_length: float = np.inf,
        *,
        l2_penalty: float = 0.0,
        intercept: bool = False,
        sample_weight: Any = None,
    ) -> None:
        who = type(self).__name__
        self.loss = margin_loss(loss, who)
        self._limits(length_penalty, max_length)
        self.l2_penalty = number(l2_penalty, who, "l2_penalty", at_least=0)
        self.design = as_design(X, who, sample_weight=sample_weight, intercept=intercept)
        self.intercept = self.design.intercept
        if self.intercept and self.max_length < np.inf:
            must = "be left out with an intercept (the cap would hold b too)"
            advice = "Use a length_penalty or an l2_penalty."
            raise ValueError(complaint(who, "max_length", must, f"{self.max_length:g}", advice))
        weights = self.design.weights
        self.labels = signs(y, who, length=self.design.shape[0], weights=weights)
        self.design.check_columns(who)
        self.u = -self.design.moment(self.labels)

    @cached_property
    def moments(self) -> Moments:  # type: ignore[override]
        """The moments in which lengths are measured."""
        return Moments.from_design(self.design, self.u)

    @cached_property
    def curvature(self) -> float:  # type: ignore[override]
        """sup |phi''| + lam + alpha/mu, for alpha I <= (alpha/mu) S on the range of S."""
        bound = self.loss.sup_curvature + self.length_penalty
        return bound + self.l2_penalty / self.moments.mu if self.l2_penalty else bound

    @property
    def smoothness(self) -> float:
        """(sup |phi''| + lam) L + alpha."""
        return (self.loss.sup_curvature + self.length_penalty) * self.moments.L + self.l2_penalty

    @property
    def n_passes(self) -> int:
        return self.design.n_passes

    def ray(self, v: np.ndarray) -> DataRay:
        return DataRay(self, v)


class DataRay(Ray):
    """A ray through a sample; holds the margins z_i^T v."""

    def __init__(self, objective: Halfspace, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        self.margins = objective.design.matvec(v)
        self.margins *= -objective.labels
        weights = objective.design.weights
        self.weighted = self.margins if weights is None else weights * self.margins
        # The penalties are (stiffness/2) g^2, with the gradient g * pull; they leave out b.
        self.pull = objective.length_penalty * self.Sv + objective.l2_penalty * self.v
        if objective.intercept:
            self.pull[-1] = 0.0
        self.stiffness = max(float(self.v @ self.pull), 0.0)
        features = self.v[: objective.design.n_features]
        self.flat = float(features @ features)

    def value(self, g: float) -> float:
        losses = self.objective.loss.phi(g * self.margins)
        return self.objective.design.average(losses) + 0.5 * self.stiffness * g * g

    def slope(self, g: float) -> float:
        first = self.objective.loss.dphi(g * self.margins)
        return float(self.weighted @ first) / len(first) + g * self.stiffness

    def curvature(self, g: float) -> float:
        second = self.objective.loss.d2phi(g * self.margins)
        return self.objective.design.average(np.square(self.margins) * second) + self.stiffness

    def gradient(self, g: float) -> np.ndarray:
        residuals = self.objective.loss.dphi(g * self.margins)
        residuals *= -self.objective.labels
        return self.objective.design.moment(residuals) + g * self.pull

    def coefficients(self, g: float) -> tuple[float, float]:
        """(c1, c2): for Gaussian data grad f(g v) = c1 u + c2 g S v + alpha g v."""
        loss, average = self.objective.loss, self.objective.design.average
        first = average(loss.dphi(g * self.margins))
        second = average(loss.d2phi(g * self.margins))
        return first - second * g * self.overlap, second + self.objective.length_penalty

    def step_scale(self, g: float) -> float:
        # With an l2 penalty, ||v||_S = 1 and a slope of zero, |c1 u^T v| = |g| (c2 + alpha ||v||^2)
        # on Gaussian data. In its place |g| (c2 + alpha/L) makes the default step the reciprocal
        # of c2 L + alpha, the largest eigenvalue of the Hessian c2 S + alpha I.
        scale, alpha = super().step_scale(g), self.objective.l2_penalty
        if not alpha:
            return scale
        of_loss = max(abs(scale) - abs(g) * alpha * self.flat, 0.0)
        return float(np.copysign(of_loss + abs(g) * alpha / self.objective.moments.L, scale))


# --------------------------------------------------------------------------- Gaussian population


class GaussianHalfspace(Objective):
    """f(wt) = E phi(z^T wt) + (lam/2) ||wt||_S^2 for Gaussian z with mean u, second moment S.

    z^T wt is N(u^T wt, ||wt||_S^2 - (u^T wt)^2), so that f and all its derivatives are
    one-dimensional integrals; they are taken to about 1e-12 (see `quadrature`).

    Parameters
    ----------
    u : array-like, shape (d,)
    S : array-like, shape (d, d)
        Second moment of z; needs u^T S^-1 u <= 1. The model x|y ~ N(-y u, S - u u^T) has it.
    loss, length_penalty, max_length
        As for `Halfspace`.

    Source: Kohler et al. 2019, section 4; Stein's lemma as in Brillinger 1982.
    """

    def __init__(
        self,
        u: Any,
        S: Any,
        loss: str | MarginLoss = "softplus",
        length_penalty: float = 0.0,
        max_length: float = np.inf,
    ) -> None:
        who = type(self).__name__
        self.loss = margin_loss(loss, who)
        self._limits(length_penalty, max_length)
        self.moments = Moments(u, S)
        if -self.moments.rho_star > 1 + 1e-9:
            must = "satisfy u^T S^-1 u <= 1 (S is the second moment of z, u its mean)"
            got = f"u^T S^-1 u = {-self.moments.rho_star:.6g}"
            advice = "If S is the covariance of z, add u u^T to it."
            raise ValueError(complaint(who, "u", must, got, advice))
        self.curvature = self.loss.sup_curvature + self.length_penalty

    def ray(self, v: np.ndarray) -> _GaussianRay:
        return _GaussianRay(self, v)


class _GaussianRay(Ray):
    def __init__(self, objective: GaussianHalfspace, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        self.sd = float(np.sqrt(max(self.squared - self.overlap**2, 0.0)))

    def _mean(self, f: Any, g: float) -> np.ndarray:
        """E f(a) for a = g z^T v."""
        return expectation(f, g * self.overlap, abs(g) * self.sd)

    def value(self, g: float) -> float:
        lam = self.objective.length_penalty
        return float(self._mean(self.objective.loss.phi, g)) + 0.5 * lam * g * g * self.squared

    def slope(self, g: float) -> float:
        # E[b phi'(g b)] for b = z^T v. By Stein it is E[b] E phi' + g Var[b] E phi'', which is
        # exact for the smallest overlap E[b], but cancels to 1/g^2 of its terms at large g.
        dphi, width = self.objective.loss.dphi, abs(g) * self.sd
        if width <= 1:
            first, second = self._derivatives(g)
            slope = self.overlap * first + g * self.sd**2 * second
        else:
            slope = float(expectation(lambda b: b * dphi(g * b), self.overlap, self.sd, rate=width))
        return slope + self.objective.length_penalty * g * self.squared

    def curvature(self, g: float) -> float:
        d2phi, lam = self.objective.loss.d2phi, self.objective.length_penalty
        second = expectation(
            lambda b: np.square(b) * d2phi(g * b), self.overlap, self.sd, rate=abs(g) * self.sd
        )
        return float(second) + lam * self.squared

    def gradient(self, g: float) -> np.ndarray:
        c1, c2 = self.coefficients(g)
        return c1 * self.objective.moments.u + c2 * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        first, second = self._derivatives(g)
        return first - second * g * self.overlap, second + self.objective.length_penalty

    def _derivatives(self, g: float) -> tuple[float, float]:
        """(E phi', E phi'') at a = g z^T v."""
        loss = self.objective.loss
        first, second = self._mean(lambda a: np.stack([loss.dphi(a), loss.d2phi(a)]), g)
        return float(first), float(second)

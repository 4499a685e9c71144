"""What the theorems promise, to lay beside what happened.

Source: Kohler et al., AISTATS 2019 (arXiv 1805.10694), Theorems 1 and 2, in the form in which they
hold on every instance: norms are taken in S and S^-1, never in the units of the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Design
from ..losses import MarginLoss, margin_loss
from ..moments import Moments
from ..validation import complaint, number, signs, whole_number


def contraction(moments: Moments, step_size: float | None = None) -> float:
    """The factor gamma = max(|1 - step mu|, |1 - step L|) of one direction step.

    It is 1 - mu/L at the theorem's step 1/L (the default) and (L - mu)/(L + mu) at the best
    constant step 2/(L + mu). A step of 2/L or more contracts nothing: gamma >= 1.
    """
    step = 1.0 / moments.L
    if step_size is not None:
        step = number(step_size, "theory.contraction", "step_size", above=0)
    return max(abs(1.0 - step * moments.mu), abs(1.0 - step * moments.L))


def rate_bound(
    moments: Moments, gap: float, n_iter: int, *, step_size: float | None = None
) -> np.ndarray:
    """Theorem 1's bound on the direction gap: gamma^(2t) * gap for t = 0..n_iter.

    Parameters
    ----------
    moments : Moments
    gap : float
        rho(w_0) - rho*, for instance ``result.trace.direction_gap[0]``.
    n_iter : int
    step_size : float, optional
        The constant step of the direction; 1/L by default, for which gamma = 1 - mu/L.

    Returns
    -------
    ndarray, shape (n_iter + 1,)

    Notes
    -----
    For least squares it holds on any data; for another loss when z is Gaussian. It needs
    u^T w_0 != 0. For steps other than 1/L, gamma is that of `contraction`.
    """
    gap = number(gap, "theory.rate_bound", "gap", at_least=0)
    steps = np.arange(whole_number(n_iter, "theory.rate_bound", "n_iter") + 1)
    return gap * contraction(moments, step_size) ** (2.0 * steps)


def gradient_bound(
    moments: Moments,
    gap: float,
    n_iter: int,
    loss: str | MarginLoss,
    *,
    length_penalty: float = 0.0,
    bisection_steps: int | None = None,
    bracket_width: float = 0.0,
    step_size: float | None = None,
) -> np.ndarray:
    """Theorem 2's bound on ||grad f(wt_t)||_{S^-1} for gdnp on Gaussian z, t = 0..n_iter.

    sqrt(C1^2 gamma^(2t) gap + (C2 2^-T_s |b_0 - a_0|)^2), C1 = sup |c1|, C2 = sup |phi''| + lam.

    Parameters
    ----------
    moments, gap, n_iter, step_size
        As for `rate_bound`.
    loss : str or MarginLoss
    length_penalty : float
        lam.
    bisection_steps : int, optional
        T_s; None for a length search to rounding, whose term is zero.
    bracket_width : float
        |b_0 - a_0|, the width of the bracket that is halved.

    Notes
    -----
    The bound speaks of iterates whose length is a root of the slope; a start whose length is not
    (t = 0) is not covered.
    """
    loss = margin_loss(loss, "theory.gradient_bound")
    direction = loss.sup_coefficient**2 * rate_bound(moments, gap, n_iter, step_size=step_size)
    if bisection_steps is None:
        return np.sqrt(direction)
    halvings = whole_number(bisection_steps, "theory.gradient_bound", "bisection_steps")
    length = (loss.sup_curvature + length_penalty) * 2.0**-halvings * abs(bracket_width)
    return np.sqrt(direction + length**2)


# --------------------------------------------------------------------------- the assumptions


@dataclass(frozen=True)
class Projection:
    """How far a one-dimensional projection of z is from a normal distribution."""

    name: str
    distance: float  # Kolmogorov-Smirnov, between 0 and 1
    skewness: float
    excess_kurtosis: float


@dataclass(frozen=True)
class Assumptions:
    """The conditions of the theorems on one data set; print it to read them in words.

    Attributes
    ----------
    n_samples : int or None
        None for a population.
    n_features, rank : int
    mu, L : float
        Smallest non-zero and largest eigenvalue of S.
    offset : float
        The largest |mean|/sd of a column before centring; 0 where it was centred already.
    separation : float
        u^T S^-1 u; a Gaussian z needs <= 1.
    projections : tuple of Projection
        z along S^-1 u, along u, and the worst of the random directions; empty without data.
    sampling_limit : float
        The Kolmogorov-Smirnov distance that the worst direction of a Gaussian sample of this size
        exceeds once in a hundred times.
    """

    n_samples: int | None
    n_features: int
    rank: int
    mu: float
    L: float
    offset: float
    separation: float
    projections: tuple[Projection, ...]
    sampling_limit: float

    @property
    def gaussian(self) -> bool | None:
        """Whether z looks Gaussian: distances within sampling error, or 0.01. None without data."""
        if not self.projections:
            return None
        return all(p.distance <= max(self.sampling_limit, 0.01) for p in self.projections)

    @property
    def guarantees(self) -> dict[str, str]:
        """In words, what is and is not guaranteed, by theorem."""
        gain = min(self.mu / self.L, 1.0)
        digit = np.log(10.0) / (-2.0 * np.log1p(-gain)) if gain < 1 else 1.0
        rate = (
            f"each step of size 1/L leaves at most {(1 - gain) ** 2:.6g} of the direction gap "
            f"({digit:,.0f} steps a digit)"
        )
        words = {"Theorem 1 (least squares)": f"guaranteed: {rate}."}
        if self.separation > 1 + 1e-9:
            words["Theorem 2 (halfspaces)"] = (
                "not guaranteed: u^T S^-1 u > 1, so that no distribution has these moments."
            )
        elif self.gaussian is None:
            words["Theorem 2 (halfspaces)"] = (
                f"guaranteed if z is Gaussian: {rate}, for every loss."
            )
        elif self.gaussian:
            words["Theorem 2 (halfspaces)"] = (
                f"holds up to sampling error: z looks Gaussian, so {rate}, until the gap reaches "
                "the size of the sampling error."
            )
        else:
            worst = max(self.projections, key=lambda p: p.distance)
            words["Theorem 2 (halfspaces)"] = (
                f"not guaranteed: z is not Gaussian {worst.name} (distance {worst.distance:.3f}, "
                f"sampling error explains {self.sampling_limit:.3f}). gdnp is a heuristic here; "
                "compare it with the other methods."
            )
        words["Bounded losses"] = (
            "sigmoid and normal_cdf have no finite minimiser on Gaussian data: use a "
            "length_penalty or a max_length."
        )
        return words

    def __str__(self) -> str:
        size = "population" if self.n_samples is None else f"n = {self.n_samples:,}"
        singular = (
            "" if self.rank == self.n_features else " (singular: read S^-1 as pseudo-inverse)"
        )
        centred = (
            "yes" if self.offset < 1e-8 else f"no, done implicitly (|mean|/sd {self.offset:.3g})"
        )
        lines = [
            f"Data             {size}, d = {self.n_features}, rank of S {self.rank}{singular}",
            f"Centred          {centred}",
            f"Spectrum of S    mu = {self.mu:.4g}, L = {self.L:.4g}, kappa {self.L / self.mu:.4g}",
            f"u^T S^-1 u       {self.separation:.6g} (needs <= 1)",
        ]
        for p in self.projections:
            lines.append(
                f"Gaussian?        {p.name}: distance {p.distance:.4f} "
                f"(sampling error up to {self.sampling_limit:.4f}), "
                f"skewness {p.skewness:+.2f}, excess kurtosis {p.excess_kurtosis:+.2f}"
            )
        lines += [f"{name}: {text}" for name, text in self.guarantees.items()]
        return "\n".join(lines)


def check_assumptions(
    moments: Moments, X: Any = None, y: Any = None, *, n_directions: int = 32, seed: int = 0
) -> Assumptions:
    """Check what the theorems assume: centring, spectrum, u^T S^-1 u <= 1, Gaussian z.

    Parameters
    ----------
    moments : Moments
    X : array-like or scipy sparse (n, d), y : array-like (n,), optional
        The data that the moments came from, y two-valued; without them the distribution of z is
        not looked at.
    n_directions : int
        How many random directions to look along. Projections of high-dimensional data along random
        directions look Gaussian whatever the data (Diaconis and Freedman 1984), so that the
        directions S^-1 u and u, which the theory uses, matter more.
    seed : int

    Returns
    -------
    Assumptions
        ``print`` it.
    """
    projections: tuple[Projection, ...] = ()
    limit = offset = 0.0
    if X is not None:
        if y is None:
            advice = "Pass the labels too."
            raise ValueError(complaint("check_assumptions", "y", "come with X", None, advice))
        design = X if isinstance(X, Design) else Design(X, who="check_assumptions")
        if design.weights is not None or design.intercept:
            must = "be data without sample weights or an intercept"
            raise ValueError(complaint("check_assumptions", "X", must, "a Design with them"))
        if design.shape[1] != len(moments.u):
            must = f"have {len(moments.u)} columns, as the moments do"
            raise ValueError(complaint("check_assumptions", "X", must, design.shape[1]))
        labels = signs(y, "check_assumptions", length=design.shape[0])
        # Mean and deviation are the sample's own, which brings the distance down (Lilliefors 1967:
        # 1.04/sqrt(n) along one direction); this is for the worst of all, from simulations.
        limit = 1.3 / np.sqrt(design.shape[0])
        projections = _projections(moments, design, labels, n_directions, seed)
    sd = np.sqrt(np.diag(moments.S))
    varies = sd > 0
    if varies.any():
        offset = float(np.max(np.abs(moments.mean[varies]) / sd[varies]))
    return Assumptions(
        n_samples=moments.n_samples,
        n_features=len(moments.u),
        rank=moments.rank,
        mu=moments.mu,
        L=moments.L,
        offset=offset,
        separation=-moments.rho_star,
        projections=projections,
        sampling_limit=limit,
    )


def _projections(
    moments: Moments, design: Design, labels: np.ndarray, n_directions: int, seed: int
) -> tuple[Projection, ...]:
    """z along S^-1 u, along u, and along the least Gaussian of some random directions."""
    from scipy.special import ndtr

    n = design.shape[0]
    grid = np.arange(n + 1) / n

    def project(name: str, w: np.ndarray) -> Projection:
        margins = -labels * design.matvec(w / moments.norm(w))
        mean = float(moments.u @ w) / moments.norm(w)
        # 1 - mean^2 is known to rounding; below that the labels are separated along w.
        sd = np.sqrt(max(1.0 - mean**2, np.finfo(float).eps))
        x = np.sort((margins - mean) / sd)
        F = ndtr(x)
        distance = float(max(np.max(grid[1:] - F), np.max(F - grid[:-1])))
        return Projection(name, distance, float(np.mean(x**3)), float(np.mean(x**4)) - 3.0)

    found = []
    if moments.u.any():
        found = [project("along S^-1 u", moments.solve(moments.u)), project("along u", moments.u)]
    rng = np.random.default_rng(seed)
    sd = np.sqrt(np.diag(moments.S))
    unit = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    random = [
        project("along a random direction", moments.project(unit * rng.standard_normal(len(unit))))
        for _ in range(whole_number(n_directions, "check_assumptions", "n_directions", at_least=1))
    ]
    return (*found, max(random, key=lambda p: p.distance))

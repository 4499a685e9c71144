"""The assumptions of the theorems, checked on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Design
from ..losses import LOSSES
from ..moments import Moments
from ..validation import complaint, signs, whole_number

_THEOREM_2 = "Theorem 2 (halfspaces)"


@dataclass(frozen=True)
class Projection:
    """How far a one-dimensional projection of z is from a normal distribution.

    Attributes
    ----------
    name : str
        The direction in words.
    distance : float
        The Kolmogorov-Smirnov distance, between 0 and 1.
    skewness : float
        The skewness, 0 for a normal distribution.
    excess_kurtosis : float
        The kurtosis minus 3, 0 for a normal distribution.
    """

    name: str
    distance: float
    skewness: float
    excess_kurtosis: float


@dataclass(frozen=True)
class Assumptions:
    """The conditions of the theorems on one data set; ``print`` shows them in words.

    Attributes
    ----------
    n_samples : int or None
        The number of samples; None for a population.
    n_features : int
        The number of features.
    rank : int
        The rank of S.
    mu : float
        The smallest non-zero eigenvalue of S.
    L : float
        The largest eigenvalue of S.
    offset : float
        The largest |mean|/sd of a column before centring; 0 for data that are centred already.
    separation : float
        u^T S^-1 u, which is at most 1 for a Gaussian z.
    projections : tuple of Projection
        z along S^-1 u, along u, and along the least Gaussian of some random directions; empty
        without data.
    sampling_limit : float
        The Kolmogorov-Smirnov distance that the least Gaussian direction of a Gaussian sample of
        this size exceeds with a probability of 1 %.

    See Also
    --------
    check_assumptions : Check the conditions on a data set.
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
        """Whether all distances are within sampling error, or within 0.01; None without data."""
        if not self.projections:
            return None
        return all(p.distance <= max(self.sampling_limit, 0.01) for p in self.projections)

    @property
    def guarantees(self) -> dict[str, str]:
        """What each theorem guarantees on the data set, in words, and a note on bounded losses."""
        bounded = " and ".join(name for name, loss in LOSSES.items() if loss.is_bounded)
        return {
            "Theorem 1 (least squares)": f"guaranteed: {self._rate()}.",
            _THEOREM_2: self._theorem_2(),
            "Bounded losses": (
                f"{bounded} have no finite minimiser on Gaussian data: use a length_penalty or a "
                "max_length."
            ),
        }

    def _rate(self) -> str:
        gain = min(self.mu / self.L, 1.0)
        digit = np.log(10.0) / (-2.0 * np.log1p(-gain)) if gain < 1 else 1.0
        return (
            f"each step of size 1/L leaves at most {(1 - gain) ** 2:.6g} of the direction gap "
            f"({digit:,.0f} steps per digit)"
        )

    def _theorem_2(self) -> str:
        if self.separation > 1 + 1e-9:
            return "not guaranteed: u^T S^-1 u > 1, so that no distribution has these moments."
        if self.gaussian is None:
            return f"guaranteed if z is Gaussian: {self._rate()}, for every loss."
        if self.gaussian:
            return (
                f"holds up to sampling error: z looks Gaussian, so that {self._rate()}, until the "
                "gap reaches the size of the sampling error."
            )
        worst = max(self.projections, key=lambda p: p.distance)
        return (
            f"not guaranteed: z is not Gaussian {worst.name} (distance {worst.distance:.3f}, of "
            f"which sampling error explains at most {self.sampling_limit:.3f}). gdnp is a "
            "heuristic here; compare it with the other methods."
        )

    def __str__(self) -> str:
        size = "population" if self.n_samples is None else f"n = {self.n_samples:,}"
        singular = "" if self.rank == self.n_features else " (singular: S^-1 is the pseudo-inverse)"
        centred = (
            "yes" if self.offset < 1e-8 else f"no, done implicitly (|mean|/sd {self.offset:.3g})"
        )
        lines = [
            f"Data             {size}, d = {self.n_features}, rank of S {self.rank}{singular}",
            f"Centred          {centred}",
            f"Spectrum of S    mu = {self.mu:.4g}, L = {self.L:.4g}, kappa {self.L / self.mu:.4g}",
            f"u^T S^-1 u       {self.separation:.6g} (must be <= 1)",
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
        The moments of the data.
    X : array-like or scipy sparse, shape (n, d), optional
        The data from which the moments were computed. Without the data the distribution of z is
        not examined.
    y : array-like, shape (n,), optional
        The two-valued labels of the rows of X.
    n_directions : int, default 32
        The number of random directions to examine.
    seed : int, default 0
        The seed of the random directions.

    Returns
    -------
    Assumptions
        The conditions; ``print`` shows them in words.

    Raises
    ------
    ValueError, TypeError
        If X comes without y, has weights or an intercept, or does not fit the moments.

    Notes
    -----
    Projections of high-dimensional data along random directions look Gaussian whatever the data are
    (Diaconis and Freedman 1984). The directions S^-1 u and u, which the theory uses, therefore
    matter more.

    References
    ----------
    P. Diaconis and D. Freedman, "Asymptotics of graphical projection pursuit", Annals of
    Statistics, 1984. H. Lilliefors, "On the Kolmogorov-Smirnov test for normality with mean and
    variance unknown", JASA, 1967.

    Examples
    --------
    >>> import numpy as np
    >>> import polarstep as ps
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([-1.0, 1.0], 500)
    >>> X = rng.standard_normal((1000, 3)) + y[:, None] * [1.0, 0.0, 0.0]
    >>> check_assumptions(ps.Moments.from_data(X, y), X, y).gaussian
    True
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
        # The sample's own mean and deviation reduce the distance (Lilliefors: 1.04/sqrt(n) along
        # one direction). The factor 1.3, found by simulation, is for the largest of all distances.
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
    """Project z along S^-1 u, along u, and along the least Gaussian of some random directions."""
    from scipy.special import ndtr

    n = design.shape[0]
    grid = np.arange(n + 1) / n

    def project(name: str, w: np.ndarray) -> Projection:
        margins = -labels * design.matvec(w / moments.norm(w))
        mean = float(moments.u @ w) / moments.norm(w)
        # The variance 1 - mean^2 vanishes, up to rounding, if w separates the labels.
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

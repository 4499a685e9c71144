"""Random problems for the tests: populations, samples, and hypothesis strategies for both."""

from dataclasses import dataclass
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
from scipy.integrate import quad

import polarstep as ps
from polarstep.losses import LOSSES
from polarstep.methods.table import METHODS as TABLE

LOSS_NAMES = sorted(LOSSES)
MARGIN_LOSSES = [name for name in LOSS_NAMES if name != "squared"]
BOUNDED = [name for name in LOSS_NAMES if LOSSES[name].is_bounded]
METHODS = sorted(TABLE.keys() - {"whitened"})  # the iterative methods


def d_arctan(a):
    return 1 / (1 + a**2)


def d2_arctan(a):
    return -2 * a / (1 + a**2) ** 2


ARCTAN = ps.MarginLoss(np.arctan, d_arctan, d2_arctan, name="arctan")


@dataclass(frozen=True)
class Population:
    """The moments u and S of a Gaussian z, with a generator for further random numbers."""

    u: np.ndarray
    S: np.ndarray
    rng: np.random.Generator

    @property
    def d(self):
        return len(self.u)

    @property
    def moments(self):
        return ps.Moments(self.u, self.S)

    def vector(self):
        """Draw a vector that is neither on the line S^-1 u nor orthogonal to u."""
        w = self.rng.standard_normal(self.d)
        if abs(self.u @ w) < 0.05 * np.linalg.norm(self.u) * np.linalg.norm(w):
            w = w + self.u / np.linalg.norm(self.u)
        return w

    def sample(self, n):
        """Draw X and balanced y, where x given y is N(-y u, S - u u^T)."""
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
        noise = self.rng.standard_normal((n, self.d)) @ root(self.S - np.outer(self.u, self.u))
        return noise - np.outer(y, self.u), y


def root(A):
    """Return the symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(A)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def covariance(rng, d, kappa=10.0, scale=1.0):
    """Draw an S with eigenvalues spread geometrically from scale/kappa to scale."""
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    S = (Q * (scale * np.geomspace(1.0 / kappa, 1.0, d))) @ Q.T if d > 1 else np.full((1, 1), scale)
    return (S + S.T) / 2


def population(seed=0, d=4, kappa=10.0, separation=0.5, scale=1.0):
    """Draw a population with the given condition number of S and u^T S^-1 u."""
    rng = np.random.default_rng(seed)
    S = covariance(rng, d, kappa, scale)
    v = rng.standard_normal(d)
    u = root(S) @ (v / np.linalg.norm(v)) * np.sqrt(separation)
    return Population(u, S, rng)


def two_class(seed=0, n=200, d=4, kappa=10.0, separation=0.5):
    """Draw X and y from a random population with Gaussian z."""
    return population(seed, d, kappa, separation).sample(n)


def skewed(seed=0, n=200, d=4, offset=1.0):
    """Draw X and y that are neither centred nor Gaussian nor balanced, and not separable."""
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(n, d)) @ rng.standard_normal((d, d)) + offset
    score = (X - X.mean(0)) @ rng.standard_normal(d) + 2.0 * rng.standard_normal(n)
    return X, np.where(score > np.quantile(score, 0.4), 1.0, -1.0)


def one_hot(seed=0, n=240, levels=(3, 4, 2)):
    """Return one-hot blocks X, labels y, and X without the first column of each block."""
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(k, size=n) for k in levels])
    codes[: max(levels)] = np.minimum(np.arange(max(levels))[:, None], np.array(levels) - 1)
    blocks = [np.eye(k)[c] for k, c in zip(levels, codes.T, strict=True)]
    effects = [rng.standard_normal(k) for k in levels]
    score = sum(e[c] for e, c in zip(effects, codes.T, strict=True)) + rng.standard_normal(n)
    y = np.where(score > np.median(score), 1.0, -1.0)
    return np.hstack(blocks), y, np.hstack([block[:, 1:] for block in blocks])


@st.composite
def populations(draw, min_d=1, max_d=6, max_kappa=1e4, separation=(0.01, 0.95)):
    """Draw populations, simple ones (few dimensions, well conditioned) first."""
    return population(
        seed=draw(st.integers(0, 10_000)),
        d=draw(st.integers(min_d, max_d)),
        kappa=10 ** draw(st.floats(0, np.log10(max_kappa))),
        separation=draw(st.floats(*separation)),
        scale=10 ** draw(st.floats(-2, 2)),
    )


def relative(a, b):
    """Return the largest |a - b| relative to the largest |b|."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300))


def numeric_gradient(f, x, h=1e-5):
    """Return the gradient of f at the vector x by fourth-order central differences."""
    x = np.asarray(x, float)
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        e = np.zeros_like(x)
        e[i] = h * max(1.0, abs(x[i]))
        gradient[i] = (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * e[i])
    return gradient


def derivative(f, t, h=1e-4):
    """Return the derivative of f at the number t by a fourth-order central difference."""
    h = h * max(1.0, abs(t))
    return (8 * (f(t + h) - f(t - h)) - (f(t + 2 * h) - f(t - 2 * h))) / (12 * h)


def integral(f, mean, sd):
    """Return E f(a) for a ~ N(mean, sd^2) by adaptive quadrature, split where f bends."""
    breaks = sorted({-9.0, 9.0, *np.clip(((np.array([-40, -8, 0, 8, 40]) - mean) / sd), -9, 9)})
    density = lambda x: f(np.float64(mean + sd * x)) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return sum(
        quad(density, a, b, epsabs=1e-13, epsrel=1e-13, limit=400)[0] for a, b in pairwise(breaks)
    )

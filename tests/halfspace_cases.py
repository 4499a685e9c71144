"""Data for a halfspace, and all combinations of weights, an intercept and penalties."""

import numpy as np
import pytest
import scipy.sparse as sp

from problems import skewed

X, Y = skewed(11, 120, 3)
X[np.random.default_rng(0).uniform(size=X.shape) < 0.3] = 0.0
X[:, 1] += 2.0
WEIGHTS = np.random.default_rng(1).exponential(size=120) * (np.arange(120) % 7 > 0)
WT = np.array([0.7, -0.4, 0.2, 0.3])
FORMS = {
    "C": np.asarray,
    "F": np.asfortranarray,
    "csr": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
}


def variants():
    """Yield every combination of weights, intercept and penalties as a pytest parameter."""
    for weights in (None, WEIGHTS):
        for intercept in (False, True):
            for alpha, lam in ((0.0, 0.0), (0.3, 0.0), (0.2, 0.1)):
                name = f"{'weights' if weights is not None else 'plain'}-{alpha}-{lam}"
                options = {"l2_penalty": alpha, "length_penalty": lam, "intercept": intercept}
                yield pytest.param(options | {"sample_weight": weights}, id=name + "-b" * intercept)


VARIANTS = list(variants())


def written_out(objective, w, X=X, weights=None):
    """Return the objective, computed from its definition."""
    s = np.ones(len(X)) if weights is None else weights
    wt, b = (w[:-1], w[-1]) if objective.intercept else (w, 0.0)
    centred = X - np.average(X, axis=0, weights=s)
    loss = objective.loss.phi(-objective.labels * (centred @ wt + b))
    squared = np.average((centred @ wt) ** 2, weights=s)
    penalties = objective.length_penalty * squared + objective.l2_penalty * wt @ wt
    return np.average(loss, weights=s) + 0.5 * penalties

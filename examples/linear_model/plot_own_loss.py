"""
Defining your own margin loss
=============================

A margin loss is given by its value and its first two derivatives. Every method of the library
accepts it, and so does the classifier. This example adds the *exponential* loss of boosting, with
quadratic growth instead of exponential growth for wrong predictions, and plots it beside the
built-in losses.
"""

# %%
# The loss
# --------
#
# The margin :math:`a = -y\,x^\top \tilde w` is negative where the prediction is right. The loss is
# :math:`\varphi(a) = e^a` for :math:`a \le 0` and :math:`1 + a + a^2/2` beyond, which has two
# continuous derivatives. Its second derivative is at most 1, which is the ``curvature``.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score

import polarstep as ps


def value(a: np.ndarray) -> np.ndarray:
    positive = np.maximum(a, 0.0)
    return np.exp(np.minimum(a, 0.0)) + positive + 0.5 * positive**2


def slope(a: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(a, 0.0)) + np.maximum(a, 0.0)


def curvature(a: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(a, 0.0))


boosting = ps.MarginLoss(value, slope, curvature, name="boosting", curvature=1.0)

# %%
# Check the derivatives by finite differences, because methods fail silently if one is wrong.

a = np.linspace(-4.0, 4.0, 81)
step = 1e-5
assert np.allclose(slope(a), (value(a + step) - value(a - step)) / (2 * step), atol=1e-8)
assert np.allclose(curvature(a), (slope(a + step) - slope(a - step)) / (2 * step), atol=1e-4)

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for loss in (boosting, *ps.losses.LOSSES.values()):
    axis.plot(a, loss.phi(a), label=loss.name)
axis.set_ylim(0.0, 6.0)
axis.set_xlabel("margin a (negative: the prediction is right)")
axis.set_ylabel("loss")
axis.legend()
plt.show()

# %%
# In the classifier
# -----------------
#
# Your own loss is evaluated by NumPy instead of compiled code, which costs a second read of the
# data in every pass.

X, y = load_breast_cancer(return_X_y=True)
for loss in ("softplus", boosting):
    scores = cross_val_score(ps.HalfspaceClassifier(loss=loss), X, y, cv=5)
    print(f"{loss!s:10} accuracy {scores.mean():.3f}")

# %%
# In the methods of the paper
# ---------------------------
#
# On Gaussian data, the direction of GDNP does not depend on the loss, so that the bound of Theorem
# 1 holds for this loss too.

rng = np.random.default_rng(0)
S = np.diag(np.linspace(1.0, 20.0, 8))
u = 0.3 * np.sqrt(np.diag(S)) * rng.normal(size=8) / np.sqrt(8)
problem = ps.GaussianHalfspace(u, S, loss=boosting)
result = ps.minimize(problem, method="gdnp", w0=rng.normal(size=8), max_iter=400)
gaps = result.trace.direction_gap
bound = ps.theory.rate_bound(problem.moments, gaps[0], len(gaps) - 1)
print(f"{result.status.name}; below the bound at every iterate: {bool(np.all(gaps <= bound))}")

"""
Wrong labels: convex and bounded losses
=======================================

A convex loss grows without limit as a point moves to the wrong side. A few mislabelled points far
from the boundary can therefore turn the boundary. A bounded loss limits the cost of each point.

This example flips the labels of the most clearly positive training points and measures the accuracy
on a clean test set.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from polarstep import HalfspaceClassifier

dimension, n_train, n_test = 20, 2_000, 20_000
shares = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45])
losses = ("softplus", "smooth_hinge", "sigmoid", "normal_cdf")


def two_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two spherical Gaussian classes whose means are 2.4 apart; labels are -1 and +1."""
    y = rng.choice([-1.0, 1.0], size=n)
    X = rng.normal(size=(n, dimension))
    X[:, 0] += 1.2 * y
    return X, y


def accuracies(seed: int) -> np.ndarray:
    """Return the test accuracies, shape (losses, shares)."""
    rng = np.random.default_rng(seed)
    X, y = two_classes(n_train, rng)
    X_test, y_test = two_classes(n_test, rng)
    positive = np.flatnonzero(y > 0)
    farthest_first = positive[np.argsort(-X[positive, 0])]
    found = np.empty((len(losses), len(shares)))
    for j, share in enumerate(shares):
        noisy = y.copy()
        noisy[farthest_first[: round(share * len(positive))]] = -1.0
        for i, loss in enumerate(losses):
            model = HalfspaceClassifier(loss=loss, n_restarts=2, max_iter=500).fit(X, noisy)
            found[i, j] = model.score(X_test, y_test)
    return found


# %%
# A bounded loss may have several local minima. With ``n_restarts``, the classifier also runs from
# further starting points and keeps the solution of lowest objective.

accuracy = np.stack([accuracies(seed) for seed in range(3)])
mean = accuracy.mean(axis=0)
for loss, row in zip(losses, mean, strict=True):
    print(f"{loss:13}" + "".join(f"{value:8.3f}" for value in row))

# %%
# The bounded losses keep their accuracy until the wrong labels are so numerous that another
# boundary, which fits them, has the lower objective. Beyond this limit the accuracy falls abruptly.

figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
for marker, loss, row in zip("osd^", losses, mean, strict=True):
    axis.plot(100 * shares, row, f"{marker}-", label=loss)
axis.set_xlabel("share of positive training points that are labelled negative, in per cent")
axis.set_ylabel("accuracy on clean labels")
axis.legend()
plt.show()

"""Data with columns in different units, and fits to them, for the tests of the classifier."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from newton import Reference
from polarstep import HalfspaceClassifier

RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 100.0, 1e-3, 5.0])
X = RNG.exponential(size=(300, 4)) * UNITS + [3.0, 0.0, 1.0, -50.0]
SCORE = (X - X.mean(0)) / X.std(0) @ [1.0, -2.0, 0.5, 1.0] + RNG.logistic(size=300)
Y = (SCORE > 0.3).astype(int)
THREE = np.digitize(SCORE, [-1.0, 1.0])
WEIGHT = RNG.exponential(size=300)


def fit(X=X, y=Y, weight=None, **options):
    return HalfspaceClassifier(**{"tol": 1e-10, **options}).fit(X, y, weight)


def excess(model, X, y, weight=None, k=0):
    """Return the relative suboptimality of the fit of class k, from Newton's method."""
    sign = np.where(y == model.classes_[1 if len(model.classes_) == 2 else k], 1.0, -1.0)
    alpha = 1.0 / model.C
    options = {"intercept": model.fit_intercept, "weight": weight}
    reference = Reference(X, sign, model.loss, alpha, **options)
    return reference.excess(model.coef_[k], model.intercept_[k])


def logistic(X=X, y=Y, weight=None, **options):
    """Return the optimum that scikit-learn finds."""
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000, **options)
    return model.fit(X, y, weight)


def spoiled(value, convert=np.asarray):
    bad = X.copy()
    bad[7, 2] = value
    return convert(bad)

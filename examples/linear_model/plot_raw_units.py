"""
Features in raw units, compared with L-BFGS
===========================================

The columns of the breast cancer data range from thousandths to thousands. A quasi-Newton method
that starts from the identity matrix, such as scikit-learn's default solver ``lbfgs``, must first
learn these units, and stops at its iteration limit long before the optimum. polarstep takes its
steps in the metric of the data, so that its steps do not depend on the units.
"""

# %%
# Both solvers minimize the log-loss summed over samples plus :math:`\|w\|^2/(2C)`. Newton's method
# (``newton-cholesky``) computes the optimum with which the two are compared.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from polarstep import HalfspaceClassifier

X, y = load_breast_cancer(return_X_y=True)
sign = np.where(y == 1, 1.0, -1.0)


def objective(model, X=X) -> float:
    """Return the penalised log-loss of a fitted model with C = 1."""
    margins = sign * model.decision_function(X)
    return np.logaddexp(0.0, -margins).sum() + 0.5 * np.square(model.coef_).sum()


optimum = objective(
    LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
)

# %%
# scikit-learn's solver keeps no record of its iterations. It is therefore run repeatedly with
# growing iteration limits.

limits = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
reached = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    for limit in limits:
        fitted = LogisticRegression(tol=1e-10, max_iter=limit).fit(X, y)
        reached.append(objective(fitted) / optimum - 1.0)

model = HalfspaceClassifier(C=1.0, tol=1e-10).fit(X, y)
trace = model.result_.trace
print(f"polarstep: {model.result_.status.name} after {model.result_.n_passes} passes")
print(f"relative suboptimality of polarstep: {abs(objective(model) / optimum - 1.0):.1e}")
print(f"relative suboptimality of lbfgs after {limits[-1]} iterations: {reached[-1]:.1e}")

# %%
# polarstep's trace holds the objective at every iterate and the number of passes over the data,
# including partial ones over subsamples. The trace's objective is an average over samples and is
# therefore multiplied by their number.

ours = np.maximum(trace.fun * len(y) / optimum - 1.0, 1e-15)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.loglog(limits, np.maximum(reached, 1e-15), "o-", label="lbfgs, raw units")
axis.loglog(np.maximum(trace.passes, 1), ours, "s-", label="polarstep, raw units")
axis.set_xlabel("passes over the data (polarstep), iterations (lbfgs)")
axis.set_ylabel("relative suboptimality")
axis.legend()
plt.show()

# %%
# Standardising the columns is the usual remedy, but it changes the model: the penalty then applies
# to the weights of the standardised columns, and the optimum differs.

standardised = StandardScaler().fit_transform(X)
other = LogisticRegression(max_iter=1000).fit(standardised, y)
print(f"largest weight on raw columns: {np.abs(model.coef_).max():.3g}")
print(f"largest weight on standardised columns: {np.abs(other.coef_).max():.3g}")

"""
Choosing C by cross-validation
==============================

The penalty of a logistic regression keeps its weights small. Too much of it hides what the data
say, and too little lets the model follow chance. ``LogisticRegressionCV`` fits the models of many
values of C to many folds at once, scores each of them on the rows that its fold held out, and keeps
the best C.
"""

# %%
# The columns of the breast cancer data have different units. They are standardised first, because
# one penalty is to act on all of them alike. Ten folds and 25 values of C are 250 models.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from polarstep import HalfspaceClassifier, LogisticRegressionCV

X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
Cs = np.logspace(-4, 4, 25)


def cross_validate(scoring: str) -> LogisticRegressionCV:
    """Return the fit whose C is the best by a score."""
    model = LogisticRegressionCV(Cs=Cs, cv=10, scoring=scoring, use_legacy_attributes=False)
    return model.fit(X, y)


by_accuracy, by_log_loss = cross_validate("accuracy"), cross_validate("neg_log_loss")
print(f"best C: {by_accuracy.C_:.3g} by accuracy, {by_log_loss.C_:.3g} by log-loss")

# %%
# A mean over ten folds has a standard error, which the bands show. Many values of C are as good as
# the best one within this error. The one-standard-error rule of Breiman and others takes the
# smallest of them: the simplest model that the data do not tell from the best.


def mean_and_error(model: LogisticRegressionCV) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean score of each C over the folds, and its standard error."""
    scores = model.scores_[:, 0]  # the second axis is that of scikit-learn's l1_ratios
    return scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(len(scores))


figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for axis, model, title in (
    (axes[0], by_accuracy, "accuracy"),
    (axes[1], by_log_loss, "mean log-likelihood"),
):
    mean, error = mean_and_error(model)
    best = mean.argmax()
    simplest = np.flatnonzero(mean >= mean[best] - error[best])[0]
    axis.fill_between(Cs, mean - error, mean + error, alpha=0.25)
    axis.semilogx(Cs, mean, "o-", markersize=3)
    axis.axvline(Cs[best], color="black", linewidth=1, label=f"best: C = {Cs[best]:.2g}")
    axis.axvline(
        Cs[simplest], color="black", linestyle=":", label=f"simplest: C = {Cs[simplest]:.2g}"
    )
    axis.set_xlabel("C")
    axis.set_title(f"{title} of the held-out rows")
    axis.legend(loc="lower center")
axes[0].set_ylim(0.9, 1.0)
axes[1].set_ylim(-0.4, 0.0)
plt.show()

# %%
# The accuracy counts only on which side of the boundary a row lies, and so it moves in steps and
# falls slowly as C grows. The log-loss also asks how sure the model was: with C = 10,000 the few
# errors are made with great confidence.

for C in (1.0, 1e4):
    at = np.abs(Cs - C).argmin()
    accuracy, loss = mean_and_error(by_accuracy)[0][at], -mean_and_error(by_log_loss)[0][at]
    print(f"C = {Cs[at]:8.5g}: accuracy {accuracy:.3f}, log-loss {loss:.3f}")

# %%
# ``HalfspaceClassifier.path`` yields the weights of all values of C without folds. They grow with C
# and, from some point on, do so to explain single rows.

_, coefs, _ = HalfspaceClassifier().path(X, y, Cs)
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.semilogx(Cs, coefs[:, 0], linewidth=1)
axis.axvline(by_log_loss.C_, color="black", linewidth=1)
axis.set_yscale("symlog", linthresh=1.0)
axis.set_xlabel("C")
axis.set_ylabel("weights")
plt.show()

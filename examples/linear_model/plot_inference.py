"""
How sure the coefficients are
=============================

``summary`` gives the coefficients of a logistic regression with standard errors and intervals.
Which errors are right depends on what is assumed of the rows. This example draws the intervals of
one data set under several assumptions, and then counts how often each kind of interval covers the
truth.
"""

# %%
# The data are 1,200 visits of 120 patients. A patient's dose is the same in all visits, and so is a
# disposition that no column holds. The visits of a patient are therefore not independent.

import matplotlib.pyplot as plt
import numpy as np

from polarstep import LogisticRegression
from polarstep.linear_model.inference import summary

NAMES = ["dose", "age", "time of day"]


def visits(rng, patients=120, per_patient=10):
    """Return the rows, the labels and the patient of each row."""
    patient = np.repeat(np.arange(patients), per_patient)
    dose, disposition = rng.standard_normal((2, patients))
    X = np.column_stack([dose[patient], rng.standard_normal((len(patient), 2))])
    score = 0.6 * X[:, 0] + 0.4 * X[:, 1] + 1.2 * disposition[patient] - 0.3
    return X, rng.logistic(size=len(patient)) < score, patient


X, y, patient = visits(np.random.default_rng(0))
model = LogisticRegression(C=np.inf).fit(X, y)
clustered = summary(model, X, y, covariance="cluster", groups=patient, feature_names=NAMES)
print(clustered)

# %%
# The errors from the model, and the robust ones (HC3), take the visits for independent. Clustered
# errors, and a bootstrap that draws whole patients, do not: they know that there are only 120
# doses. For the columns that differ from visit to visit, all of them agree.

kinds = {
    "from the model": summary(model, X, y),
    "HC3": summary(model, X, y, covariance="HC3"),
    "clustered": clustered,
    "bootstrap of patients": summary(
        model, X, y, covariance="cluster", groups=patient, bootstrap=500
    ),
}
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for k, (name, found) in enumerate(kinds.items()):
    at = np.arange(len(NAMES)) + 0.16 * (1.5 - k)
    low, high = found.interval[:-1].T
    axis.errorbar(
        found.coef[:-1], at, xerr=[found.coef[:-1] - low, high - found.coef[:-1]],
        fmt="o", capsize=3, label=name,
    )  # fmt: skip
axis.axvline(0.0, color="0.6", linewidth=1)
axis.set_yticks(range(len(NAMES)), NAMES)
axis.set_xlabel("coefficient and 95% interval")
axis.legend(loc="upper right")
plt.show()

# %%
# In 100 new data sets, we count how often the interval of the dose covers the coefficient of a fit
# to a very large data set.

large, labels, _ = visits(np.random.default_rng(1), patients=20_000)
truth = LogisticRegression(C=np.inf).fit(large, labels).coef_[0, 0]
hits = dict.fromkeys(["model", "HC3", "cluster"], 0)
rng = np.random.default_rng(2)
for _ in range(100):
    X, y, patient = visits(rng)
    model = LogisticRegression(C=np.inf).fit(X, y)
    for kind in hits:
        groups = patient if kind == "cluster" else None
        low, high = summary(model, X, y, covariance=kind, groups=groups).interval[0]
        hits[kind] += low <= truth <= high
for kind, count in hits.items():
    print(f"{kind:8} 95% intervals of the dose cover it in {count}% of the data sets")

# %%
# Intervals that take the visits for independent cover the coefficient far less often than they say.

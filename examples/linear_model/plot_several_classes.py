"""
Several classes: softmax or one against the rest
================================================

Softmax regression fits all classes at once. The alternative fits one binary problem for each class.
This example shows data on which the two differ, and compares their probabilities on handwritten
digits.
"""

# %%
# Three classes lie one behind the other. Each of the outer ones can be separated from the other two
# by a line, but the middle one cannot.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from polarstep import HalfspaceClassifier, LogisticRegression

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [3.0, 1.0], [6.0, 2.0]])
y = rng.integers(3, size=900)
X = centres[y] + rng.normal(size=(900, 2))

softmax = LogisticRegression().fit(X, y)
against_rest = HalfspaceClassifier().fit(X, y)

# %%
# The black lines are where the probability of the middle class is 0.5. Softmax finds the strip
# between its neighbours. Against the rest, the middle class has no direction to follow: its score
# is almost constant, and with it its probability against the rest, a third. The strip appears
# only because the neighbours are unlikely there. Far beyond them, where the middle class does not
# occur, a third against an outer class with the probability 1 still leaves it a quarter.

grid = np.stack(np.meshgrid(np.linspace(-3, 9, 200), np.linspace(-3, 5, 200)), axis=-1)
points = grid.reshape(-1, 2)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
models = {"softmax": softmax, "one against the rest": against_rest}
for axis, (name, model) in zip(axes, models.items(), strict=True):
    middle = model.predict_proba(points)[:, 1].reshape(grid.shape[:2])
    shades = axis.pcolormesh(grid[..., 0], grid[..., 1], middle, cmap="Blues", vmin=0, vmax=1)
    axis.contour(grid[..., 0], grid[..., 1], middle, levels=[0.5], colors="black")
    for k, marker in enumerate("os^"):
        axis.scatter(*X[y == k][:60].T, s=12, marker=marker, label=f"class {k}")
    axis.set_title(name)
axes[0].legend()
figure.colorbar(shades, label="probability of class 1")
plt.show()

# %%
# For every unit of the first feature, the log-odds of class 2 against class 0 change by the
# difference of their weights. The weights of softmax sum to zero over the classes.

print("softmax", softmax.coef_.round(2).tolist(), "sum", softmax.coef_.sum(axis=0).round(10))
print("one against the rest", against_rest.coef_.round(2).tolist())

# %%
# Each handwritten digit can be separated from the others rather well, so both models are equally
# accurate. How good the probabilities are shows in the mean negative logarithm of the probability
# of the true digit, which is lower for softmax. ``predict_log_proba`` is accurate even where a
# probability is too small for a float.

data, digits = load_digits(return_X_y=True)
train, test, train_digits, test_digits = train_test_split(data, digits, random_state=0)
strengths = np.logspace(-4, 1, 6)
losses = {}
for name, kind in (("softmax", LogisticRegression), ("one against the rest", HalfspaceClassifier)):
    fits = [kind(C=C).fit(train, train_digits) for C in strengths]
    logarithms = [model.predict_log_proba(test) for model in fits]
    losses[name] = [-table[np.arange(len(test)), test_digits].mean() for table in logarithms]
    best = int(np.argmin(losses[name]))
    print(
        f"{name}: lowest loss {losses[name][best]:.3f} at C = {strengths[best]:g}, "
        f"accuracy {fits[best].score(test, test_digits):.3f}"
    )

# %%

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, values in losses.items():
    axis.semilogx(strengths, values, "o-", label=name)
axis.set_xlabel("C")
axis.set_ylabel("mean negative log-likelihood on test data")
axis.legend()
plt.show()

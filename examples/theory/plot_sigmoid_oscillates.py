"""
Where GDNP oscillates: the sigmoid on one-hot data
==================================================

The theorems assume Gaussian features. This example violates that assumption on purpose: it uses
one-hot features, like the a9a data of the paper. With a convex loss, GDNP still keeps up with tuned
gradient descent; with the bounded sigmoid, it oscillates.
"""

# %%
# Simulated one-hot data
# ----------------------
#
# Fourteen categories of different sizes with skewed frequencies, as in census data.

import matplotlib.pyplot as plt
import numpy as np

import polarstep as ps

rng = np.random.default_rng(3)
n = 4_000
columns = []
for levels in (5, 8, 16, 7, 14, 6, 5, 2, 3, 3, 4, 9, 12, 20):
    frequencies = rng.dirichlet(np.full(levels, 0.4))
    columns.append(np.eye(levels)[rng.choice(levels, n, p=frequencies)])
X = np.hstack(columns)
score = X @ rng.normal(size=X.shape[1])
y = np.where(score - np.quantile(score, 0.76) + rng.logistic(size=n) > 0, 1.0, -1.0)
print(f"{n:,} rows, {X.shape[1]} columns, {np.mean(y > 0):.0%} positive")

# %%
# The assumptions can be checked before a method is chosen.

moments = ps.Moments.from_data(X, y)
print(ps.theory.check_assumptions(moments, X, y))

# %%
# Two losses, two methods
# -----------------------
#
# Gradient descent uses the best of four constant step sizes; GDNP has no step size to tune.

settings = {
    "softplus (convex)": {"loss": "softplus"},
    "sigmoid (bounded), length penalty 1e-3": {"loss": "sigmoid", "length_penalty": 1e-3},
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for axis, (title, options) in zip(axes, settings.items(), strict=True):
    problem = ps.Halfspace(X, y, **options)
    descents = [
        ps.minimize(problem, "gd", max_iter=300, step_size=factor / problem.smoothness)
        for factor in (1, 3, 10, 30)
    ]
    best = min(descents, key=lambda result: result.fun)
    gdnp = ps.minimize(problem, "gdnp", max_iter=300)
    axis.plot(best.trace.fun, label="gradient descent, best of four steps")
    axis.plot(gdnp.trace.fun, label="GDNP", alpha=0.8)
    axis.set_title(title)
    axis.set_xlabel("iteration")
    rises = int(np.sum(np.diff(gdnp.trace.fun) > 1e-12))
    print(f"{title}: GDNP ends at {gdnp.fun:.4f}, gradient descent at {best.fun:.4f};")
    print(f"    the objective rises in {rises} of GDNP's {gdnp.n_iter} steps")
axes[0].set_ylabel("objective")
axes[0].legend()
plt.show()

# %%
# For such data the classifier's own method, which does not rely on the Gaussian model beyond its
# start, is the better choice.

model = ps.HalfspaceClassifier(loss="sigmoid", n_restarts=2).fit(X, y)
print(model.result_.status.name, f"accuracy {model.score(X, y):.3f}")

"""
A fit on Dask
=============

Data that do not fit into memory, or that already live on a cluster, can be fitted where they are.
``fit`` takes Dask arrays and Dask data frames; the workers keep their blocks of rows, and only sums
over rows travel.
"""

# %%
# Blocks of rows
# --------------
#
# The example makes 20 blocks of 10,000 rows. They are computed by Dask's threads here; with a
# ``distributed.Client`` the same lines use its workers.

import dask.array as da
import numpy as np

from polarstep import HalfspaceClassifier

rows, columns, blocks = 10_000, 30, 20
scales = np.logspace(-3, 3, columns)
weights = np.random.default_rng(0).normal(size=columns) / scales


def block(seed: int) -> np.ndarray:
    """A block of rows: the features, and the label in the last column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns)) * scales
    labels = rng.random(rows) < 1.0 / (1.0 + np.exp(-X @ weights))
    return np.column_stack([X, labels])


def lazy(seed: int) -> da.Array:
    return da.map_blocks(
        lambda _: block(seed),
        da.zeros((rows, columns + 1), chunks=(rows, columns + 1)),
        dtype=float,
    )


table = da.concatenate([lazy(seed) for seed in range(blocks)])
X, y = table[:, :columns], table[:, columns]
X

# %%
# The fit
# -------

model = HalfspaceClassifier(C=1.0, tol=1e-10).fit(X, y)
print(f"{model.result_.status.name} after {model.result_.n_passes} passes over {len(X):,} rows")

# %%
# Predictions of Dask collections are lazy as well.

accuracy = (model.predict(X) == y).mean()
print(f"accuracy: {accuracy.compute():.3f}")

# %%
# The same data in memory
# -----------------------
#
# The result does not depend on where the rows are, up to the accuracy that was asked for.

in_memory = HalfspaceClassifier(C=1.0, tol=1e-10).fit(X.compute(), y.compute())
difference = np.abs((model.coef_ - in_memory.coef_) * scales).max()
print(f"largest difference of a weight, in units of its feature: {difference:.1e}")

"""
A fit on Dask
=============

``fit`` takes Dask arrays and Dask data frames, whose data may exceed the memory of one machine. The
workers keep their blocks of rows and send only sums over rows.
"""

# %%
# Blocks of rows
# --------------
#
# The example makes 20 blocks of 10,000 rows. Here they are computed by Dask's threads; once a
# ``distributed.Client`` exists, the same code runs on its workers.

import dask.array as da
import numpy as np

from polarstep import HalfspaceClassifier

rows, columns, blocks = 10_000, 30, 20
scales = np.logspace(-3, 3, columns)
weights = np.random.default_rng(0).normal(size=columns) / scales


def block(seed: int) -> np.ndarray:
    """Make a block of rows, with the label in the last column."""
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
# Up to the requested accuracy, the result does not depend on where the rows are stored.

in_memory = HalfspaceClassifier(C=1.0, tol=1e-10).fit(X.compute(), y.compute())
difference = np.abs((model.coef_ - in_memory.coef_) * scales).max()
print(f"largest difference between weights, in units of the features: {difference:.1e}")

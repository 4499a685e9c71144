"""
Adding your own method
======================

A method is a parameterization of the weight, a rule for the direction and a rule for the length.
The loop, the traces and the stopping rule are shared. This example writes a direction rule,
combines it with a length rule of the library, and races the new method against those of the paper.
"""

# %%
# The rule
# --------
#
# A function of the objective and the parameterization makes the direction rule; its keyword-only
# arguments become options of ``minimize``. The rule itself takes an iterate and returns the next
# vector :math:`w`.
#
# This one adds heavy-ball momentum to GDNP's direction step. With the gradient
# :math:`S w - u\,\|w\|_S^2/(u^\top w)` of the direction it steps to
#
# .. math:: w_{t+1} = w_t - \frac{1}{L}\left(S w_t - u\,\frac{\|w_t\|_S^2}{u^\top w_t}\right)
#           + \beta\,(w_t - w_{t-1}).

import matplotlib.pyplot as plt
import numpy as np

import polarstep as ps
from polarstep.methods import lengths
from polarstep.methods.parameterization import batch_norm
from polarstep.methods.table import Method


def heavy_ball(objective, parameterization, *, beta: float = 0.7):
    """The direction step of Theorem 1 with momentum."""
    moments = objective.moments
    before = None

    def rule(it):
        nonlocal before
        v = it.ray.v  # the unit vector w/||w||_S
        gradient = moments.S @ v - moments.u / (moments.u @ v)
        step = -gradient / moments.L
        if before is not None:
            step += beta * (v - before)
        before = v
        return v + step

    return rule


heavy = Method("heavy", batch_norm, heavy_ball, lengths.length_search)

# %%
# The race
# --------
#
# The condition number of the covariance is 100.

rng = np.random.default_rng(1)
d = 20
Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
S = (Q * np.geomspace(1.0, 100.0, d)) @ Q.T
S = 0.5 * (S + S.T)
u = rng.normal(size=d)
u *= np.sqrt(0.5 / (u @ np.linalg.solve(S, u)))
problem = ps.GaussianHalfspace(u, S, loss="softplus")
w0 = rng.normal(size=d)

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for name, method, options in (
    ("gdnp", "gdnp", {}),
    ("gdnp, step 1.9/L", "gdnp", {"step_size": 1.9 / problem.moments.L}),
    ("with momentum 0.7", heavy, {"beta": 0.7}),
    ("with momentum 0.9", heavy, {"beta": 0.9}),
):
    result = ps.minimize(problem, method, w0, max_iter=2000, tol=1e-8, **options)
    axis.semilogy(np.maximum(result.trace.direction_gap, 1e-16), label=name)
    print(f"{name:18} {result.status.name:10} after {result.n_iter} iterations")
axis.set_xlabel("iteration")
axis.set_ylabel("direction gap")
axis.legend()
plt.show()

# %%
# Nothing else had to change: ``minimize`` checks the options and rejects unknown ones with a list
# of the known ones, and the trace counts every pass over the data.

try:
    ps.minimize(problem, heavy, w0, momentum=0.7)
except TypeError as error:
    print(error)

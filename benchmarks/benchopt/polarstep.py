"""polarstep as a solver of benchopt's benchmark of L2-regularised logistic regression.

The benchmark minimises sum_i log(1 + exp(-y_i x_i^T beta)) + lmbd/2 ||beta||^2 without an
intercept. polarstep's objective divided by C is the same with C = 1/lmbd. The tolerance, from
which benchopt draws a curve, bounds the estimated relative suboptimality at which the fit stops.
"""

from benchopt import BaseSolver

import polarstep as ps

LOOSEST, TIGHTEST = 0.1, 1e-15  # benchopt begins with a tolerance of 3e38


class Solver(BaseSolver):
    name = "polarstep"
    sampling_strategy = "tolerance"
    install_cmd = "conda"
    requirements = ["pip::polarstep"]
    parameters = {"n_jobs": [1]}
    references = [
        "J. Kohler, H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr, T. Hofmann, "
        '"Exponential convergence rates for Batch Normalization: The power of length-direction '
        'decoupling in non-convex optimization", AISTATS 2019.'
    ]

    @staticmethod
    def get_next(tolerance):
        """Return the tolerance of the next point of the curve."""
        return min(tolerance, LOOSEST) / 10

    def set_objective(self, X, y, lmbd):
        self.X, self.y = X, y
        self.model = ps.LogisticRegression(
            C=1 / lmbd, fit_intercept=False, max_iter=1000, n_jobs=self.n_jobs
        )

    def warm_up(self):
        """Load the compiled kernels before the first run is timed."""
        self.run(LOOSEST)

    def run(self, tolerance):
        self.model.set_params(tol=min(max(tolerance, TIGHTEST), LOOSEST)).fit(self.X, self.y)

    def get_result(self):
        return {"beta": self.model.coef_.ravel()}

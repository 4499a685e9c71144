"""A damped Newton method that computes the optimum of a linear classifier, for tests.

Columns are centred and scaled, and sums are taken in long doubles. Only the losses are shared with
the code under test.
"""

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from polarstep.losses import margin_loss

LONG = np.longdouble


class Reference:
    """F(w, b) = sum s phi(-y (x^T w + b)) + (alpha/2) ||w||^2, and its optimum.

    Attributes
    ----------
    fun : float
        F at the optimum; for a loss that is not convex, at the local minimum below the start.
    w : ndarray, shape (d,)
    b : float
        The optimum for the columns as they were given.
    """

    def __init__(self, X, y, loss, alpha, *, intercept=True, weight=None, start=None):
        X = (X.toarray() if sp.issparse(X) else np.asarray(X)).astype(LONG)
        self.y, self.loss = np.asarray(y, LONG), margin_loss(loss)
        self.s = np.ones(len(X), LONG) if weight is None else np.asarray(weight, LONG)
        self.intercept = intercept
        self.centre = np.zeros(X.shape[1], LONG)
        if intercept:  # relative to the first row, so that a constant column becomes exactly zero
            self.centre = X[0] + self.s @ (X - X[0]) / self.s.sum()
        Z = X - self.centre
        self.unit = np.sqrt(self.s @ np.square(Z) / self.s.sum())
        self.unit[self.unit == 0] = 1.0
        self.penalty = LONG(alpha) / np.square(self.unit)
        self.Z = Z / self.unit
        if intercept:
            self.Z = np.hstack([self.Z, np.ones((len(X), 1), LONG)])
            self.penalty = np.append(self.penalty, 0.0)
        self.theta = np.zeros(self.Z.shape[1], LONG)
        if start is not None:
            self.theta = self._inside(*start)
        self._newton()
        self.fun = float(self._value(self.theta))
        w = self.theta[: X.shape[1]] / self.unit
        self.w = w.astype(float)
        self.b = float(self.theta[-1] - self.centre @ w) if intercept else 0.0

    def value(self, w, b=0.0):
        """Return F(w, b) for the columns as they were given."""
        return float(self._value(self._inside(w, b)))

    def excess(self, w, b=0.0):
        """Return the relative suboptimality (F(w, b) - F*)/F*."""
        return float((self._value(self._inside(w, b)) - self._value(self.theta)) / self.fun)

    def _inside(self, w, b):
        w = np.asarray(w, LONG)
        theta = w * self.unit
        return np.append(theta, LONG(b) + self.centre @ w) if self.intercept else theta

    def _value(self, theta):
        a = -self.y * (self.Z @ theta)
        if self.loss.name == "softplus":
            phi = np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
        else:
            phi = self.loss.phi(a.astype(float))
        return self.s @ phi + 0.5 * (self.penalty @ np.square(theta))

    def _newton(self):
        value, ridge, Z = self._value(self.theta), 0.0, self.Z.astype(float)
        bound = (self.loss.sup_curvature * self.s.sum() + self.penalty).astype(float)
        for _ in range(1000):
            a = (-self.y * (self.Z @ self.theta)).astype(float)
            g = self.Z.T @ (-self.y * self.s * self.loss.dphi(a)) + self.penalty * self.theta
            h = (self.s * self.loss.d2phi(a)).astype(float)
            H = (Z.T * h) @ Z + np.diag(self.penalty.astype(float))
            size = np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-15 * bound))
            H /= np.outer(size, size)
            while True:  # Levenberg's damping for far starts and for singular or indefinite H
                try:
                    factor = la.cho_factor(H + (ridge + 1e-15) * np.eye(len(H)))
                except la.LinAlgError:
                    new = np.inf
                else:
                    step = -la.cho_solve(factor, g.astype(float) / size) / size
                    new = self._value(self.theta + step)
                if new <= value:
                    break
                ridge = max(10 * ridge, 1e-14)
                if ridge > 1e30:
                    return
            gain = -float(g @ step) + float(value - new)
            self.theta, value = self.theta + step, new
            if gain <= 1e-17 * abs(float(value)):
                return
            ridge = ridge / 30 if ridge > 1e-13 else 0.0

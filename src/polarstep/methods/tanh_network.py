"""One hidden layer of tanh units, trained unit by unit with GDNP (Theorem 3).

F(x) = sum_i theta_i tanh(x^T wt_i), f = E l(-y F(x)) = E l(F(z)), because tanh is odd. With the
other units held fixed, f as a function of one wt_i has the shape of a halfspace problem, so that a
unit is an objective like any other and `minimize` trains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Design
from ..losses import MarginLoss
from ..minimization import minimize
from ..result import Status, columns_of
from ..validation import check_callback, complaint, matrix, number, whole_number
from .objectives import GaussianHalfspace, Halfspace, Objective
from .tanh_unit import UnitInPopulation, UnitOnData


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """A trained network.

    Attributes
    ----------
    weights : ndarray, shape (m, d)
        wt_i for centred x; a zero row is a unit that stayed off.
    output_weights : ndarray, shape (m,)
        theta_i.
    fun : float
        f, the length penalties included.
    slopes : ndarray, shape (m,)
        d f/d g_i of every unit at the end.
    grad_norms : ndarray, shape (m,)
        ||grad_{wt_i} f||_{S^-1} of every unit at the end.
    n_sweeps : int
    status : Status
    message : str
    trace : dict of arrays
        One entry per unit and sweep, at the end of that unit's training: sweep, unit, fun, slope
        (its own |d_g f|), largest_slope and largest_grad_norm (over all units), length,
        direction_gap, n_iter (0 where the unit was critical already), passes, and skipped (the unit
        is off and there is nothing for it to do).
    """

    weights: np.ndarray
    output_weights: np.ndarray
    mean: np.ndarray
    fun: float
    slopes: np.ndarray
    grad_norms: np.ndarray
    n_sweeps: int
    status: Status
    message: str
    trace: dict[str, np.ndarray]

    @property
    def success(self) -> bool:
        """Whether every unit is critical to `tol`."""
        return self.status is Status.converged

    def decision_function(self, X: Any) -> np.ndarray:
        """F(x) for the rows of X, shape (n,); its sign is the predicted label."""
        who = "NetworkResult.decision_function"
        X = Design(X, who=who).X
        if X.shape[1] != len(self.mean):
            must = f"have {len(self.mean)} columns, as in training"
            raise ValueError(complaint(who, "X", must, X.shape[1]))
        margins = X @ self.weights.T - self.weights @ self.mean
        return np.tanh(margins) @ self.output_weights

    def __repr__(self) -> str:
        return (
            f"NetworkResult({len(self.weights)} units: {self.status.name} after {self.n_sweeps} "
            f"sweeps; fun={self.fun:.10g}, largest |d_g f|={np.abs(self.slopes).max():.2g})"
        )


class TanhNetwork:
    """F(x) = sum_i theta_i tanh(x^T wt_i), f = E l(-y F(x)) + (lam/2) sum_i ||wt_i||_S^2.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        Centred implicitly.
    y : array-like, shape (n,)
        Two different values.
    n_units : int
    loss : str or MarginLoss
        The outer loss l. With "squared" and theta = 1 one unit is optimal on Gaussian data: the
        others find nothing to do, stay at g = 0, and the trace says `skipped`.
    output_weights : float or array-like, shape (n_units,)
        theta, fixed.
    length_penalty, max_length
        As for `Halfspace`, for each unit.

    Source: Kohler et al. 2019, section 4.3 (Theorem 3).
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        n_units: int = 3,
        *,
        loss: str | MarginLoss = "softplus",
        output_weights: Any = 1.0,
        length_penalty: float = 0.0,
        max_length: float = np.inf,
    ) -> None:
        halfspace = Halfspace(X, y, loss, length_penalty, max_length)
        if halfspace.intercept:
            must, got = "be without an intercept", "a Design with one"
            raise ValueError(complaint("TanhNetwork", "X", must, got, "Units have none."))
        self._set(halfspace, n_units, output_weights)

    @classmethod
    def gaussian(
        cls,
        u: Any,
        S: Any,
        n_units: int = 3,
        *,
        loss: str | MarginLoss = "softplus",
        output_weights: Any = 1.0,
        length_penalty: float = 0.0,
        max_length: float = np.inf,
    ) -> TanhNetwork:
        """The network in the Gaussian population with mean u and second moment S of z."""
        self = cls.__new__(cls)
        population = GaussianHalfspace(u, S, loss, length_penalty, max_length)
        if not population.moments.u.any() or -population.moments.rho_star > 1 - 1e-12:
            must = "satisfy 0 < u^T S^-1 u < 1"
            got = f"u^T S^-1 u = {-population.moments.rho_star:.6g}"
            raise ValueError(complaint("TanhNetwork.gaussian", "u", must, got))
        self._set(population, n_units, output_weights)
        return self

    def _set(self, halfspace: Halfspace | GaussianHalfspace, n_units: int, theta: Any) -> None:
        self._halfspace = halfspace
        self.moments = halfspace.moments
        self.n_units = whole_number(n_units, "TanhNetwork", "n_units", at_least=1)
        try:
            self.output_weights = np.broadcast_to(np.asarray(theta, float), (self.n_units,)).copy()
        except (TypeError, ValueError):
            must = f"be a number or {self.n_units} numbers"
            raise ValueError(
                complaint("TanhNetwork", "output_weights", must, repr(theta))
            ) from None
        if not (np.isfinite(self.output_weights).all() and self.output_weights.all()):
            must = "be finite and not zero"
            raise ValueError(complaint("TanhNetwork", "output_weights", must, repr(theta)))

    def unit(self, i: int, weights: np.ndarray) -> Objective:
        """f as a function of wt_i, the other rows of `weights` (m, d) fixed; zero rows are off.

        In a Gaussian population the other units must lie on the line S^-1 u.
        """
        base, moments = self._halfspace, self.moments
        others = [j for j in range(self.n_units) if j != i and weights[j].any()]
        theta = float(self.output_weights[i])
        if isinstance(base, Halfspace):
            pairs = [(float(self.output_weights[j]), weights[j]) for j in others]
            return UnitOnData(base, base.loss, theta, pairs)
        for j in others:
            if self._off_line(weights[j]):
                must = "have its other rows on the line S^-1 u (or zero)"
                got = f"row {j} off it, with direction gap {moments.direction_gap(weights[j]):.2g}"
                advice = "Train that unit with more iterations first."
                raise ValueError(complaint("TanhNetwork.unit", "weights", must, got, advice))
        on_line = [(float(self.output_weights[j]), self._on_line(weights[j])) for j in others]
        return UnitInPopulation(base, base.loss, theta, on_line)

    def train(
        self,
        sweeps: int = 1,
        *,
        max_iter: int = 1000,
        tol: float = 1e-8,
        w0: Any = None,
        step_size: float | None = None,
        bisection_steps: int | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
    ) -> NetworkResult:
        """Train the units one after another with GDNP, later ones off; then sweep again.

        Parameters
        ----------
        sweeps : int
            Passes over the units. One makes each unit critical when it is trained; the lengths of
            the earlier ones drift off as later ones come on, and further sweeps mend that.
        max_iter, step_size, bisection_steps
            Of `minimize`, for each unit and sweep.
        tol : float
            On ||grad_{wt_i} f||_{S^-1}, for each unit; training ends when all are below it.
        w0 : array-like, shape (n_units, d), optional
            Directions to start from; -u by default.
        callback : callable, optional
            Called with every row of the trace; raise StopIteration in it to stop.

        Returns
        -------
        NetworkResult
        """
        sweeps = whole_number(sweeps, "TanhNetwork.train", "sweeps", at_least=1)
        tol = number(tol, "TanhNetwork.train", "tol", at_least=0)
        check_callback(callback, "TanhNetwork.train")
        shape = (self.n_units, len(self.moments.u))
        if w0 is None:
            starts = np.tile(-self.moments.u, (self.n_units, 1))
        else:
            starts = matrix(w0, "TanhNetwork.train", "w0", shape)
        options = {
            "max_iter": max_iter,
            "tol": tol,
            "step_size": step_size,
            "bisection_steps": bisection_steps,
        }
        weights = np.zeros(shape)
        rows: list[dict[str, Any]] = []
        passes_before = self._halfspace.n_passes
        status, sweep = Status.max_iter, 0
        advice = f"raise sweeps (now {sweeps})"
        try:
            while sweep < sweeps and status is Status.max_iter:
                sweep += 1
                for i in range(self.n_units):
                    weights[i], n_iter, ended = self._train_unit(i, weights, starts[i], options)
                    row = {"sweep": sweep, "unit": i, **self._measure(i, weights), "n_iter": n_iter}
                    row["passes"] = self._halfspace.n_passes - passes_before
                    rows.append(row)
                    if callback is not None:
                        callback(row)
                    if ended in (Status.max_iter, Status.converged, Status.length_capped):
                        if not self._off_line(weights[i]):
                            continue
                        ended, advice = (
                            Status.max_iter,
                            "raise max_iter, for the direction of a unit",
                        )
                    return self._result(weights, rows, ended, advice)
                if rows[-1]["largest_grad_norm"] <= tol:
                    status = Status.converged
        except (KeyboardInterrupt, StopIteration):
            status = Status.interrupted
        return self._result(weights, rows, status, advice)

    def _train_unit(
        self, i: int, weights: np.ndarray, start: np.ndarray, options: dict[str, Any]
    ) -> tuple[np.ndarray, int, Status]:
        """The new wt_i, the steps it took, and how it ended."""
        unit = self.unit(i, weights)
        wt, tol = weights[i], options["tol"]
        if self.moments.dual_norm(unit.gradient(wt)) <= tol:
            return wt, 0, Status.converged
        on = wt.any()
        given = {name: value for name, value in options.items() if value is not None}
        length = self.moments.norm(wt) if on else 0.0
        end = minimize(unit, "gdnp", wt if on else start, length=length, **given)
        if isinstance(unit, UnitInPopulation) and not self._off_line(end.x):
            # What is left of the gap is below the tolerance; the next units assume none.
            return self._on_line(end.x) * self._best_direction(), end.n_iter, end.status
        return end.x, end.n_iter, end.status

    def _off_line(self, wt: np.ndarray) -> bool:
        """Whether, in a population, a unit that is on points away from the line S^-1 u."""
        if isinstance(self._halfspace, Halfspace) or not wt.any():
            return False
        return self.moments.direction_gap(wt) > -1e-8 * self.moments.rho_star

    def _on_line(self, wt: np.ndarray) -> float:
        """g with wt = g S^-1 u/||S^-1 u||_S, for a wt on that line."""
        return float(np.copysign(self.moments.norm(wt), self.moments.u @ wt))

    def _best_direction(self) -> np.ndarray:
        """S^-1 u/||S^-1 u||_S."""
        direction = self.moments.solve(self.moments.u)
        return direction / self.moments.norm(direction)

    def _measure(self, i: int, weights: np.ndarray) -> dict[str, Any]:
        """The entries of the trace that describe the network, after unit i was trained."""
        slopes, norms = self._criticality(weights)
        on = bool(weights[i].any())
        return {
            "fun": self.value(weights),
            "slope": abs(float(slopes[i])),
            "largest_slope": float(np.abs(slopes).max()),
            "largest_grad_norm": float(norms.max()),
            "length": self.moments.norm(weights[i]),
            "direction_gap": self.moments.direction_gap(weights[i]) if on else np.nan,
            "skipped": not on,
        }

    def _criticality(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(d_g f, ||grad f||_{S^-1}) of every unit that is on; zeros for the others."""
        slopes, norms = np.zeros(self.n_units), np.zeros(self.n_units)
        for i in map(int, np.flatnonzero(weights.any(axis=1))):
            gradient = self.unit(i, weights).gradient(weights[i])
            slopes[i] = weights[i] @ gradient / self.moments.norm(weights[i])
            norms[i] = self.moments.dual_norm(gradient)
        return slopes, norms

    def value(self, weights: np.ndarray) -> float:
        """f of the network with these weights (m, d)."""
        lam = self._halfspace.length_penalty
        rest = sum(float(wt @ (self.moments.S @ wt)) for wt in weights[1:])
        return self.unit(0, weights).value(weights[0]) + 0.5 * lam * rest

    def _result(
        self, weights: np.ndarray, rows: list[dict[str, Any]], status: Status, advice: str
    ) -> NetworkResult:
        slopes, norms = self._criticality(weights)
        words = status.value
        if status is Status.max_iter:
            words = f"Stopped with ||grad f||_{{S^-1}} up to {norms.max():.2g}: {advice}, or tol."
        return NetworkResult(
            weights=weights,
            output_weights=self.output_weights,
            mean=self.moments.mean,
            fun=self.value(weights),
            slopes=slopes,
            grad_norms=norms,
            n_sweeps=rows[-1]["sweep"] if rows else 0,
            status=status,
            message=f"TanhNetwork: {words}",
            trace=columns_of(rows),
        )

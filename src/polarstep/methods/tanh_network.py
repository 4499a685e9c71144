"""One hidden layer of tanh units, trained unit by unit with GDNP (Theorem 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..losses import MarginLoss
from ..result import Status, columns_of
from ..validation import check_callback, complaint, matrix, number, whole_number
from . import loop
from .halfspace import Halfspace
from .hidden_layer import HiddenLayer, PopulationLayer, SampleLayer
from .network_result import NetworkResult
from .objective import Objective
from .population import GaussianHalfspace
from .table import METHODS


class TanhNetwork:
    """A network of one hidden layer, F(x) = sum_i theta_i tanh(x^T wt_i), for two classes.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        The data matrix. It is centred implicitly.
    y : array-like, shape (n,)
        Labels of two different values.
    n_units : int, default 3
        The number m of units.
    loss : str or MarginLoss, default "softplus"
        The outer loss l. With "squared" and theta = 1 one unit is optimal on Gaussian data. The
        other units then stay at g = 0, and the trace reports them as skipped.
    output_weights : float or array-like, shape (n_units,), default 1
        The output weights theta, which stay fixed.
    length_penalty : float, default 0
        The factor lam >= 0, for each unit.
    max_length : float, default infinity
        The cap on ||wt_i||_S, for each unit.

    Attributes
    ----------
    moments : Moments
        The moments u and S of the data.
    n_units : int
        The number m of units.
    output_weights : ndarray, shape (m,)
        The output weights theta.

    Raises
    ------
    ValueError, TypeError
        If the data, the labels or an option are not valid; see `polarstep.Halfspace`.

    Notes
    -----
    The objective is f = E l(-y F(x)) + (lam/2) sum_i ||wt_i||_S^2. Because tanh is odd,
    -y F(x) = F(z) with z = -y x. As a function of one wt_i, with the other units held fixed, f has
    the form of a halfspace problem, so that gdnp trains a unit like any other objective.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), section 4.3 and Theorem 3.

    Examples
    --------
    >>> import polarstep as ps
    >>> network = ps.TanhNetwork.gaussian([0.5, 0.1], [[1.0, 0.0], [0.0, 0.1]], 2)
    >>> result = network.train(sweeps=30)
    >>> result.status.name
    'converged'
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
            raise ValueError(complaint("TanhNetwork", "X", must, got, "Units have no intercept."))
        self._set(SampleLayer(halfspace, n_units, output_weights))

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
        """Return the network in a Gaussian population.

        Parameters
        ----------
        u : array-like, shape (d,)
            The mean of z.
        S : array-like, shape (d, d)
            The second moment of z.
        n_units : int, default 3
            The number m of units.
        loss : str or MarginLoss, default "softplus"
            The outer loss l.
        output_weights : float or array-like, shape (n_units,), default 1
            The output weights theta, which stay fixed.
        length_penalty : float, default 0
            The factor lam >= 0, for each unit.
        max_length : float, default infinity
            The cap on ||wt_i||_S, for each unit.

        Returns
        -------
        TanhNetwork
            The network.

        Raises
        ------
        ValueError, TypeError
            If 0 < u^T S^-1 u < 1 does not hold, or another argument is not valid.
        """
        population = GaussianHalfspace(u, S, loss, length_penalty, max_length)
        if not population.moments.u.any() or -population.moments.rho_star > 1 - 1e-12:
            must = "satisfy 0 < u^T S^-1 u < 1"
            got = f"u^T S^-1 u = {-population.moments.rho_star:.6g}"
            raise ValueError(complaint("TanhNetwork.gaussian", "u", must, got))
        self = cls.__new__(cls)
        self._set(PopulationLayer(population, n_units, output_weights))
        return self

    def _set(self, layer: HiddenLayer) -> None:
        self._layer = layer
        self.moments, self.n_units = layer.moments, layer.n_units
        self.output_weights = layer.output_weights

    def unit(self, i: int, weights: np.ndarray) -> Objective:
        """Return f as a function of the weight of one unit, with the other units held fixed.

        Parameters
        ----------
        i : int
            The index of the unit.
        weights : ndarray, shape (m, d)
            The weights of all units; a row of zeros is a unit that is off. In a Gaussian population
            the other units must lie on the line S^-1 u.

        Returns
        -------
        Objective
            The objective of the unit.

        Raises
        ------
        ValueError
            If, in a Gaussian population, another unit is not on the line.
        """
        return self._layer.unit(i, weights)

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
        """Train the units one after another with GDNP, in one or more sweeps.

        All units are off until the first sweep reaches them.

        Parameters
        ----------
        sweeps : int, default 1
            The number of sweeps over the units. One sweep makes each unit critical at the time when
            it is trained. The lengths of the earlier units are no longer optimal once later units
            are on, which further sweeps correct.
        max_iter : int, default 1000
            The largest number of steps for each unit and sweep.
        tol : float, default 1e-8
            The tolerance on ||grad_{wt_i} f||_{S^-1}. Training ends when all units are below it.
        w0 : array-like, shape (n_units, d), optional
            The directions to start from; -u by default.
        step_size : float, optional
            The direction step of gdnp; 1/L by default.
        bisection_steps : int, optional
            The number of halvings in the length search; by default the length is exact up to
            rounding.
        callback : callable, optional
            A function that is called with every row of the trace, a dict. It may raise
            StopIteration to stop the training.

        Returns
        -------
        NetworkResult
            The trained network; its status tells how the training ended.

        Raises
        ------
        ValueError, TypeError
            If an argument is not valid.
        """
        who = "TanhNetwork.train"
        sweeps = whole_number(sweeps, who, "sweeps", at_least=1)
        max_iter = whole_number(max_iter, who, "max_iter")
        tol = number(tol, who, "tol", at_least=0)
        check_callback(callback, who)
        shape = (self.n_units, len(self.moments.u))
        if w0 is None:
            starts = np.tile(-self.moments.u, (self.n_units, 1))
        else:
            starts = matrix(w0, who, "w0", shape)
        options = {"step_size": step_size, "bisection_steps": bisection_steps}
        options = {name: value for name, value in options.items() if value is not None}
        weights = np.zeros(shape)
        rows: list[dict[str, Any]] = []
        passes_before = self._layer.objective.n_passes
        status, sweep = Status.max_iter, 0
        advice = f"Raise sweeps (now {sweeps}) or tol."
        try:
            while sweep < sweeps and status is Status.max_iter:
                sweep += 1
                for i in range(self.n_units):
                    weights[i], n_iter, ended = self._train_unit(
                        i, weights, starts[i], max_iter, tol, options
                    )
                    row = {"sweep": sweep, "unit": i, **self._measure(i, weights), "n_iter": n_iter}
                    row["passes"] = self._layer.objective.n_passes - passes_before
                    rows.append(row)
                    if callback is not None:
                        callback(row)
                    if ended in (Status.max_iter, Status.converged, Status.length_capped):
                        if self._layer.is_admissible(weights[i]):
                            continue
                        ended = Status.max_iter
                        advice = "Raise max_iter, so that the direction of each unit converges."
                    return self._result(weights, rows, ended, advice)
                if rows[-1]["largest_grad_norm"] <= tol:
                    status = Status.converged
        except (KeyboardInterrupt, StopIteration):
            status = Status.interrupted
        return self._result(weights, rows, status, advice)

    def value(self, weights: np.ndarray) -> float:
        """Return f of the network with the given weights.

        Parameters
        ----------
        weights : ndarray, shape (m, d)
            The weights of all units.

        Returns
        -------
        float
            The value of the objective, its penalties included.
        """
        return self._layer.value(weights)

    def _train_unit(
        self,
        i: int,
        weights: np.ndarray,
        start: np.ndarray,
        max_iter: int,
        tol: float,
        options: dict[str, Any],
    ) -> tuple[np.ndarray, int, Status]:
        """Return the new weight of a unit, the number of steps and how they ended."""
        unit, wt = self.unit(i, weights), weights[i]
        if self.moments.dual_norm(unit.gradient(wt)) <= tol:
            return wt, 0, Status.converged
        on = wt.any()
        options = {**options, "length": self.moments.norm(wt) if on else 0.0}
        gdnp = METHODS["gdnp"]
        end = loop.run(unit, gdnp, wt if on else start, max_iter=max_iter, tol=tol, options=options)
        return self._layer.moved_to_line(end.x), end.n_iter, end.status

    def _measure(self, i: int, weights: np.ndarray) -> dict[str, Any]:
        """Return the entries of the trace that describe the network after unit i was trained."""
        slopes, norms = self._layer.criticality(weights)
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

    def _result(
        self, weights: np.ndarray, rows: list[dict[str, Any]], status: Status, advice: str
    ) -> NetworkResult:
        slopes, norms = self._layer.criticality(weights)
        words = status.value
        if status is Status.max_iter:
            words = f"The training stopped with ||grad f||_{{S^-1}} up to {norms.max():.2g}. "
            words += advice
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

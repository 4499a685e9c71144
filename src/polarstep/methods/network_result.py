"""The result of training a `TanhNetwork`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Design
from ..result import Status
from ..validation import complaint


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """A trained network of one hidden layer.

    Attributes
    ----------
    weights : ndarray, shape (m, d)
        The weights wt_i for centred x. A row of zeros is a unit that stayed off.
    output_weights : ndarray, shape (m,)
        The output weights theta_i.
    mean : ndarray, shape (d,)
        The mean of x in the training data.
    fun : float
        The objective f, the length penalties included.
    slopes : ndarray, shape (m,)
        The derivative d f/d g_i of every unit at the end.
    grad_norms : ndarray, shape (m,)
        ||grad_{wt_i} f||_{S^-1} of every unit at the end.
    n_sweeps : int
        The number of sweeps over the units.
    status : Status
        How the training ended.
    message : str
        What happened, and what to do about it.
    trace : dict of ndarray
        One entry per unit and sweep, at the end of that unit's training: ``sweep``, ``unit``,
        ``fun``, ``slope`` (its own |d_g f|), ``largest_slope`` and ``largest_grad_norm`` (over all
        units), ``length``, ``direction_gap``, ``n_iter`` (0 if the unit was critical already),
        ``passes``, and ``skipped`` (whether the unit is off because its optimal length is zero).
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
        """Whether every unit is critical up to the tolerance."""
        return self.status is Status.converged

    def decision_function(self, X: Any) -> np.ndarray:
        """Return F(x) for the rows of X; its sign is the predicted label.

        Parameters
        ----------
        X : array-like or scipy sparse, shape (n, d)
            The data matrix, with the same columns as in training.

        Returns
        -------
        ndarray, shape (n,)
            F(x) = sum_i theta_i tanh(x^T wt_i), where x is centred by the mean of training.

        Raises
        ------
        ValueError, TypeError
            If X is not finite and real, or has another number of columns.
        """
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

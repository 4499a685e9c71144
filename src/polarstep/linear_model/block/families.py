"""The losses of a block of models, evaluated on tiles of scores.

A tile of scores has the shape (B, k, t): B models with k scores each for t rows. Every method that
evaluates a loss replaces the scores by the derivatives of the weighted loss with respect to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ...losses import MarginLoss
from ..solver import kernels
from .models import Models

_LEAST_CURVATURE = 0.01  # at the typical slope, as a share of the largest curvature


class Family(ABC):
    """A loss of k scores for each row.

    Attributes
    ----------
    n_outputs : int
        k, the number of scores.
    is_convex : bool
    value_at_zero : float
        The loss of a row whose scores are zero.
    """

    n_outputs: int
    value_at_zero: float
    is_convex: bool

    @abstractmethod
    def evaluate(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        """Return the weighted losses of the models, shape (B,); derivatives replace the scores.

        Parameters
        ----------
        scores : ndarray, shape (B, k, t)
        codes : ndarray of int, shape (t,)
            The index of the class of each row.
        weights : ndarray, shape (F, t)
            The row weights of each split.
        models : Models
        """

    @abstractmethod
    def curvatures(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        """Return the weighted second derivatives by each score, >= 0, shape (B, k, t).

        The scores are overwritten.
        """

    @abstractmethod
    def curvature_state(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        """Return what `curvature_times` needs to know of the rows, shape (B, k, t)."""

    @abstractmethod
    def curvature_times(self, state: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
        """Multiply changes of the scores by the Hessian of the weighted loss by the scores.

        Parameters
        ----------
        state : ndarray, shape (B, k, t)
        scores : ndarray, shape (B, k, t)
            The changes, which the products replace.
        weights : ndarray, shape (B, t)
            The row weights of each model.
        """

    @abstractmethod
    def first_scores(self, totals: np.ndarray, models: Models) -> np.ndarray:
        """Return the intercepts that fit the class frequencies, shape (B, k).

        Parameters
        ----------
        totals : ndarray, shape (F, K)
            The total weight of each class in each split.
        """

    def project(self, theta: np.ndarray) -> np.ndarray:
        """Return the equivalent theta of smallest norm, shape (B, k, p)."""
        return theta


class Softmax(Family):
    """The cross-entropy of softmax regression: log sum exp(scores) minus the score of the class.

    Parameters
    ----------
    n_classes : int
    """

    is_convex = True

    def __init__(self, n_classes: int) -> None:
        self.n_outputs, self.value_at_zero = n_classes, float(np.log(n_classes))

    def evaluate(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        fun = np.zeros(len(scores))
        kernels.softmax_block(scores, codes, weights, models.split, fun)
        return fun

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes, shape (B, k, t)."""
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def curvatures(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        t = scores.shape[2]
        ones = np.ones((1, t))
        kernels.softmax_block(
            scores, codes, ones, np.zeros(len(scores), np.intp), np.zeros(len(scores))
        )
        np.abs(scores, out=scores)  # p, or 1 - p for the class of the row, without cancellation
        scores *= 1.0 - scores
        scores *= weights[models.split][:, None, :]
        return scores

    def curvature_state(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        return self.probabilities(scores)

    def curvature_times(self, state: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
        scores -= np.einsum("bkt,bkt->bt", state, scores)[:, None]
        scores *= state
        scores *= weights[:, None]

    def first_scores(self, totals: np.ndarray, models: Models) -> np.ndarray:
        logs = np.log(np.maximum(totals, 1e-6 * totals.sum(axis=1, keepdims=True)))
        logs -= logs.mean(axis=1, keepdims=True)
        return logs[models.split]

    def project(self, theta: np.ndarray) -> np.ndarray:
        """Subtract the mean over the classes, which changes no probability."""
        return theta - theta.mean(axis=1, keepdims=True)


class Margins(Family):
    """A margin loss phi(-y score), in which y is +1 for one class of the model and -1 otherwise.

    Parameters
    ----------
    loss : MarginLoss
    """

    n_outputs = 1

    def __init__(self, loss: MarginLoss) -> None:
        self.loss = loss
        self.is_convex, self.value_at_zero = loss.is_convex, float(loss.phi(np.zeros(1))[0])

    def evaluate(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        return self._evaluate(scores, codes, weights, models)[0]

    def _evaluate(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses and the second derivatives."""
        m, fun, second = scores[:, 0], np.zeros(len(scores)), np.empty(scores[:, 0].shape)
        if self.loss.kernel is not None:
            kernels.margins_block(
                m, codes, models.positive, weights, models.split, *self.loss.kernel, fun, second
            )
            return fun, second
        sign = np.where(codes == models.positive[:, None], -1.0, 1.0)
        s = weights[models.split]
        a = sign * m
        m[:] = sign * s * self.loss.dphi(a)
        second = s * self.loss.d2phi(a)
        return (s * self.loss.phi(a)).sum(axis=1), second

    def curvatures(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        _, second = self._evaluate(scores, codes, weights, models)
        floor = _LEAST_CURVATURE * self.loss.sup_curvature / self.loss.typical_slope
        slopes = np.abs(scores[:, 0])
        np.abs(second, out=second)
        low = second.sum(axis=1) < 0.1 * floor * slopes.sum(axis=1)
        second[low] = np.maximum(second[low], floor * slopes[low])
        return second[:, None]

    def curvature_state(
        self, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray, models: Models
    ) -> np.ndarray:
        return self._evaluate(scores, codes, weights, models)[1][:, None]

    def curvature_times(self, state: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
        scores *= state

    def first_scores(self, totals: np.ndarray, models: Models) -> np.ndarray:
        share = totals[models.split, models.positive] / totals[models.split].sum(axis=1)
        share = np.clip(share, 1e-6, 1.0 - 1e-6)
        return (
            np.log(share / (1.0 - share))[:, None]
            if self.loss.name == "softplus"
            else (np.zeros((len(share), 1)))
        )

"""Parameterizations of a weight wt by a vector w and a length g, and their chain rule.

==============  ===================  =====================
name            wt                   metric A
==============  ===================  =====================
plain           w                    (none)
weight_norm     g w / ||w||_2        I
batch_norm      g w / ||w||_S        S, covariance of x
==============  ===================  =====================

Batch normalization of x^T w without a shift, g (x^T w - mean)/std with the biased variance, is the
parameterization with the S-norm for centred x. Sources: T. Salimans and D. Kingma, "Weight
normalization", 2016; J. Kohler et al., AISTATS 2019 (arXiv:1805.10694), section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..moments import Moments


@dataclass(frozen=True)
class Parameterization:
    """The parameterization wt = g w/||w||_A with a metric A, or wt = w.

    Parameters
    ----------
    name : str
        The name shown in messages.
    metric : callable or None
        The function (moments, w) -> A w; None for the plain parameterization.
    """

    name: str
    metric: Callable[[Moments, np.ndarray], np.ndarray] | None

    def norm(self, moments: Moments, w: np.ndarray) -> float:
        """Return ||w||_A, or 1 for the plain parameterization.

        Parameters
        ----------
        moments : Moments
            The moments, on which the metric may depend.
        w : ndarray, shape (d,)
            The vector.

        Returns
        -------
        float
            The norm.
        """
        if self.metric is None:
            return 1.0
        return float(np.sqrt(max(w @ self.metric(moments, w), 0.0)))

    def unit(self, moments: Moments, w: np.ndarray) -> np.ndarray:
        """Return w/||w||_A, or w for the plain parameterization; the length multiplies it.

        Parameters
        ----------
        moments : Moments
            The moments, on which the metric may depend.
        w : ndarray, shape (d,)
            The vector.

        Returns
        -------
        ndarray, shape (d,)
            The direction.
        """
        if self.metric is None:
            return w
        w = w / np.abs(w).max()  # so that its square neither overflows nor vanishes
        return w / self.norm(moments, w)

    def weight(self, moments: Moments, w: np.ndarray, g: float) -> np.ndarray:
        """Return the weight wt.

        Parameters
        ----------
        moments : Moments
            The moments, on which the metric may depend.
        w : ndarray, shape (d,)
            The vector.
        g : float
            The length.

        Returns
        -------
        ndarray, shape (d,)
            The weight that multiplies x.
        """
        return g * self.unit(moments, w)

    def pull_back(
        self, moments: Moments, w: np.ndarray, g: float, gradient: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return (grad_w f, d_g f) from grad f(wt), by the chain rule.

        Parameters
        ----------
        moments : Moments
            The moments, on which the metric may depend.
        w : ndarray, shape (d,)
            The vector.
        g : float
            The length.
        gradient : ndarray, shape (d,)
            The gradient with respect to the weight, grad f(wt).

        Returns
        -------
        tuple of (ndarray, float)
            The gradient with respect to w and the derivative with respect to g.

        Notes
        -----
        grad_w f = (g/||w||_A) (I - A w w^T/||w||_A^2) grad f(wt) and
        d_g f = w^T grad f(wt)/||w||_A.
        """
        if self.metric is None:
            return gradient, 0.0
        Aw = self.metric(moments, w)
        norm = float(np.sqrt(w @ Aw))
        slope = float(w @ gradient) / norm
        return (g / norm) * (gradient - Aw * (slope / norm)), slope


plain = Parameterization("plain", None)
weight_norm = Parameterization("weight_norm", lambda moments, w: w)
batch_norm = Parameterization("batch_norm", lambda moments, w: moments.S @ w)

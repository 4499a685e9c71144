"""How a weight wt is written by a vector w and a length g, and the chain rule back.

==============  ===================  =====================
name            wt                   metric A
==============  ===================  =====================
plain           w                    (none)
weight_norm     g w / ||w||_2        I
batch_norm      g w / ||w||_S        S, covariance of x
==============  ===================  =====================

Batch normalization of x^T w without shift, g (x^T w - mean)/std with the biased variance, is the
S-norm form on centred x. Sources: Salimans and Kingma 2016 (weight normalization); Kohler et al.
2019, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..moments import Moments


@dataclass(frozen=True)
class Parameterization:
    """wt = g w/||w||_A for a metric A, or wt = w where there is none.

    Parameters
    ----------
    name : str
    metric : callable or None
        (moments, w) -> A w.
    """

    name: str
    metric: Callable[[Moments, np.ndarray], np.ndarray] | None

    def norm(self, moments: Moments, w: np.ndarray) -> float:
        """||w||_A; 1 for the plain parameterization."""
        if self.metric is None:
            return 1.0
        return float(np.sqrt(max(w @ self.metric(moments, w), 0.0)))

    def unit(self, moments: Moments, w: np.ndarray) -> np.ndarray:
        """w/||w||_A, the vector that the length multiplies; w itself for plain."""
        if self.metric is None:
            return w
        w = w / np.abs(w).max()  # whose square neither overflows nor vanishes
        return w / self.norm(moments, w)

    def weight(self, moments: Moments, w: np.ndarray, g: float) -> np.ndarray:
        """wt, shape (d,)."""
        return g * self.unit(moments, w)

    def pull_back(
        self, moments: Moments, w: np.ndarray, g: float, gradient: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """(grad_w f, d_g f) from grad f(wt).

        grad_w f = (g/||w||_A) (I - A w w^T/||w||_A^2) grad f(wt),  d_g f = w^T grad f(wt)/||w||_A.
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

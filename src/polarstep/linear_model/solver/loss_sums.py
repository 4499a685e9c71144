"""Sums of a loss over a block of rows: by compiled kernels, or by NumPy for any other loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...losses import MarginLoss
from . import kernels
from .matrix import Matrix
from .weighted_rows import Sums


class LossSums(ABC):
    """The sums of a loss that the solver needs; y are labels, s weights and a margins."""

    @abstractmethod
    def evaluate(
        self,
        matrix: Matrix,
        block: Any,
        y: np.ndarray,
        s: np.ndarray,
        w: np.ndarray,
        b: float,
        a: np.ndarray,
        known: bool,
    ) -> Sums:
        """Return the sums at (w, b); the margins are read if they are known, else written."""

    @abstractmethod
    def plane(
        self, a: np.ndarray, p: np.ndarray, y: np.ndarray, s: np.ndarray, t: float, h: float
    ) -> np.ndarray:
        """Return sum s phi(a + t p - h y) and its derivatives by t, h, tt, th and hh."""

    @abstractmethod
    def curvatures(
        self, a: np.ndarray, s: np.ndarray, floor: float, out: np.ndarray
    ) -> tuple[float, float]:
        """Set out to s max(|phi''|, floor |phi'|); return the sums of s |phi''| and s |phi'|."""


class CompiledSums(LossSums):
    """The sums of a loss that has a compiled kernel, in one read of X.

    Parameters
    ----------
    kernel : tuple of int and float
        The code and the width of the loss.
    """

    def __init__(self, kernel: tuple[int, float]) -> None:
        self.kernel: Any = kernel

    def evaluate(
        self,
        matrix: Matrix,
        block: Any,
        y: np.ndarray,
        s: np.ndarray,
        w: np.ndarray,
        b: float,
        a: np.ndarray,
        known: bool,
    ) -> Sums:
        g = np.zeros(matrix.d)
        value, by_b, mean, square = kernels.evaluate(
            block, matrix.centre, y, s, w, b, *self.kernel, a, known, g, matrix.tile
        )
        return Sums(value, g, by_b, mean, square)

    def plane(
        self, a: np.ndarray, p: np.ndarray, y: np.ndarray, s: np.ndarray, t: float, h: float
    ) -> np.ndarray:
        return np.array(kernels.plane(a, p, y, s, t, h, *self.kernel))

    def curvatures(
        self, a: np.ndarray, s: np.ndarray, floor: float, out: np.ndarray
    ) -> tuple[float, float]:
        return kernels.curvatures(a, s, floor, *self.kernel, out)


class NumpySums(LossSums):
    """The sums of any loss, in two reads of X.

    Parameters
    ----------
    loss : MarginLoss
    """

    def __init__(self, loss: MarginLoss) -> None:
        self.loss = loss

    def evaluate(
        self,
        matrix: Matrix,
        block: Any,
        y: np.ndarray,
        s: np.ndarray,
        w: np.ndarray,
        b: float,
        a: np.ndarray,
        known: bool,
    ) -> Sums:
        g = np.zeros(matrix.d)
        if known:
            p = -y * a - b
        else:
            p = np.empty(len(y))
            kernels.project(block, matrix.centre, w, p, matrix.tile)
            a[:] = -y * (p + b)
        mean, square = float(s @ p), float(s @ np.square(p))
        r = s * self.loss.dphi(a)
        r *= -y
        kernels.combine(block, matrix.centre, r, g, matrix.tile)
        return Sums(float(s @ self.loss.phi(a)), g, float(r.sum()), mean, square)

    def plane(
        self, a: np.ndarray, p: np.ndarray, y: np.ndarray, s: np.ndarray, t: float, h: float
    ) -> np.ndarray:
        a = a + t * p - h * y
        first, second = s * self.loss.dphi(a), s * self.loss.d2phi(a)
        return np.array(
            [
                s @ self.loss.phi(a), first @ p, -(first @ y),
                second @ np.square(p), -(second @ (p * y)), second.sum(),
            ]
        )  # fmt: skip

    def curvatures(
        self, a: np.ndarray, s: np.ndarray, floor: float, out: np.ndarray
    ) -> tuple[float, float]:
        first, second = s * np.abs(self.loss.dphi(a)), s * np.abs(self.loss.d2phi(a))
        np.maximum(second, floor * first, out=out)
        return float(second.sum()), float(first.sum())


def loss_sums(loss: MarginLoss) -> LossSums:
    """Return the sums of a loss, by compiled kernels if it has one."""
    return NumpySums(loss) if loss.kernel is None else CompiledSums(loss.kernel)

"""The models of several values of C: the regularization path of a margin loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from ..losses import MarginLoss
from ..result import Status
from ..validation import complaint
from .block.families import Margins
from .grid import read_Cs, ridges, solve_grid
from .on_dask.collections import is_dask
from .on_dask.training_data import DaskTrainingData
from .one_against_rest import ClassRun, solve_whitened
from .reporting import progress_printer, warn_unless_converged
from .training_data import TrainingData, read_training_data


class RegularizationPath(NamedTuple):
    """The models of several values of C.

    Attributes
    ----------
    Cs : ndarray, shape (n_Cs,)
        The values of C, in the order in which they were given.
    coefs : ndarray, shape (n_Cs, 1, n_features) or (n_Cs, n_classes, n_features)
        The coefficients of each model, in the form of ``coef_``.
    intercepts : ndarray, shape (n_Cs, 1) or (n_Cs, n_classes)
        The intercepts of each model, in the form of ``intercept_``.
    """

    Cs: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray


def solve_path(
    data: TrainingData | DaskTrainingData,
    loss: MarginLoss,
    Cs: np.ndarray,
    *,
    intercept: bool,
    n_restarts: int,
    n_threads: int,
    who: str,
    stacklevel: int,
    **options: Any,
) -> RegularizationPath:
    """Fit the model of each C, and warn about those that did not converge.

    With a convex loss, all models that have a penalty are one block, which shares every read of X.
    Otherwise a model starts at that of the next smaller C, so that the path follows one local
    minimum.

    Parameters
    ----------
    data : TrainingData or DaskTrainingData
    loss : MarginLoss
    Cs : ndarray, shape (n_Cs,)
    intercept : bool
    n_restarts : int
        As for `whitened.run`.
    n_threads : int
    who : str
        The name of the caller, for messages.
    stacklevel : int
        How many frames above this function a warning points to.
    **options
        The arguments tol, max_iter, rng and callback of `whitened.run`.

    Returns
    -------
    RegularizationPath

    Raises
    ------
    KeyboardInterrupt
        If the run is interrupted.
    """
    n_classes = len(data.classes)
    positive = np.arange(n_classes) if n_classes > 2 else np.array([1])
    shape = len(Cs), len(positive)
    coefs, intercepts = np.empty((*shape, data.n_features)), np.zeros(shape)
    total = np.array([data.total_weight])
    options |= {"intercept": intercept, "who": who}

    in_block = np.flatnonzero(np.isfinite(Cs)) if loss.is_convex else np.empty(0, int)
    if len(in_block):
        rows, centre = data.block_rows(intercept=intercept, n_threads=n_threads)
        fit = solve_grid(
            rows, Margins(loss), Cs[in_block], total, centre, positive=positive, **options
        )
        fit.warn_unless_converged(who, stacklevel=stacklevel + 1)
        coefs[in_block], intercepts[in_block] = fit.coefs[0], fit.intercepts[0]
    if len(in_block) == len(Cs):
        return RegularizationPath(Cs, coefs, intercepts)

    samples, centre = data.samples(loss, intercept=intercept, n_threads=n_threads)
    callback, every, names = options.pop("callback"), [], []
    starts: list[np.ndarray | None] = [None] * len(positive)
    for c in np.setdiff1d(np.argsort(Cs, kind="stable"), in_block, assume_unique=True):
        results = solve_whitened(
            samples, float(ridges(Cs[c : c + 1], total)[0]),
            [ClassRun(start, callback) for start in starts],
            centre=centre, n_restarts=n_restarts, **options,
        )  # fmt: skip
        if results[-1].status is Status.interrupted:
            raise KeyboardInterrupt
        theta = np.array([result.x for result in results])
        coefs[c] = theta[:, : samples.d]
        if intercept:
            intercepts[c] = theta[:, -1] - coefs[c] @ centre
        if not loss.is_convex:
            starts = list(theta)
        every += results
        names += [f"{label} with C={Cs[c]:.3g}" for label in data.classes[positive].tolist()]
    warn_unless_converged(every, names, who, stacklevel=stacklevel + 1)
    return RegularizationPath(Cs, coefs, intercepts)


class PathMixin(ABC):
    """The method ``path`` of a classifier with a margin loss."""

    class_weight: Any
    fit_intercept: bool
    method: str
    tol: float
    max_iter: int
    n_restarts: int
    verbose: int

    @abstractmethod
    def _check_parameters(self) -> tuple[MarginLoss, int, np.random.Generator]:
        """Check all parameters; return the loss, the number of threads and the generator."""

    def path(self, X: Any, y: Any, Cs: Any = 10, sample_weight: Any = None) -> RegularizationPath:
        """Compute the coefficients of several values of C at once.

        With a convex loss, the models of all values and all classes share every read of X, which
        is much faster than a fit for each C. The estimator itself is not fitted.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            Finite real numbers.
        y : array-like, Dask array or Series, shape (n,)
            The class labels.
        Cs : int or array-like, shape (n_Cs,), default=10
            The values of C, > 0. An int is their number; they then are spread evenly on a
            logarithmic scale from 1e-4 to 1e4.
        sample_weight : array-like, Dask array or Series, shape (n,), default=None
            Finite weights >= 0 of the samples.

        Returns
        -------
        RegularizationPath
            The tuple ``(Cs, coefs, intercepts)``, whose shapes are (n_Cs,), (n_Cs, k, n_features)
            and (n_Cs, k) with k = 1 for two classes and k = n_classes for more.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid, X is not finite, y does not hold two classes of positive
            weight, or the shapes do not match.
        KeyboardInterrupt
            If the run is interrupted.

        Warns
        -----
        ConvergenceWarning
            If a model ends before it reaches `tol`.

        See Also
        --------
        LogisticRegressionCV : The choice of one of these models by cross-validation.

        Notes
        -----
        `C`, `warm_start` and the methods of the paper do not apply. With a loss that is not convex,
        each model starts at that of the next smaller C.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from polarstep import HalfspaceClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> Cs, coefs, intercepts = HalfspaceClassifier().path(X, y, Cs=[0.01, 1.0, 100.0])
        >>> coefs.shape, intercepts.shape
        ((3, 1, 30), (3, 1))
        """
        who = type(self).__name__
        loss, n_threads, rng = self._check_parameters()
        if self.method != "whitened":
            got, advice = repr(self.method), "The other methods fit one C at a time."
            raise ValueError(complaint(who, "method", "be 'whitened' in path", got, advice))
        data: TrainingData | DaskTrainingData
        if is_dask(X, y):
            data = DaskTrainingData.read(
                X, y, sample_weight, class_weight=self.class_weight, n_threads=n_threads, who=who
            )
        else:  # A copy is checked, because checks set attributes.
            data = read_training_data(clone(self), X, y, sample_weight, check_finite=True)
        return solve_path(
            data, loss, read_Cs(Cs, who), intercept=self.fit_intercept, n_restarts=self.n_restarts,
            n_threads=n_threads, tol=self.tol, max_iter=self.max_iter, rng=rng,
            callback=progress_printer(who) if self.verbose else None, who=who, stacklevel=2,
        )  # fmt: skip

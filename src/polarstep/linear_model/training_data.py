"""Training data in memory: checks, and conversion to the form that the solver needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from ..data_matrix import canonical_matrix, with_native_types
from ..losses import MarginLoss
from .block.rows import BlockRows
from .centring import centre_columns
from .labels import encode_labels, require_two_classes, row_weights, solver_labels
from .solver.samples import Samples


@dataclass(frozen=True)
class TrainingData:
    """The training data, in general without the rows of weight zero.

    Attributes
    ----------
    X : ndarray or CSR matrix, shape (n, d)
    codes : ndarray of int, shape (n,)
        The index of each row's class.
    weight : ndarray, shape (n,), or None
        The product of sample and class weights; None if all of them are 1.
    classes : ndarray, shape (K,)
        The class labels in order.
    """

    X: Any
    codes: np.ndarray
    weight: np.ndarray | None
    classes: np.ndarray

    @property
    def n_features(self) -> int:
        """The number of columns of X."""
        return self.X.shape[1]

    @property
    def total_weight(self) -> float:
        """The sum of the weights, which is infinite if it overflows."""
        with np.errstate(over="ignore"):
            return float(len(self.codes) if self.weight is None else self.weight.sum())

    def samples(
        self, loss: MarginLoss, *, intercept: bool, n_threads: int
    ) -> tuple[Samples, np.ndarray]:
        """Return samples whose weights sum to 1, and the centre of the columns, shape (d,).

        Without an intercept the centre is zero.
        """
        labels = solver_labels(self.codes, len(self.classes))
        X, remaining, centre = centre_columns(self.X, intercept, self.weight)
        samples = Samples.from_arrays(X, labels, self.shares(), remaining, loss, n_threads)
        return samples, centre

    def block_rows(
        self, codes: np.ndarray | None = None, *, intercept: bool, n_threads: int
    ) -> tuple[BlockRows, np.ndarray]:
        """Return rows for a block of models, and the centre of the columns, as `samples` does.

        Other indices of the classes may be given, because classes without rows may be left out.
        """
        codes = self.codes if codes is None else codes
        X, remaining, centre = centre_columns(self.X, intercept, self.weight)
        return BlockRows.from_arrays(X, codes, self.shares(), remaining, n_threads), centre

    def shares(self) -> np.ndarray:
        """Return the weights of the rows, scaled so that they sum to 1."""
        if self.weight is None:
            return np.full(len(self.codes), 1.0 / len(self.codes))
        total = self.total_weight
        if np.isfinite(total) and total > np.finfo(float).tiny:
            return self.weight / total
        scaled = self.weight / self.weight.max()
        return scaled / scaled.sum()


def are_plain(X: Any, y: Any) -> bool:
    """Whether X is a matrix of floats and y a vector of as many whole numbers, as arrays of NumPy.

    For such data, scikit-learn's checks take longer than a small fit.
    """
    return (
        type(X) is np.ndarray
        and type(y) is np.ndarray
        and X.ndim == 2
        and y.shape == X.shape[:1]
        and 0 not in X.shape
        and X.dtype in (np.float64, np.float32)
        and y.dtype.kind in "iub"
    )


def read_training_data(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    check_finite: bool,
    keep_all: bool = False,
) -> TrainingData:
    """Check X, y and the weights for an estimator with a parameter ``class_weight``.

    Rows of weight zero are left out unless ``keep_all`` is true.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape, a label or a weight is not valid; and, if ``check_finite`` is true, if X
        contains NaN or infinity. Otherwise the first pass of the solver detects these.
    """
    who = type(estimator).__name__
    if are_plain(X, y) and not check_finite:  # scikit-learn's checks would find nothing
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
    else:
        X, y = validate_data(
            estimator, with_native_types(X), y, accept_sparse="csr",
            dtype=[np.float64, np.float32], ensure_all_finite=check_finite,
        )  # fmt: skip
    X = canonical_matrix(X)
    classes, codes = encode_labels(y)
    weight = row_weights(codes, classes, sample_weight, estimator.class_weight, who)
    if weight is None:
        require_two_classes(len(classes), who)
        return TrainingData(X, codes, None, classes)
    require_two_classes(int(np.count_nonzero(np.bincount(codes, weight))), who)
    if not (weight.all() or keep_all):
        kept = np.flatnonzero(weight)
        X, codes, weight = X[kept], codes[kept], weight[kept]
    return TrainingData(X, codes, weight, classes)

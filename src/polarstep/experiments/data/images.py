"""Images for deep networks: CIFAR-10, or scikit-learn's digits where CIFAR-10 is missing."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ...validation import complaint, whole_number

_FOLDER = "cifar-10-batches-py"
_TRAINING = [f"data_batch_{i}" for i in range(1, 6)]
_TEST = "test_batch"
_DIGITS_FOR_TRAINING = 1437  # of 1,797: four in five
_SEED = 0


@dataclass(frozen=True, eq=False)
class Images:
    """Scaled images in rows, with their classes 0, ..., n_classes - 1.

    X of shape (n, d) and X_test are float32; y of shape (n,) and y_test are int64. A row of X is a
    flattened array of channels x height x width: 3 x 32 x 32 for CIFAR-10, 1 x 8 x 8 for digits.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int


def image_data(folder: Path | None) -> str:
    """Return "cifar10" if the folder has CIFAR-10, else "digits"."""
    return "digits" if find_cifar10(folder) is None else "cifar10"


@lru_cache(maxsize=2)
def images(folder: Path | None, n_train: int | None = None, n_test: int | None = None) -> Images:
    """Return the images in a data folder, or the digits if it has none.

    Every channel c is scaled to (x - m_c) / s_c with the mean m_c and the standard deviation s_c
    of that channel over the returned training images. The digits have one channel. The arrays are
    cached and must not be modified.

    Parameters
    ----------
    folder
        The data folder with CIFAR-10 (see `find_cifar10`), or None.
    n_train, n_test
        The numbers of images; all of them if None or if there are fewer. The images are a fixed
        random choice from all batches, in which the counts of any two classes differ by at most one
        as long as there are enough images. A smaller choice is a subset of a larger one.

    Raises
    ------
    ValueError
        The files are not those of CIFAR-10, for instance because they are truncated, or a number is
        not positive.
    TypeError
        A number is not an integer.
    OSError
        The files cannot be read.
    """
    name = image_data(folder)
    X, y, X_test, y_test = _cifar10(folder) if folder and name == "cifar10" else _digits()
    train, test = _choice(y, n_train, "n_train"), _choice(y_test, n_test, "n_test")
    X, X_test = _standardised(X[train], X_test[test], channels=3 if name == "cifar10" else 1)
    return Images(name, X, y[train], X_test, y_test[test], n_classes=10)


def _choice(y: np.ndarray, n: int | None, argument: str) -> np.ndarray:
    """Return the rows of a balanced random choice, in ascending order."""
    if n is None:
        return np.arange(len(y))
    n = whole_number(n, "images", argument, at_least=1)
    order = np.random.default_rng(_SEED).permutation(len(y))
    turn = np.empty(len(y), dtype=int)
    for label in np.unique(y):
        of_class = y[order] == label
        turn[of_class] = np.arange(of_class.sum())
    # The first image of every class comes first, then the second of every class, and so on.
    return np.sort(order[np.argsort(turn, kind="stable")[:n]])


def _standardised(
    X: np.ndarray, X_test: np.ndarray, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both in float32, scaled by the mean and standard deviation of every channel of X."""
    X, X_test = (x.astype(np.float32, order="C") for x in (X, X_test))
    for c in range(channels):
        rows, others = (x.reshape(len(x), channels, -1)[:, c] for x in (X, X_test))
        mean = rows.mean(dtype=np.float64)
        rows -= mean
        std = np.sqrt(np.square(rows).mean(dtype=np.float64)) or 1.0  # if the channel is constant
        rows /= std
        others -= mean
        others /= std
    return X, X_test


# --------------------------------------------------------------------------- digits


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (X, y, X_test, y_test) of scikit-learn's digits, in a fixed random order."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(_SEED).permutation(len(y))
    train, test = order[:_DIGITS_FOR_TRAINING], order[_DIGITS_FOR_TRAINING:]
    y = y.astype(np.int64)
    return X[train], y[train], X[test], y[test]


# --------------------------------------------------------------------------- CIFAR-10


def find_cifar10(folder: Path | None) -> Path | None:
    """Return the folder of CIFAR-10 in a data folder, or None.

    The candidates are its path in the subfolder cifar10, its path in the data folder, and the data
    folder itself. A folder that lacks some of the files is returned too, but reading it fails.
    """
    if folder is None:
        return None
    candidates = [folder / "cifar10" / _FOLDER, folder / _FOLDER, folder]
    files = [*_TRAINING, _TEST]
    return next((c for c in candidates if any((c / file).is_file() for file in files)), None)


def _cifar10(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (X, y, X_test, y_test) of CIFAR-10, with X uint8 (n, 3072) and y int64 (n,)."""
    found = find_cifar10(folder) or folder
    batches = [_batch(found / file, folder) for file in [*_TRAINING, _TEST]]
    X, y = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    return X, y, *batches[-1]


class _Stored:
    """A stand-in for an array or its dtype in a pickle, which stores the arguments unused."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """Return the uint8 array whose state is (version, shape, type, is Fortran, bytes)."""
        _, shape, dtype, by_columns, content = self.state
        if dtype.arguments[0] not in ("u1", b"u1"):
            raise TypeError(f"it has an array of type {dtype.arguments[0]!r} instead of uint8")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Forbidden(pickle.UnpicklingError):
    """A pickle refers to something that no array needs."""


class _Unpickler(pickle.Unpickler):
    """Reads numbers, text, lists, dictionaries and NumPy arrays, and never calls foreign code."""

    _ADMITTED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),  # numpy 1
            ("numpy._core.multiarray", "_reconstruct"),  # numpy 2
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise _Forbidden(f"{module}.{name}")
        return _Stored


def _batch(path: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read (X, y) from one file: a pickle of {b"data": uint8 (n, 3072), b"labels": list of n}.

    Checksums are not compared, because files with any number of images are accepted. The published
    files were written by Python 2, whose text is bytes here.
    """

    def refuse(got: str, must: str = "be a file of CIFAR-10, python version") -> NoReturn:
        again = f"delete {path.parent} and run polarstep data fetch cifar10 --data {folder}"
        advice = f"It is truncated or altered: {again}"
        raise ValueError(complaint("cifar10", str(path), must, got, advice))

    if not path.is_file():
        refuse("no such file")
    stored = path.read_bytes()
    try:
        content = _Unpickler(io.BytesIO(stored), encoding="bytes").load()
        X, labels = content[b"data"].array(), content[b"labels"]
    except _Forbidden as error:
        refuse(f"a reference to {error}, which was not called", "hold arrays, numbers and text")
    except Exception as error:  # a broken pickle can raise anything
        refuse(f"{len(stored):,} bytes that cannot be read ({type(error).__name__}: {error})")
    if X.ndim != 2 or X.shape[1] != 3 * 32 * 32 or not len(X):
        refuse(f"shape {X.shape}", "hold b'data' of shape (n, 3072)")
    must = f"hold {len(X):,} b'labels' from 0 to 9, one per image"
    if not isinstance(labels, list) or len(labels) != len(X):
        refuse(f"{len(labels):,}" if isinstance(labels, list) else type(labels).__name__, must)
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < 10:
            refuse(f"{label!r} at position {row}", must)
    return X, np.array(labels, dtype=np.int64)

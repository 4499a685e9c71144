"""Bad input is refused by name: who complains, which argument, what it got, and what to do."""

import datetime

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 3))
Y = np.where(np.arange(20) % 2, 1.0, -1.0)
U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)


def spoiled(value, at=(4, 2), convert=np.asarray, dtype=float):
    bad = X.astype(dtype)
    bad[at] = value
    return convert(bad)


def with_entry(value, row, column):
    bad = S.copy()
    bad[row, column] = value
    return bad


def inputs(make):
    """Cases for whatever takes X and y: their errors speak for it."""
    far = np.array([[1e308], [-1e308]])
    number, vector = "`X` must be numeric", "`y` must be a vector of 20 real numbers; got"
    return {
        "nan": (make, (spoiled(np.nan), Y), "`X`.* nan at row 4, column 2. Remove"),
        "inf": (make, (spoiled(np.inf), Y), "`X`.* inf at row 4, column 2"),
        "-inf": (make, (spoiled(-np.inf, (0, 0)), Y), "`X`.* -inf at row 0, column 0"),
        "float32 nan": (make, (spoiled(np.nan, dtype=np.float32), Y), "`X`.* nan at row 4"),
        "F-order": (
            make,
            (spoiled(np.nan, (19, 1), np.asfortranarray), Y),
            "`X`.* row 19, column 1",
        ),
        "csr nan": (make, (spoiled(np.nan, convert=sp.csr_array), Y), "`X`.* row 4, column 2"),
        "csc inf": (make, (spoiled(np.inf, (7, 0), sp.csc_array), Y), "`X`.* row 7, column 0"),
        "sums overflow": (make, (far, [0, 1]), "`X` must have columns whose sums do not overflow"),
        "squares overflow": (make, (1e160 * X, Y), "`X`.* do not overflow.* Rescale"),
        "sparse overflow": (make, (sp.csr_array(1e160 * X), Y), "`X`.* do not overflow"),
        "one dimension": (make, (X[:, 0], Y), r"`X`.* shape \(20,\). Reshape .*reshape\(-1, 1\)"),
        "three": (make, (X[None], Y), r"`X` must have two dimensions.* shape \(1, 20, 3\)"),
        "scalar": (make, (3.0, Y), "`X` must have two dimensions"),
        "nothing": (make, (None, Y), "`X` must have two dimensions"),
        "ragged": (make, ([[1.0], [2.0, 3.0]], [0, 1]), "`X` must be a matrix", TypeError),
        "no rows": (make, (X[:0], Y[:0]), "`X` must have at least one row"),
        "no columns": (make, (X[:, :0], Y), r"`X` must .*one column; got shape \(20, 0\)"),
        "empty sparse": (make, (sp.csr_array((20, 0)), Y), "`X` must have at least one row"),
        "words": (make, ([["a"], ["b"]], [0, 1]), "`X` must be real and numeric", TypeError),
        "objects": (make, (np.array([["a"], ["b"]], object), [0, 1]), number, TypeError),
        "complex": (make, (X + 1j, Y), "`X` must be real and numeric.* complex128", TypeError),
        "sparse complex": (make, (sp.csr_array(X + 1j), Y), "`X` must be real", TypeError),
        "dates": (make, (X.astype("M8[s]"), Y), "`X` must be real and numeric", TypeError),
        "few labels": (make, (X, Y[:-1]), r"`y` must be .*of 20 real numbers; got shape \(19,\)"),
        "two columns of y": (make, (X, np.stack([Y, Y], 1)), vector),
        "nan label": (make, (X, [*Y[:3], np.nan, *Y[4:]]), "`y`.* nan at position 3"),
        "inf label": (make, (X, [-np.inf, *Y[1:]]), "`y`.* -inf at position 0"),
        "no y": (make, (X, None), "`y` must be a vector of 20"),
        "words for y": (make, (X, np.where(Y > 0, "a", "b")), "`y`.* not numeric", TypeError),
        "digits for y": (make, (X, np.where(Y > 0, "1", "0")), "`y`.* not numeric", TypeError),
        "dates for y": (
            make,
            (X, [datetime.date(2000, 1, 1)] * 20),
            "`y`.* not numeric",
            TypeError,
        ),
        "complex y": (make, (X, Y + 1j), "`y`.* not numeric", TypeError),
        "all zero": (make, (np.zeros((20, 3)), Y), "`X` must have a column that varies"),
        "sparse zero": (make, (sp.csr_array((20, 3)), Y), "`X` must have a column that varies"),
        "constant": (make, (np.full((20, 3), 0.1), Y), "`X` must have a column that varies"),
        "sparse constant": (make, (sp.csr_array(np.full((20, 3), 0.1)), Y), "`X`.* that varies"),
        "far constant": (make, (np.full((20, 2), 1e8 / 3), Y), "`X`.* varies; got 20 rows"),
    }


TWO_CLASSES = {
    "one row": (ps.Halfspace, (X[:1], Y[:1]), "Halfspace: `y` must hold two classes; got only"),
    "one class": (ps.Halfspace, (X, np.ones(20)), "Halfspace: `y` .*two classes; got only 1. A "),
    "three": (ps.Halfspace, (X, np.arange(20) % 3), "Halfspace: `y`.* 3 .*0, 1, 2.* LeastSquares"),
    "real y": (ps.Halfspace, (X, X[:, 0]), "Halfspace: `y`.* 20 different .* use LeastSquares"),
    "one row, squares": (ps.LeastSquares, (X[:1], [1.0]), "`X`.* varies; got a single row"),
    "huge y": (ps.LeastSquares, (X, 1e200 * Y), "from_data: `y`.* do not overflow"),
    "wide": (
        ps.Moments.from_data,
        (sp.csr_array((2, 30_000)), [0, 1]),
        "from_data: `X` must have at most 20,000 columns.* Select or hash",
    ),
}

MOMENTS = {
    "u outside": (ps.Moments, ([1.0, 1.0], np.diag([1.0, 0.0])), "`u` must lie in the range of S"),
    "u nan": (ps.Moments, ([np.nan, 1.0], np.eye(2)), "`u`.* nan at position 0"),
    "u words": (ps.Moments, (["a", "b"], np.eye(2)), "`u` must be a vector", TypeError),
    "u matrix": (ps.Moments, (np.eye(2), np.eye(2)), r"`u` must be a vector.* shape \(2, 2\)"),
    "S shape": (ps.Moments, (U, np.eye(2)), r"`S` must be a 3 x 3 matrix.* shape \(2, 2\)"),
    "S not square": (ps.Moments, (U, np.ones((3, 2))), "`S` must be a 3 x 3 matrix"),
    "S complex": (ps.Moments, (U, S + 0j), "`S` must be a 3 x 3 matrix.* not numeric", TypeError),
    "S words": (ps.Moments, (U, [["a"] * 3] * 3), "`S` must be a 3 x 3 matrix", TypeError),
    "S ragged": (ps.Moments, (U, [[1.0], [0, 1], [1]]), "`S` must be a 3 x 3 matrix", TypeError),
    "S nan": (ps.Moments, (U, with_entry(np.nan, 1, 2)), "`S`.* nan at row 1, column 2"),
    "S inf": (ps.Moments, (U, with_entry(np.inf, 2, 2)), "`S`.* inf at row 2, column 2"),
    "S zero": (ps.Moments, (0 * U, 0 * S), "`S` must not be zero"),
    "S not symmetric": (ps.Moments, (U, S + np.eye(3, k=1)), "`S` must be symmetric"),
    "S negative": (ps.Moments, (U, with_entry(-1.0, 1, 1)), "`S`.* semidefinite; got -1 in row 1"),
    "S negative definite": (ps.Moments, (U, -S), "`S` must be positive semidefinite"),
    "S zero diagonal": (ps.Moments, ([0, 0.0], [[0, 1], [1, 1.0]]), "`S`.* semidefinite"),
    "S indefinite": (ps.Moments, ([0, 0.0], [[1, 2], [2, 1.0]]), "`S` must be positive semidef"),
    "S indefinite as a whole": (
        ps.Moments,
        (np.zeros(3), np.full((3, 3), -0.9) + 1.9 * np.eye(3)),
        r"`S` must be positive semidefinite; got a matrix with a negative eigenvalue \(-0.8",
    ),
    "mean": (ps.Moments, (U, S, [1.0]), "`mean` must be a vector of 3"),
    "y_squared": (ps.Moments, (U, S, None, None, -1.0), "`y_squared`.* >= 0; got -1"),
}


GROUPS = {
    r"(Halfspace|Moments.from_data)": inputs(ps.Halfspace),
    r"Moments.from_data": inputs(ps.LeastSquares),
    "Moments": MOMENTS,
    "": TWO_CLASSES,
}


@pytest.mark.parametrize(
    ("who", "name"), [(who, name) for who, cases in GROUPS.items() for name in cases]
)
def test_data_and_moments(who, name):
    make, arguments, words, *error = GROUPS[who][name]
    words = f"(?s)^{who}: {words}" if who else f"(?s){words}"
    with pytest.raises(error[0] if error else ValueError, match=words) as caught:
        make(*arguments)
    assert type(caught.value) is (error[0] if error else ValueError)

"""The products and the linear systems of the search for a separating direction."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model import separating_rows
from polarstep.linear_model.separating_rows import RowsOfClasses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)) * [1.0, 1e3, 1e-4, 1.0] + [0.0, 1e4, 0.0, 3.0]
CODES = np.arange(30) % 3
THETA = RNG.normal(size=(2, 5))


def rows(data=X, intercept=True):
    return RowsOfClasses.of_data(data, CODES, 3, None, intercept=intercept)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("intercept", [True, False])
def test_coordinates_keep_the_scores(convert, intercept):
    found = rows(convert(X), intercept)
    theta = THETA[:, : found.shape[1]]
    for scaled in (found, found.equilibrated()):
        V = scaled.leave(theta)
        np.testing.assert_allclose(scaled.enter(V), theta, rtol=1e-9)
        scores = X @ V[:, :-1].T + V[:, -1]
        factors = scaled.scores(theta)[:, 1:] / scores[:, 1:]
        np.testing.assert_allclose(factors, factors[:, :1] * np.ones(2), rtol=1e-6)
        assert (factors > 0).all()


def test_equilibrated_rows_have_norm_one():
    Z = rows().equilibrated().Z
    assert np.linalg.norm(Z, axis=1).max() < 3.0
    np.testing.assert_allclose(np.square(Z).mean(axis=0), 1.0, rtol=1e-12)


def test_combine_is_the_transpose_of_scores():
    R = RNG.normal(size=(30, 3))
    inner = rows()
    np.testing.assert_allclose((R * inner.scores(THETA)).sum(), (inner.combine(R) * THETA).sum())


@pytest.mark.parametrize("most", [1_500, 1])
def test_the_part_on_which_chosen_leads_depend(most, monkeypatch):
    monkeypatch.setattr(separating_rows, "MOST_DENSE", most)
    inner = rows()
    chosen = np.zeros((30, 3), bool)
    chosen[:4] = ~inner.own[:4]
    rest = THETA
    for _ in range(3):
        rest = rest - inner.solve_for_leads(chosen, rest, 1e-11)
    left = inner.leads_of(inner.scores(rest))
    assert np.abs(left[chosen]).max() < 1e-8
    assert np.abs(left[5:]).max() > 0.1


def test_the_kernel_of_chosen_leads():
    inner = rows()
    chosen = np.zeros((30, 3), bool)
    chosen[:3] = ~inner.own[:3]
    kernel = inner.kernel(chosen)
    assert len(kernel) == 10 - 6
    for v in kernel:
        assert np.abs(inner.leads_of(inner.scores(v))[chosen]).max() < 1e-6
    assert not inner.kernel(~inner.own)


def test_separates():
    line = RowsOfClasses.of_data(
        np.array([[-1.0], [1.0], [2.0]]), np.array([0, 1, 1]), 2, None, intercept=True
    )
    assert line.separates(line.enter(np.array([[1.0, 0.0]])))
    assert line.separates(line.enter(np.array([[1.0, -1.0]])))
    assert not line.separates(line.enter(np.array([[1.0, -1.1]])))
    assert not line.separates(np.zeros((1, 2)))


def test_a_constant_column_of_a_sparse_matrix_takes_no_part_beside_an_offset():
    data = sp.csr_array(np.hstack([X, np.full((30, 1), 1e5)]))
    assert rows(data).leave(np.ones((2, 6)))[1, 4] == 1e-5
    assert not rows(data).Z[:, [4]].toarray().any()
    assert rows(data, intercept=False).Z[:, [4]].toarray().all()

"""Clustered and robust covariance matrices, from their definitions."""

import numpy as np
import pytest

from inference_cases import GROUPS, N, Y, Z, fitted, newton
from polarstep.linear_model.inference.covariance import covariance_root, n_groups
from polarstep.linear_model.inference.fitted_model import read_model
from polarstep.linear_model.inference.optimum import find_optimum
from polarstep.linear_model.inference.rows import read_rows

ONES = np.column_stack([Z, np.ones(N)])


def problem(ridge=0.0, groups=GROUPS, X=Z, y=Y):
    model = fitted(X, y, C=1 / ridge if ridge else np.inf)
    known = read_model(model, None, "f")
    rows = read_rows(model, known, X, y, None, groups, "f")
    return rows, find_optimum(rows, known, ridge, "f")


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_clusters(correction, ridge):
    rows, optimum = problem(ridge)
    found = covariance_root(
        "cluster", rows, optimum, correction=correction, frequency=False, who="f"
    )
    _, H, r = newton(ONES, Y, np.ones(N), np.array([ridge] * 3 + [0.0]))
    sums = np.eye(GROUPS.max() + 1)[GROUPS].T @ (r[:, None] * ONES)
    sums = sums[np.abs(sums).sum(axis=1) > 0]
    expected = np.linalg.inv(H) @ sums.T @ sums @ np.linalg.inv(H)
    if correction:
        G = len(np.unique(GROUPS))
        assert n_groups(rows) == G
        expected *= G / (G - 1) * (N - 1) / (N - optimum.df)
    raw = rows.standard.covariance_to_raw(found)
    np.testing.assert_allclose(raw, expected, rtol=1e-6, atol=1e-9)


def test_there_are_no_groups_by_default():
    assert n_groups(problem(groups=None)[0]) == 0


def test_a_row_of_leverage_one_is_refused(monkeypatch):
    rows, optimum = problem()
    monkeypatch.setattr(rows, "sum", lambda *arguments: np.full((4, 4), np.inf))
    with pytest.raises(ValueError, match="got 'HC3', and the leverage of a row is 1"):
        covariance_root("HC3", rows, optimum, correction=True, frequency=False, who="f")

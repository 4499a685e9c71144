"""The likelihood, its derivatives and the squares of its scores, against plain sums."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import approx_fprime

from polarstep.linear_model.inference import likelihood
from polarstep.linear_model.inference.likelihood import (
    class_curvatures,
    group_squares,
    likelihood_sums,
    probabilities,
    score_squares,
)
from polarstep.linear_model.inference.standard_rows import Standard

RNG = np.random.default_rng(0)
N, D = 50, 70
X = RNG.standard_normal((N, D)) * (RNG.random((N, D)) < 0.08)
STANDARD = Standard(0.1 * RNG.standard_normal(D), np.full(D, 2.0), True)
Z = np.column_stack([(X - STANDARD.centre) / 2.0, np.ones(N)])
S = RNG.exponential(size=N)
FORMS = pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
EQUATIONS = pytest.mark.parametrize("q", [1, 2])


def problem(q):
    return RNG.integers(-1, q, N), 0.3 * RNG.standard_normal((q, D + 1))


def residuals(theta, codes):
    scores = np.column_stack([np.zeros(N), Z @ theta.T])
    P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return (np.eye(len(theta) + 1)[codes + 1] - P)[:, 1:], P[:, 1:], np.log(P[range(N), codes + 1])


@FORMS
@EQUATIONS
def test_derivatives(form, q):
    codes, theta = problem(q)
    value = lambda t: likelihood_sums(form(X), codes, S, STANDARD, t.reshape(q, -1)).value  # noqa: E731
    sums = likelihood_sums(form(X), codes, S, STANDARD, theta)
    R, P, log = residuals(theta, codes)
    assert sums.value == pytest.approx(S @ log)
    np.testing.assert_allclose(
        sums.gradient.ravel(), approx_fprime(theta.ravel(), value, 1e-6), atol=1e-4
    )
    H = np.zeros((theta.size, theta.size))
    for s, p, z in zip(S, P, Z, strict=True):
        H += s * np.kron(np.diag(p) - np.outer(p, p), np.outer(z, z))
    np.testing.assert_allclose(sums.information, H, atol=1e-9)
    np.testing.assert_allclose(sums.gradient, (S[:, None] * R).T @ Z, atol=1e-10)
    twice = sums + sums
    np.testing.assert_allclose(twice.information, 2 * H, atol=1e-9)
    assert twice.value == 2 * sums.value


@FORMS
@EQUATIONS
def test_curvatures_of_classes(form, q):
    codes, theta = problem(q)
    _, P, _ = residuals(theta, codes)
    whole = np.column_stack([P, 1 - P.sum(axis=1)])
    found = class_curvatures(form(X), codes, S, STANDARD, theta)
    np.testing.assert_allclose(found, S @ (whole * (1 - whole)))


@FORMS
@EQUATIONS
@pytest.mark.parametrize("frequency", [True, False])
def test_squares_of_scores(form, q, frequency):
    codes, theta = problem(q)
    R, _, _ = residuals(theta, codes)
    u = (R[:, :, None] * Z[:, None]).reshape(N, -1)
    u *= np.sqrt(S)[:, None] if frequency else S[:, None]
    found = score_squares(form(X), codes, S, STANDARD, theta, None, 0.0, frequency)
    np.testing.assert_allclose(found, u.T @ u, atol=1e-9)


@FORMS
@EQUATIONS
@pytest.mark.parametrize("values", [1, 300, 1 << 19])
def test_squares_of_groups(form, q, values, monkeypatch):
    """The groups are summed whatever the number of them that is in memory."""
    monkeypatch.setattr(likelihood, "BLOCK_VALUES", values)
    codes, theta = problem(q)
    groups = RNG.permutation(np.append(np.zeros(20, int), np.arange(30) % 7 + 1))
    R, _, _ = residuals(theta, codes)
    u = S[:, None] * (R[:, :, None] * Z[:, None]).reshape(N, -1)
    sums = np.eye(8)[groups].T @ u
    found = group_squares(form(X), codes, S, STANDARD, theta, groups)
    np.testing.assert_allclose(found, sums.T @ sums, atol=1e-9)


def test_extreme_scores():
    """Probabilities and logarithms are exact where one class is certain."""
    model = probabilities(np.array([[800.0], [-800.0], [-800.0]]), np.array([0, 0, -1]))
    assert model.log.tolist() == [0.0, -800.0, 0.0]
    assert model.residual.ravel().tolist() == [0.0, 1.0, 0.0]
    model = probabilities(np.array([[40.0]]), np.array([0]))
    assert model.others[0, 0] == pytest.approx(np.exp(-40.0))
    assert model.residual[0, 0] == pytest.approx(np.exp(-40.0))
    assert model.curvature(0, 0)[0] == pytest.approx(np.exp(-40.0))


def test_leverage_one_is_infinite():
    """A row that determines a coefficient by itself has no corrected residual."""
    eye, standard = np.eye(3), Standard(np.zeros(3), np.ones(3), False)
    theta = np.zeros((1, 3))
    found = score_squares(
        eye, np.zeros(3, int), np.ones(3), standard, theta, 4.0 * np.eye(3), 1.0, False
    )
    assert not np.isfinite(found).all()

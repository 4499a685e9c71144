"""The geometry of S: norms, projections, solves and the spectrum, singular matrices included."""

import numpy as np
import pytest

from polarstep.geometry import Geometry
from problems import covariance

RNG = np.random.default_rng(0)
BASIS = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
MATRICES = {
    "regular": covariance(RNG, 5, 100.0),
    "rank 3": (BASIS[:, :3] * [1.0, 0.5, 0.01]) @ BASIS[:, :3].T,
    "constant column": np.diag([2.0, 0.0, 1.0, 0.0, 0.3]),
    "rank 1": np.outer(BASIS[0], BASIS[0]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_norms_and_solves_are_those_of_the_pseudo_inverse(name):
    S = MATRICES[name]
    found, inverse = Geometry(S, 5, "Geometry"), np.linalg.pinv(S, rcond=1e-10, hermitian=True)
    v = S @ RNG.standard_normal(5)
    assert found.norm(v) == pytest.approx(np.sqrt(v @ S @ v))
    assert found.dual_norm(v) == pytest.approx(np.sqrt(v @ inverse @ v))
    np.testing.assert_allclose(found.solve(v), inverse @ v, atol=1e-10)
    np.testing.assert_allclose(found.project(v), v, atol=1e-12)
    w = RNG.standard_normal(5)
    np.testing.assert_allclose(found.project(w), S @ inverse @ w, atol=1e-9)
    P = found.whitening
    np.testing.assert_allclose(P.T @ S @ P, np.eye(found.rank), atol=1e-10)


@pytest.mark.parametrize("name", MATRICES)
def test_the_spectrum_is_that_of_the_range(name):
    S = MATRICES[name]
    found, values = Geometry(S, 5, "Geometry"), np.linalg.eigvalsh(S)
    assert found.rank == np.linalg.matrix_rank(S)
    assert pytest.approx(values[-1]) == found.L
    assert pytest.approx(values[-found.rank], rel=1e-6) == found.mu
    assert found.condition_number == pytest.approx(found.L / found.mu)
    np.testing.assert_allclose(found.eigen[0], np.maximum(values, 0.0), atol=1e-14)


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e300, np.inf])
def test_norms_neither_overflow_nor_vanish(size):
    S = MATRICES["regular"]
    w = np.ones(5)
    expected = size * np.sqrt(w @ S @ w) if 0 < size < np.inf else size
    assert Geometry(S, 5, "Geometry").norm(size * w) == pytest.approx(expected)

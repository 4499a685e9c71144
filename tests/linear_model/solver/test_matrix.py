"""What dense and sparse matrices share: products by blocks of rows, and sums."""

import numpy as np
import pytest

from polarstep.linear_model.solver.matrix import mirrored
from weighted_samples import KINDS, samples_of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 3, 1000])
def test_products_are_those_of_dense_numpy(kind, n_threads):
    samples, Z = samples_of(kind, n_threads=n_threads)
    matrix = samples.matrix
    assert len(matrix.blocks) == min(n_threads, samples.n)
    v = np.random.default_rng(0).standard_normal(6)
    np.testing.assert_allclose(matrix.project(v, 0.7), Z @ v + 0.7, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        matrix.column_sums(samples.weight), samples.weight @ (Z + samples.centre), rtol=1e-10
    )
    rows = np.array([3, 8, 20])
    np.testing.assert_allclose(matrix.take(rows).project(v, 0.0), (Z @ v)[rows], rtol=1e-10)


def test_mirrored():
    A = np.array([[1.0, 2.0], [2.0, 3.0]])
    np.testing.assert_array_equal(mirrored(np.tril(A)), A)
    np.testing.assert_array_equal(mirrored(np.triu(A)), A)

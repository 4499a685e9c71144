"""Products with tiles of rows, against dense products."""

import numpy as np
import pytest

from block_problems import D, N, dense_rows, make_rows
from polarstep.linear_model.block.tiles import tiles_of


@pytest.mark.parametrize("kind", ["C", "F", "csr", "float32"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("at", [slice(10, 40), np.array([7, 3, 50])], ids=["slice", "numbers"])
def test_products_match_dense_ones(kind, intercept, at):
    rows = make_rows(kind)
    tiles, Z = tiles_of(rows.matrix), dense_rows(rows, intercept)
    W = np.random.default_rng(0).standard_normal((3, D + intercept))
    np.testing.assert_allclose(tiles.centred(at, intercept), Z[at], atol=1e-12)
    np.testing.assert_allclose(tiles.scores(at, W, intercept), W @ Z[at].T, rtol=1e-6, atol=1e-9)

    def double(scores, _):
        scores *= 2.0
        return scores.sum()

    total, out = tiles.sum(double, at, W, intercept)
    np.testing.assert_allclose(total, 2 * (W @ Z[at].T).sum(), rtol=1e-6)
    np.testing.assert_allclose(out, 2 * (W @ Z[at].T) @ Z[at], rtol=1e-6, atol=1e-9)


def test_tiles_cover_the_rows_once():
    tiles = tiles_of(make_rows(n=5_000).matrix)
    cut = tiles.cut(slice(0, 5_000), 20)
    assert np.concatenate([np.arange(5_000)[at] for at in cut]).tolist() == list(range(5_000))
    some = np.arange(0, 5_000, 2)
    assert np.concatenate(tiles.cut(some, 20)).tolist() == some.tolist()
    assert len(tiles.cut(slice(0, N), 1)) == 1

"""The norms of blocks plus a matrix of low rank, against the sum built by einsum."""

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from curvature_blocks import ROOMY, built, factors, on_tangents, square, unit  # noqa: E402
from curvature_cases import draw  # noqa: E402
from polarstep.curvature import lowrank  # noqa: E402
from polarstep.curvature.contraction import Factors  # noqa: E402
from polarstep.curvature.lowrank import Dense, Factored  # noqa: E402


def low_rank(f, k, factored, seed=20):
    """Draw Y and Z as sides, dense or factored, and return Y Z^T as well."""
    (R, N, p), q, s = f.M.shape, f.a.shape[1], f.b.shape[1]
    Y = Factored(draw(N, R, k, seed=seed), f.b) if factored[0] else Dense(draw(R, s, k, seed=seed))
    Z = (
        Factored(draw(N, p, k, seed=seed + 1), f.a)
        if factored[1]
        else Dense(draw(p, q, k, seed=seed + 1))
    )
    full_Y, full_Z = (
        side.values if isinstance(side, Dense) else torch.einsum("nrk,ns->rsk", side.values, side.b)
        for side in (Y, Z)
    )
    return Y, Z, torch.einsum("rsk,pqk->rspq", full_Y, full_Z)


@pytest.mark.parametrize("kind", ["none", "full", "diagonal"])
@pytest.mark.parametrize("factored", [(False, False), (True, False), (True, True), (False, True)])
@pytest.mark.parametrize("tangents", [False, True])
@pytest.mark.parametrize("N", [5, 256, 300])
def test_low_rank(N, kind, factored, tangents):
    """256 samples are processed at a time. If P is not zero, Z is always dense."""
    if factored[1] and kind != "none":
        kind = "none"
    f = factors(N, kind=kind)
    Y, Z, YZ = low_rank(f, 3, factored)
    B, units = built(f) + YZ, None
    if tangents:
        early, late = unit(3, 2, seed=30), unit(4, f.a.shape[1], seed=31)
        lengths = draw(3, seed=32).abs(), draw(4, seed=33).abs()
        units = [(lengths[0], early), (lengths[1], late)]
        scaled = lengths[0][:, None, None, None] * B * lengths[1][:, None]
        B = on_tangents(scaled, early, late)
    assert lowrank.squared_norm(f, (Y, Z), units, ROOMY) == square(B)
    # These functions expect factors and sides that are projected and scaled already.
    if tangents:
        Y, Z = Y.on_tangents(*units[0]), Z.on_tangents(*units[1])
        f = f.scaled(units[1][0], units[0][0])
    total, largest = lowrank._by_terms(f, (Y, Z), units, ROOMY)
    assert total == square(B)
    assert largest == square(built(f))
    if factored == (False, False):
        assert lowrank._built(f, (Y, Z), units, ROOMY) == square(B)
        assert lowrank._built(f, (Y, Z), units, 1) == square(B)


@pytest.mark.parametrize("factored", [(False, False), (True, False)])
def test_rows_of_a_low_rank(factored):
    f = factors(7)
    Y, Z, YZ = low_rank(f, 2, factored)
    some = slice(1, 3)
    found = lowrank.squared_norm(f.rows(some), (Y.rows(some), Z), None, ROOMY)
    assert found == square((built(f) + YZ)[some])


def test_a_block_that_almost_cancels_is_built():
    """The sum is a millionth of its parts, so that expanding the square loses 12 digits."""
    f = factors(4, q=12, s=15)
    B = built(f)
    left, values, right = torch.linalg.svd(B.reshape(45, 48), full_matrices=False)
    Y = Dense((-left * values).reshape(3, 15, 45))
    Z = Dense((right.T + 1e-6 * draw(48, 45, seed=9)).reshape(4, 12, 45))
    rest = B + torch.einsum("rsk,pqk->rspq", Y.values, Z.values)
    assert rest.norm() < 1e-4 * B.norm()
    expected = float(rest.square().sum())
    assert lowrank._by_terms(f, (Y, Z), None, ROOMY)[0] != pytest.approx(expected, rel=1e-8, abs=0)
    assert lowrank.squared_norm(f, (Y, Z), None, ROOMY) == pytest.approx(expected, rel=1e-8, abs=0)


def test_a_factored_block_that_cancels_is_computed_in_double_precision():
    """Y is factored, with one column for each sample and unit, in single precision."""
    f = factors(5, s=30, kind="none")
    N, R, p, q = 5, 3, 4, 5
    Y = Factored(torch.eye(N * R, dtype=torch.float64).view(N, R, N * R), f.b)
    T = torch.einsum("rnp,nq->pqnr", f.M, f.a).reshape(p, q, N * R)
    Z = Dense(-T + 1e-2 * draw(p, q, N * R, seed=9))
    f, Y, Z = (
        Factors(f.M.float(), None, f.delta.float(), f.a.float(), f.b.float()),
        Factored(Y.values.float(), f.b.float()),
        Dense(Z.values.float()),
    )
    full_Y = torch.einsum("nrk,ns->rsk", Y.values.double(), Y.b.double())
    rest = built(f.double()) + torch.einsum("rsk,pqk->rspq", full_Y, Z.values.double())
    expected = float(rest.square().sum())
    assert lowrank.squared_norm(f, (Y, Z), None, ROOMY) == pytest.approx(expected, rel=1e-9, abs=0)

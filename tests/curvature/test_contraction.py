"""The formulas of the norms, against blocks built by einsum."""

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from curvature_blocks import ROOMY, built, factors, on_tangents, square, unit  # noqa: E402
from curvature_cases import draw  # noqa: E402
from polarstep.curvature import contraction  # noqa: E402

KINDS = ["none", "full", "square", "diagonal"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("N", [1, 6, 512, 513, 1100])
def test_directly_and_by_pairs(N, kind):
    """A tile holds 512 samples, so that these counts cover one tile, full or not, and several."""
    f = factors(N, kind=kind)
    B = built(f)
    torch.testing.assert_close(contraction.block(f), B, rtol=1e-11, atol=1e-11)
    assert contraction._by_pairs(f) == square(B)
    assert contraction._directly(f, ROOMY) == square(B)
    assert contraction._directly(f, 1) == square(B)
    assert contraction.squared_norm(f, ROOMY) == square(B)


@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 5),
    kind=st.sampled_from(KINDS),
    memory=st.sampled_from([1, 200, 1000, ROOMY]),
    seed=st.integers(0, 1000),
)
def test_sizes(sizes, kind, memory, seed):
    f = factors(*sizes, kind=kind, seed=seed)
    B = built(f)
    assert contraction._by_pairs(f) == pytest.approx(float(B.square().sum()), rel=1e-9)
    assert contraction._directly(f, memory) == square(B)
    early, late = unit(*f.M.shape[::2][:1], f.b.shape[1], seed=seed), unit(*B.shape[2:], seed=seed)
    kept = contraction.squared_norm(f, memory) - contraction.radial_part(f, late, early, memory)
    expected = float(on_tangents(B, early, late).square().sum())
    assert kept == pytest.approx(expected, rel=1e-9, abs=1e-13 * float(B.square().sum()))


def test_the_cheaper_way_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(contraction, "_by_pairs", lambda f: taken.append("pairs"))
    monkeypatch.setattr(contraction, "_directly", lambda f, memory: taken.append("directly"))
    contraction.squared_norm(factors(4, s=200), ROOMY)
    contraction.squared_norm(factors(4, s=200, kind="none"), ROOMY)
    contraction.squared_norm(factors(300, s=1), ROOMY)
    assert taken == ["pairs", "pairs", "directly"]


def test_one_sample_decides_that_p_is_not_diagonal():
    """P is not diagonal if, for a single sample, a unit affects another input."""
    f = factors(5, kind="diagonal")
    assert contraction._is_diagonal(f.P)
    f.P[0, 3, 1] = 0.5
    assert not contraction._is_diagonal(f.P)
    assert contraction._by_pairs(f) == square(built(f))
    assert not contraction._is_diagonal(factors(5, kind="full").P)


def test_scaled_and_rows():
    f = factors(6)
    late, early = draw(4, seed=7), draw(3, seed=8)
    scaled = early[:, None, None, None] * built(f) * late[:, None]
    torch.testing.assert_close(built(f.scaled(late, early)), scaled)
    torch.testing.assert_close(built(f.rows(slice(1, 3))), built(f)[1:3])

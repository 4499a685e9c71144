"""Norms, unit vectors, tangents and angles of rows and of whole matrices."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from polarstep.optim.spheres import MATRIX, ROWS  # noqa: E402

SPHERES = {"rows": ROWS, "matrix": MATRIX}


def matrices(seed=0, shape=(2, 5, 3)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(params=SPHERES)
def sphere(request):
    return SPHERES[request.param]


def test_unit_vectors_do_not_underflow():
    A = torch.tensor([[[3e-30, 4e-30], [0.0, 0.0], [3e30, 4e30]]])
    expected = torch.tensor([[[0.6, 0.8], [0.0, 0.0], [0.6, 0.8]]])
    torch.testing.assert_close(ROWS.unit(A), expected)
    assert MATRIX.norm(MATRIX.unit(A)).item() == pytest.approx(1)


def test_norms_are_the_roots_of_inner_products(sphere):
    A = matrices()
    torch.testing.assert_close(sphere.norm(A).square(), sphere.inner(A, A))
    assert sphere.norm(A).shape == ((2, 5, 1) if sphere is ROWS else (2, 1, 1))


def test_projections_are_tangent_and_change_nothing_else(sphere):
    C, V = matrices(0), 3 * sphere.unit(matrices(1))
    projected = sphere.project(C, V, 3.0)
    torch.testing.assert_close(sphere.inner(projected, V), torch.zeros_like(sphere.norm(V)))
    torch.testing.assert_close(sphere.project(projected, V, 3.0), projected)
    removed = C - projected
    torch.testing.assert_close(removed, V * sphere.inner(removed, V) / 9)


def test_angles_are_those_of_the_inner_product(sphere):
    A, B = matrices(0), matrices(1)
    cosine = sphere.inner(A, B) / (sphere.norm(A) * sphere.norm(B))
    torch.testing.assert_close(sphere.angles(A, B), cosine.acos())


def test_small_and_straight_angles_are_accurate():
    A = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    for angle in (1e-12, 1e-6, math.pi / 2, math.pi):
        B = torch.tensor([[[math.cos(angle), math.sin(angle)]]], dtype=torch.float64)
        for sphere in SPHERES.values():
            assert sphere.angles(A, 7 * B).item() == pytest.approx(angle, rel=1e-10)


def test_lengths_directions_and_radii_make_up_the_matrix(sphere):
    V = matrices()
    V[0, 1] = 0
    V[1] = 0
    parts = sphere.split(V)
    torch.testing.assert_close(parts["length"] * parts["direction"], V)
    radius = parts.get("radius", 1.0)
    norms = sphere.norm(parts["direction"])
    assert (torch.isclose(norms, radius * torch.ones_like(norms)) | (norms == 0)).all()
    assert sphere.any_zero(V)
    assert not sphere.any_zero(matrices())

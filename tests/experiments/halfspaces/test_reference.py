"""Reference optima: critical points, never beaten, and computed independently."""

import ast
import inspect

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.halfspaces import reference
from polarstep.experiments.halfspaces.reference import reference_optimum
from problems import one_hot, skewed, two_class

DATA = {
    "gaussian": two_class(seed=1, n=200, d=4),
    "skewed": skewed(seed=2, n=200, d=4),
    "singular": one_hot(seed=3)[:2],
}
METHODS = ("agd", "bn", "gdnp", "wn")


@pytest.fixture(params=DATA)
def data(request):
    return DATA[request.param]


def test_a_convex_optimum_is_critical_and_reached_by_minimize(data):
    objective = ps.Halfspace(*data)
    found = reference_optimum(objective)
    assert found["starts"] == 1
    assert found["spread"] == 0.0
    assert found["grad_norm"] < 1e-8
    ours = ps.minimize(objective, "gdnp", max_iter=20_000, tol=1e-9)
    assert ours.success
    assert found["fun"] == pytest.approx(ours.fun, abs=1e-12)
    assert found["length"] == pytest.approx(ours.length, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_minimize_never_gets_below_a_convex_optimum(data, method):
    objective = ps.Halfspace(*data)
    lowest = ps.minimize(objective, method, max_iter=1500, tol=0.0).trace.fun.min()
    assert lowest >= reference_optimum(objective)["fun"] - 1e-12


def test_a_penalty_is_part_of_the_optimum(data):
    lam = 0.1
    found = reference_optimum(ps.Halfspace(*data, length_penalty=lam))
    ours = ps.minimize(ps.Halfspace(*data, length_penalty=lam), max_iter=20_000, tol=1e-9)
    assert found["fun"] == pytest.approx(ours.fun, abs=1e-12)
    assert found["grad_norm"] < 1e-8


@pytest.mark.parametrize("limits", [{"length_penalty": 1e-2}, {"max_length": 4.0}])
def test_of_many_critical_points_a_lowest_one_is_taken(data, limits):
    objective = ps.Halfspace(*data, loss="sigmoid", **limits)
    found = reference_optimum(objective)
    assert found["starts"] > 1
    assert found["spread"] >= 0
    assert found["grad_norm"] < 1e-7
    for method in METHODS:
        ours = ps.minimize(objective, method, max_iter=1500, tol=1e-9)
        assert found["fun"] <= ours.fun + 1e-10


def test_a_cap_that_does_not_bind_changes_nothing(data):
    free = reference_optimum(ps.Halfspace(*data))
    capped = reference_optimum(ps.Halfspace(*data, max_length=2 * free["length"]))
    assert capped["fun"] == pytest.approx(free["fun"], abs=1e-12)
    assert capped["length"] == pytest.approx(free["length"], rel=1e-6)


def test_a_cap_that_binds_is_kept_and_leaves_no_slope_along_it(data):
    free = reference_optimum(ps.Halfspace(*data))
    cap = 0.5 * free["length"]
    objective = ps.Halfspace(*data, max_length=cap)
    found = reference_optimum(objective)
    assert found["length"] == pytest.approx(cap, rel=1e-12)
    assert found["grad_norm"] < 1e-7  # its tangential part
    assert found["fun"] > free["fun"]
    ours = ps.minimize(objective, "gdnp", max_iter=20_000, tol=1e-8)
    assert ours.status is ps.Status.length_capped
    assert found["fun"] == pytest.approx(ours.fun, abs=1e-10)
    assert ours.x @ objective.gradient(ours.x) < 0  # f would fall further out


@pytest.mark.parametrize("limits", [{"length_penalty": 1e-2}, {"max_length": 3.0}])
def test_no_point_of_a_grid_in_the_plane_is_lower(limits):
    objective = ps.Halfspace(*two_class(seed=5, n=100, d=2), loss="sigmoid", **limits)
    lowest = reference_optimum(objective)["fun"]
    P = objective.moments.whitening
    longest = limits.get("max_length", 12.0)
    for radius in np.linspace(0.2, longest, 20):
        for angle in np.linspace(0, 2 * np.pi, 120, endpoint=False):
            wt = P @ (radius * np.array([np.cos(angle), np.sin(angle)]))
            assert objective.value(wt) >= lowest - 1e-9


def test_the_reference_does_not_use_the_solvers_that_it_checks():
    imported = {
        alias.name
        for node in ast.walk(ast.parse(inspect.getsource(reference)))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imported == {"Halfspace"}

"""Length rules: any start, and searches that agree."""

import numpy as np
import pytest

import polarstep as ps
from logistic_problem import START, X, Y
from polarstep.methods.roots import bracket, brent, newton
from problems import LOSS_NAMES, population


@pytest.mark.parametrize("loss", [*LOSS_NAMES])
@pytest.mark.parametrize("start", [1e-6, 0.3, 40.0, 2e3])
def test_length_searches_agree(loss, start):
    p = population(5, 4, kappa=8.0, separation=0.6)
    for objective in (
        ps.Halfspace(X, Y, loss, 0.02),
        ps.GaussianHalfspace(p.u, p.S, loss, 0.02),
    ):
        w = -objective.moments.u + 0.1 * START * np.abs(objective.moments.u).max()
        ray = objective.along(w)
        a, b = bracket(ray, 1.0, start)
        assert ray.slope(a) <= 0 < ray.slope(b)
        exact = brent(ray, a, b)
        assert ray.slope(exact) == pytest.approx(0, abs=1e-12 * max(1.0, start))
        quick = newton(ray, start, np.inf)
        if quick is not None:
            assert quick == pytest.approx(exact, rel=1e-9)
        for options in ({}, {"bisection_steps": 50}):
            options |= {"length": start, "max_iter": 1, "tol": 0.0}
            run = ps.minimize(objective, "gdnp", w, **options)
            assert run.n_iter == 1
            end = objective.along(run.x)
            assert end.slope(run.length) == pytest.approx(0, abs=1e-12 * max(1.0, start))


@pytest.mark.parametrize("length", [0.0, -2.0, 1e-300, 1e6])
@pytest.mark.parametrize("method", ["gdnp", "bn", "wn"])
def test_any_starting_length_works(method, length):
    objective = ps.Halfspace(X, Y, length_penalty=0.3)
    best = ps.minimize(objective, "gdnp", max_iter=3000).fun
    if method == "gdnp":
        run = ps.minimize(objective, method, length=length, max_iter=3000)
        assert run.success
        assert run.fun == pytest.approx(best, abs=1e-12)
    else:
        run = ps.minimize(objective, method, START, length=length, max_iter=300, tol=0.0)
        assert run.trace.fun[-1] < run.trace.fun[0]
    in_s = objective.moments.norm(START) / np.linalg.norm(START) if method == "wn" else 1.0
    assert run.trace.length[0] == pytest.approx(abs(length) * in_s)

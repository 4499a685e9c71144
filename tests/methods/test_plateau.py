"""A vanishing gradient on a plateau of a bounded loss is not convergence."""

import numpy as np
import pytest

import polarstep as ps
from polarstep import Status
from polarstep.methods.iterate import Iterate
from polarstep.methods.plateau import is_on_plateau
from problems import two_class


def far_data():
    rng = np.random.default_rng(0)
    X, w = 1e6 * rng.normal(size=(100, 3)), rng.normal(size=3)
    return X, np.where(X @ w + 1e6 * rng.logistic(size=100) > 0, 1.0, -1.0), w


@pytest.mark.parametrize("loss", ["sigmoid", "normal_cdf"])
@pytest.mark.parametrize("method", ["gd", "agd", "wn"])
def test_a_run_from_reversed_labels_ends_on_a_plateau(method, loss):
    X, y, w = far_data()
    result = ps.minimize(ps.Halfspace(X, y, loss), method, -w, max_iter=50)
    assert result.status is Status.plateau
    assert not result.success
    assert result.grad_norm == 0
    assert result.fun > 0.5


@pytest.mark.parametrize("loss", ["softplus", "squared", "smooth_hinge"])
@pytest.mark.parametrize("tol", [1e-2, 1e-8])
def test_convex_losses_have_no_plateaus(loss, tol):
    X, y = two_class(n=200)
    result = ps.minimize(ps.Halfspace(X, y, loss), "gdnp", tol=tol)
    assert result.status is Status.converged


def test_minima_of_bounded_losses_are_not_plateaus():
    X, y = two_class(n=200)
    for loss in ("sigmoid", "normal_cdf"):
        objective = ps.Halfspace(X, y, loss, 0.1)
        result = ps.minimize(objective, "gdnp", max_iter=2_000)
        assert result.status is Status.converged
        ray = objective.ray(result.x)
        assert not is_on_plateau(Iterate(result.x, 1.0, ray, ray.gradient(1.0)), 1e-8)


def test_zero_is_no_plateau():
    X, y = two_class(n=50)
    ray = ps.Halfspace(X, y, "sigmoid").ray(np.zeros(X.shape[1]))
    assert not is_on_plateau(Iterate(ray.v, 1.0, ray, ray.gradient(1.0)), 1.0)

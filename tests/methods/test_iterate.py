"""Iterates, and the exception that ends a run."""

import numpy as np

import polarstep as ps
from polarstep import Status
from polarstep.methods.iterate import Iterate, Stopped


def test_an_iterate_knows_its_weight():
    f = ps.GaussianHalfspace([0.5, 0.1], np.eye(2))
    ray = f.along(np.array([1.0, 2.0]))
    np.testing.assert_allclose(Iterate(ray.v, -3.0, ray, ray.gradient(-3.0)).wt, -3.0 * ray.v)


def test_the_exception_carries_status_and_advice():
    stop = Stopped(Status.no_length_root)
    assert stop.status is Status.no_length_root
    assert str(stop) == Status.no_length_root.value

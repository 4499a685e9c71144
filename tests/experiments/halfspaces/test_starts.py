"""Random starts, and runs of all methods from the same weight."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.halfspaces.starts import random_start, run_from
from problems import two_class


def test_all_methods_start_from_the_same_weight():
    objective = ps.Halfspace(*two_class(n=80, d=3))
    w0 = random_start(objective, 0)
    starts = [run_from(objective, m, w0, 5.0, 0).x for m in ("gd", "agd", "wn", "bn", "gdnp")]
    np.testing.assert_allclose(starts, [starts[0]] * 5, rtol=1e-12)
    assert objective.moments.norm(starts[0]) == pytest.approx(5.0)


def test_a_run_is_the_same_whatever_the_scale_of_its_start():
    objective = ps.Halfspace(*two_class(n=80, d=3))
    w0 = random_start(objective, 0)
    for method in ("gd", "agd", "wn", "bn", "gdnp"):
        one, other = (run_from(objective, method, c * w0, 5.0, 4).trace.fun for c in (1.0, 1e3))
        assert one == pytest.approx(other, rel=1e-12)


def test_an_interrupted_run_raises_and_has_no_outcome():
    calls = 0

    def dphi(a):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return np.ones_like(a)

    loss = ps.MarginLoss(lambda a: a, dphi, np.zeros_like, "line", 1.0, 1.0)
    objective = ps.Halfspace(*two_class(n=80, d=3), loss)
    with pytest.raises(KeyboardInterrupt):
        run_from(objective, "gd", random_start(objective, 0), 1.0, 10)
    assert calls == 4

"""The sums that blocks of rows contribute to."""

import numpy as np

from polarstep.linear_model.solver.weighted_rows import Sums
from weighted_samples import samples_of


def test_sums_add_up():
    a = Sums(1.0, np.array([1.0, 2.0]), 3.0, 4.0, 5.0)
    total = a + a
    assert total[0] == 2.0
    np.testing.assert_array_equal(total.by_w, [2.0, 4.0])


def test_the_sums_of_some_rows_and_of_the_others_are_those_of_all():
    samples, _ = samples_of()
    w = np.random.default_rng(0).standard_normal(6)
    parts = [
        type(samples)(samples.matrix.take(at), samples.y[at], samples.weight[at], samples.loss)
        for at in np.array_split(np.arange(samples.n), 4)
    ]
    total, *rest = (part.evaluate(w, 0.3)[0] for part in parts)
    for part in rest:
        total += part
    for mine, theirs in zip(total, samples.evaluate(w, 0.3)[0], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-14)

"""Models of a block: construction from numbers, and selection."""

import numpy as np

from polarstep.linear_model.block.models import Models


def test_numbers_are_repeated_for_every_penalty():
    models = Models.of([0.1, 0.2, 0.3], split=2, positive=[0, 1, 2])
    assert len(models) == 3
    assert models.split.tolist() == [2, 2, 2]
    assert models.positive.tolist() == [0, 1, 2]


def test_take_keeps_the_fields_together():
    models = Models.of([0.1, 0.2, 0.3], split=[0, 1, 0], positive=[2, 1, 0])
    some = models.take(np.array([2, 0]))
    assert some.alpha.tolist() == [0.3, 0.1]
    assert some.split.tolist() == [0, 0]
    assert some.positive.tolist() == [0, 2]

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


def test_models_are_alike_if_only_their_splits_differ():
    models = Models.of([0.1, 2.0, 0.105, 2.0, 0.1], split=[0, 0, 1, 1, 2], positive=[1, 1, 1, 1, 0])
    first, second, third, fourth, fifth = models.alike
    assert first == third
    assert second == fourth
    assert len({first, second, fifth}) == 3
    # Groups do not chain values that are far apart.
    assert len(set(Models.of(1.05 ** np.arange(10)).alike)) > 2
    assert len(set(Models.of([0.0, 0.0], split=[0, 1]).alike)) == 1

"""Newton's method ends with a separating direction, or with a proof that there is none."""

import numpy as np

from polarstep.linear_model.separating_newton import find_direction, newton_step
from polarstep.linear_model.separating_rows import RowsOfClasses
from separable_data import is_separable, random_data


def rows_of(X, y):
    _, codes = np.unique(y, return_inverse=True)
    return RowsOfClasses.of_data(X, codes, int(codes.max()) + 1, None, intercept=True)


def test_it_agrees_with_a_linear_programme_without_looking_at_single_features():
    for seed in range(200, 280):
        X, y = random_data(seed)
        rows = rows_of(X, y)
        found = find_direction(rows, None)
        assert (found is not None) == is_separable(X, y), seed
        assert found is None or rows.separates(found), seed


def test_a_step_proves_nothing_where_data_are_separable():
    for seed in range(60):
        X, y = random_data(seed)
        if is_separable(X, y):
            rows = rows_of(X, y)
            scores = rows.scores(np.random.default_rng(seed).normal(size=rows.shape))
            step, settled = newton_step(rows, scores)
            assert not settled
            assert np.abs(rows.leads_of(rows.scores(step))).max() >= 0.99

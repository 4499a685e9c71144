"""The rows of a cross-validation in memory, with weights and scores of each split."""

import numpy as np
import pytest

from classifier_cases import THREE, X
from polarstep import LogisticRegressionCV
from polarstep.linear_model.folds import FoldsInMemory


@pytest.mark.parametrize("weight", [None, np.arange(len(X)) % 3])
def test_weights_and_scores_of_folds(weight):
    model = LogisticRegressionCV(Cs=[0.1, 1.0], cv=3)
    folds = FoldsInMemory(model, X, THREE, weight, {}, 1)
    assert folds.totals.shape == (3,)
    np.testing.assert_allclose(folds.rows.totals.sum(axis=1), 1.0)
    given = np.ones(len(X)) if weight is None else weight
    assert folds.totals.sum() == pytest.approx(2 * given.sum())
    fit = model._solve(
        folds.rows, np.array([0.1, 1.0]), folds.totals, folds.centre, rng=np.random.default_rng(0)
    )
    scores = folds.scores(fit)
    for f, (_, at) in enumerate(folds.splits):
        for c in range(2):
            margins = X[at] @ fit.coefs[f, c].T + fit.intercepts[f, c]
            correct = model.classes_[margins.argmax(axis=1)] == THREE[at]
            assert scores[f, c] == pytest.approx(np.average(correct, weights=given[at]))
    assert folds.data[0].shape == X.shape

"""The fit to all rows after a cross-validation."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from polarstep import LogisticRegression, LogisticRegressionCV
from polarstep.linear_model.logistic import LogisticRegression as Base
from polarstep.linear_model.refit import refit

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 4))
TWO = (X[:, 0] + RNG.logistic(size=90) > 0).astype(int)
THREE = np.digitize(X[:, 0] + RNG.logistic(size=90), [-1.0, 1.0])
WEIGHT = RNG.exponential(size=90)


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_the_fit_is_that_of_logistic_regression_to_the_last_digit(y):
    options = {"class_weight": "balanced", "fit_intercept": False, "tol": 1e-4, "random_state": 1}
    estimator = LogisticRegressionCV(Cs=[5.0], **options)
    refit(estimator, X, y, WEIGHT, 0.3)
    same = LogisticRegression(C=0.3, **options).fit(X, y, WEIGHT)
    np.testing.assert_array_equal(estimator.coef_, same.coef_)
    np.testing.assert_array_equal(estimator.intercept_, same.intercept_)
    np.testing.assert_array_equal(estimator.classes_, same.classes_)
    assert estimator.result_.fun == same.result_.fun
    assert estimator.get_params() == LogisticRegressionCV(Cs=[5.0], **options).get_params()


def test_errors_and_warnings_name_the_estimator_that_was_called():
    with pytest.raises(ValueError, match=r"^LogisticRegressionCV: `X` must hold numbers of a reas"):
        refit(LogisticRegressionCV(), X * 1e200, TWO, None, 1.0)
    with pytest.warns(ConvergenceWarning, match=r"^LogisticRegressionCV: .*max_iter"):
        refit(LogisticRegressionCV(max_iter=1, tol=1e-14), X, TWO, None, 1.0)


def test_an_interruption_leaves_no_attributes(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Base, "_fit_in_memory", interrupted)
    estimator = LogisticRegressionCV()
    with pytest.raises(KeyboardInterrupt):
        refit(estimator, X, TWO, None, 1.0)
    assert not hasattr(estimator, "coef_")

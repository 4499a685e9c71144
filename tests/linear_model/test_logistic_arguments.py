"""Arguments of scikit-learn that LogisticRegression accepts where they mean the same model."""

import numpy as np
import pytest
import sklearn.linear_model

from classifier_cases import THREE, UNITS, WEIGHT, X, Y
from polarstep import LogisticRegression
from problems import relative

Z = X / UNITS
SAME = {
    "l2": {"penalty": "l2"},
    "scikit-learn's default": {"penalty": "deprecated"},
    "elasticnet without l1": {"penalty": "elasticnet", "l1_ratio": 0},
    "no l1_ratio": {"l1_ratio": None},
    "ovr": {"multi_class": "ovr"},
    "former default": {"multi_class": "deprecated"},
    "dual": {"dual": True},
    "intercept_scaling": {"intercept_scaling": 7},
    **{name: {"solver": name} for name in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")},
}
OTHER = {
    "l1": ({"penalty": "l1"}, "`penalty` must be 'l2' or None; got 'l1'. Use sklearn"),
    "unknown penalty": ({"penalty": "l3"}, "`penalty` must be one of 'None', 'l2'; got 'l3'"),
    "l1_ratio": ({"l1_ratio": 0.5}, "`l1_ratio` must be 0; got 0.5. Use sklearn.*saga"),
    "l1_ratio < 0": ({"l1_ratio": -1}, "`l1_ratio` must"),
    "elasticnet": ({"penalty": "elasticnet", "l1_ratio": None}, "`l1_ratio` must be 0 with"),
    "liblinear": ({"solver": "liblinear"}, "`solver` must .*unpenalised.*use fit_intercept=False"),
    "unknown solver": ({"solver": "newton"}, "`solver`.* Did you mean 'newton-cg'"),
    "multinomial": ({"multi_class": "multinomial"}, "`multi_class` must be 'auto'.* twice the C"),
    "unknown multi_class": ({"multi_class": "crammer"}, "`multi_class` must be one of"),
    "both strengths": ({"C": 2.0, "alpha": 0.1}, "`alpha` must be None if C is given.*C=2.0"),
    "alpha negative": ({"alpha": -1e-3}, "`alpha` must be a finite number >= 0; got -0.001"),
    "alpha infinite": ({"alpha": np.inf}, "`alpha` must be a finite number"),
    "intercept_scaling": ({"intercept_scaling": 0}, "`intercept_scaling` must be"),
}  # fmt: skip


def fit(X=Z, y=Y, weight=None, **options):
    return LogisticRegression(**{"tol": 1e-12, **options}).fit(X, y, weight)


@pytest.mark.parametrize("case", SAME)
def test_arguments_that_mean_the_same_are_accepted(case):
    np.testing.assert_array_equal(fit(**SAME[case]).coef_, fit().coef_)


@pytest.mark.parametrize("case", OTHER)
def test_arguments_that_mean_another_model_are_refused_with_advice(case):
    options, text = OTHER[case]
    with pytest.raises(ValueError, match=f"^LogisticRegression: {text}"):
        fit(**options)


@pytest.mark.parametrize(
    ("options", "argument"), [({"multi_class": "ovr"}, "multi_class"), (
        {"solver": "liblinear", "fit_intercept": False}, "solver")]
)  # fmt: skip
def test_one_against_the_rest_is_another_estimator(options, argument):
    text = f"`{argument}` must ask for softmax.*3 classes.* Use polarstep.HalfspaceClassifier"
    with pytest.raises(ValueError, match=text):
        fit(y=THREE, **options)


def test_values_of_another_type_are_refused():
    for options in ({"dual": 1}, {"alpha": "much"}, {"l1_ratio": "none"}, {"fit_intercept": 1}):
        with pytest.raises(TypeError, match=f"`{next(iter(options))}` must"):
            fit(**options)


def test_liblinear_without_an_intercept_has_the_same_optimum():
    ours = fit(solver="liblinear", fit_intercept=False, C=0.1)
    theirs = sklearn.linear_model.LogisticRegression(
        solver="liblinear", fit_intercept=False, C=0.1, tol=1e-10, max_iter=10_000
    ).fit(Z, Y)
    assert relative(ours.coef_, theirs.coef_) < 1e-5


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("class_weight", [None, {0: 3.0}])
def test_alpha_is_the_inverse_of_C_times_the_sum_of_weights(weight, class_weight):
    total = (np.ones(300) if weight is None else weight) * np.where(
        (Y == 0) & (class_weight is not None), 3.0, 1.0
    )
    options = {"class_weight": class_weight}
    by_C = fit(weight=weight, C=0.25, **options)
    by_alpha = fit(weight=weight, alpha=1 / (0.25 * total.sum()), **options)
    np.testing.assert_allclose(by_alpha.coef_, by_C.coef_, rtol=1e-9)


def test_alpha_means_the_same_for_any_number_of_rows():
    twice = fit(np.tile(Z, (2, 1)), np.tile(Y, 2), alpha=0.01)
    assert relative(twice.coef_, fit(alpha=0.01).coef_) < 1e-5


def test_no_penalty_has_four_spellings():
    best = fit(C=np.inf).coef_
    np.testing.assert_array_equal(fit(penalty=None).coef_, best)
    np.testing.assert_array_equal(fit(alpha=0).coef_, best)
    for options, text in (({"C": 3.0}, "C=3.0"), ({"alpha": 0.1}, "alpha=0.1")):
        with pytest.warns(UserWarning, match=f"{text} has no effect with penalty=None") as seen:
            model = fit(penalty=None, **options)
        assert seen[0].filename == __file__
        np.testing.assert_array_equal(model.coef_, best)


def test_the_parameters_of_scikit_learn_are_accepted_as_they_are():
    """tol means something else, so that it is replaced."""
    parameters = sklearn.linear_model.LogisticRegression(C=0.3).get_params() | {"tol": 1e-12}
    assert set(parameters) <= set(LogisticRegression().get_params())
    model = LogisticRegression(**parameters).fit(Z, Y)
    np.testing.assert_array_equal(model.coef_, fit(C=0.3).coef_)

"""`summary` agrees with statsmodels and says what it cannot know."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import polarstep as ps
from inference_cases import (
    FORMS,
    GROUPS,
    THREE,
    UNITS,
    WEIGHT,
    N,
    Softmax,
    X,
    Y,
    Z,
    fitted,
    newton,
    summarized,
)
from polarstep import HalfspaceClassifier
from polarstep.linear_model.inference import summary

ONES = np.column_stack([Z, np.ones(N)])
RAW = np.append(1 / UNITS, 1.0)  # from coefficients of Z to those of X


@pytest.fixture(scope="module")
def sm():
    reason = "statsmodels is not installed: pip install 'polarstep[dev]'"
    return pytest.importorskip("statsmodels.api", reason=reason)


def logit(sm, **options):
    return sm.Logit(Y, ONES).fit(disp=0, tol=1e-14, **options)


def binomial(sm, kind="nonrobust", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # robust errors with weights are called experimental
        model = sm.GLM(Y, ONES, family=sm.families.Binomial(), **options)
        keywords = {"groups": GROUPS} if kind == "cluster" else {}
        return model.fit(tol=1e-14, cov_type=kind, cov_kwds=keywords)


def check_errors(found, reference, scale=RAW):
    np.testing.assert_allclose(found.coef, reference.params * scale, rtol=1e-6)
    expected = reference.cov_params() * np.outer(scale, scale)
    sizes = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found.covariance / sizes, expected / sizes, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.z, reference.tvalues, rtol=1e-6)
    np.testing.assert_allclose(found.p_value, reference.pvalues, rtol=1e-5)
    np.testing.assert_allclose(
        found.interval, reference.conf_int() * scale[:, None], rtol=1e-6, atol=1e-8
    )


# --------------------------------------------------------------------------- against statsmodels


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["model", "HC0", "cluster"])
def test_logit(sm, form, kind):
    """Columns of 1e-6 to 1e6 have the same errors as scaled ones, at the default tolerance."""
    keywords = {"cov_kwds": {"groups": GROUPS}} if kind == "cluster" else {}
    reference = logit(sm, cov_type="nonrobust" if kind == "model" else kind, **keywords)
    groups = GROUPS if kind == "cluster" else None
    check_errors(summarized(FORMS[form](X), covariance=kind, groups=groups), reference)


def test_the_fit_as_a_whole(sm):
    found, reference = summarized(), logit(sm)
    for name, other in {
        "log_likelihood": "llf",
        "null_log_likelihood": "llnull",
        "lr_statistic": "llr",
        "lr_p_value": "llr_pvalue",
        "pseudo_r2": "prsquared",
        "aic": "aic",
        "bic": "bic",
        "df_model": "df_model",
        "df_resid": "df_resid",
    }.items():
        assert getattr(found, name) == pytest.approx(getattr(reference, other), rel=1e-6), name


@pytest.mark.parametrize("kind", ["HC1", "HC2", "HC3"])
@pytest.mark.parametrize("form", ["C", "csr"])
def test_corrected_robust_errors_are_those_of_the_last_least_squares_problem(sm, kind, form):
    """statsmodels has these corrections for linear models only, and Newton's step is one."""
    p = logit(sm).predict()
    root = np.sqrt(p * (1 - p))
    linear = sm.OLS(root * (ONES @ logit(sm).params + (Y - p) / root**2), root[:, None] * ONES)
    errors = linear.fit(cov_type=kind).bse * RAW
    found = summarized(FORMS[form](X), covariance=kind)
    np.testing.assert_allclose(found.std_err, errors, rtol=1e-6)


def test_weights_as_frequencies(sm):
    found, reference = summarized(weight=WEIGHT), binomial(sm, freq_weights=WEIGHT)
    check_errors(found, reference)
    assert found.bic == pytest.approx(reference.bic_llf, rel=1e-6)
    assert found.df_resid == reference.df_resid
    assert found.lr_statistic == pytest.approx(2 * (reference.llf - reference.llnull), rel=1e-6)
    robust = summarized(weight=WEIGHT, covariance="HC0", frequency_weights=True)
    check_errors(robust, binomial(sm, "HC0", freq_weights=WEIGHT))


def test_weights_multiply_scores(sm):
    found = summarized(weight=WEIGHT, covariance="HC0")
    check_errors(found, binomial(sm, "HC0", var_weights=WEIGHT))
    found = summarized(weight=WEIGHT, covariance="cluster", groups=GROUPS)
    check_errors(found, binomial(sm, "cluster", freq_weights=WEIGHT))


def test_a_model_without_intercept(sm):
    reference = sm.Logit(Y, Z).fit(disp=0, tol=1e-14)
    found = summarized(fit={"fit_intercept": False})
    check_errors(found, reference, RAW[:3])
    assert found.null_log_likelihood == pytest.approx(-N * np.log(2))


@pytest.mark.parametrize("base", ["a", "b", "c"])
@pytest.mark.parametrize("model", [Softmax(), ps.LogisticRegression(C=np.inf)])
def test_multinomial_logit(sm, model, base):
    order = [base, *sorted(set("abc") - {base})]
    codes = np.array([order.index(label) for label in THREE])
    reference = sm.MNLogit(codes, ONES).fit(disp=0, tol=1e-14)
    model = model.fit(Z, THREE)
    found = summary(model, Z, THREE, base=base)
    assert (found.base, found.equations) == (base, tuple(order[1:]))
    np.testing.assert_allclose(found.coef, reference.params.T.ravel(), rtol=1e-6)
    np.testing.assert_allclose(found.std_err, reference.bse.T.ravel(), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, reference.cov_params(), rtol=1e-6, atol=1e-9)
    assert found.lr_p_value == pytest.approx(reference.llr_pvalue, rel=1e-6)
    assert found.aic == pytest.approx(reference.aic)
    assert found.bic == pytest.approx(reference.bic)
    assert (found.df_model, found.df_resid) == (reference.df_model, reference.df_resid)

    sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")
    robust = summary(model, Z, THREE, base=base, covariance="HC0")
    expected = sandwich.cov_white_simple(reference, use_correction=False)
    np.testing.assert_allclose(robust.covariance, expected, rtol=1e-6, atol=1e-9)
    robust = summary(model, Z, THREE, base=base, covariance="cluster", groups=GROUPS)
    expected = sandwich.cov_cluster(reference, GROUPS)
    np.testing.assert_allclose(robust.covariance, expected, rtol=1e-6, atol=1e-9)


# --------------------------------------------------------------------------- properties


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_frequencies_are_copies(kind):
    """With frequency_weights all numbers are those of copied rows."""
    copies = np.repeat(np.arange(N), WEIGHT.astype(int))
    weighted = summarized(weight=WEIGHT, covariance=kind, frequency_weights=True)
    copied = summarized(X[copies], Y[copies], covariance=kind)
    np.testing.assert_allclose(weighted.std_err, copied.std_err, rtol=1e-6)
    assert weighted.bic == pytest.approx(copied.bic)


@pytest.mark.parametrize("kind", ["HC0", "HC2", "HC3"])
def test_robust_errors_do_not_depend_on_the_unit_of_the_weights(kind):
    one = summarized(weight=WEIGHT, covariance=kind)
    other = summarized(weight=1e3 * WEIGHT, covariance=kind)
    np.testing.assert_allclose(one.std_err, other.std_err, rtol=1e-6)


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_a_row_in_its_own_group_is_an_independent_row(kind):
    own = summarized(covariance="cluster", groups=np.arange(N), correction=False)
    if kind == "HC0":
        np.testing.assert_allclose(own.std_err, summarized(covariance="HC0").std_err, rtol=1e-9)
    else:
        assert (summarized(covariance=kind).std_err > own.std_err).all()


def test_class_weights_count_in():
    factors = {0: 2.0, 1: 0.5}
    product = WEIGHT * np.where(Y == 1, 0.5, 2.0)
    by_class = summarized(weight=WEIGHT, fit={"class_weight": factors}, covariance="HC3")
    by_row = summarized(weight=product, covariance="HC3")
    np.testing.assert_allclose(by_class.std_err, by_row.std_err, rtol=1e-6)
    assert by_class.total_weight == pytest.approx(product.sum())
    balanced = summarized(fit={"class_weight": "balanced"})
    assert balanced.total_weight == pytest.approx(N)


def test_rows_of_weight_zero_are_left_out():
    weight = np.where(np.arange(N) < 40, 0.0, 1.0)
    found = summarized(weight=weight, covariance="cluster", groups=GROUPS)
    rest = summarized(X[40:], Y[40:], covariance="cluster", groups=GROUPS[40:])
    np.testing.assert_allclose(found.std_err, rest.std_err, rtol=1e-6)
    assert (found.n, found.bic) == (N - 40, pytest.approx(rest.bic))


@pytest.mark.parametrize("kind", ["model", "HC0", "HC3"])
def test_penalised_errors(kind):
    """The bread is the inverse of the penalised Hessian."""
    C = 0.3
    found = summarized(Z, fit={"C": C}, covariance=kind)
    ridge = np.array([1 / C, 1 / C, 1 / C, 0.0])
    theta, H, r = newton(ONES, Y, np.ones(N), ridge)
    inverse = np.linalg.inv(H)
    if kind == "HC3":
        p = Y - r
        r = r / (1 - p * (1 - p) * np.einsum("ij,jk,ik->i", ONES, inverse, ONES))
    squares = ONES.T @ (r[:, None] ** 2 * ONES)
    expected = inverse @ (H - np.diag(ridge) if kind == "model" else squares) @ inverse
    np.testing.assert_allclose(found.coef, theta, rtol=1e-6)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6)
    effective = np.trace((H - np.diag(ridge)) @ inverse)
    assert found.df_resid == pytest.approx(N - effective)
    assert found.aic == pytest.approx(-2 * found.log_likelihood + 2 * effective)
    assert np.isnan(found.lr_p_value)
    assert found.ridge == pytest.approx(1 / C)
    assert "bias" in found.notes[0]


@pytest.mark.parametrize("kind", ["model", "HC0", "HC2", "HC3", "cluster"])
@pytest.mark.parametrize("C", [0.5, np.inf])
def test_the_base_class_is_a_choice_of_coordinates(kind, C):
    """Coefficients relative to one base are differences of those relative to another."""
    model, groups = Softmax(C).fit(Z, THREE), GROUPS if kind == "cluster" else None
    a, b = (summary(model, Z, THREE, base=k, covariance=kind, groups=groups) for k in "ab")
    change = np.kron([[-1.0, 0.0], [-1.0, 1.0]], np.eye(4))  # (b, c) - a becomes (a, c) - b
    np.testing.assert_allclose(b.coef, change @ a.coef, atol=1e-9)
    np.testing.assert_allclose(b.covariance, change @ a.covariance @ change.T, atol=1e-9)
    np.testing.assert_allclose([a.aic, a.df_resid], [b.aic, b.df_resid])


@pytest.mark.parametrize("kind", ["model", "HC0", "HC2", "HC3"])
def test_two_classes_as_a_softmax(kind):
    """The softmax of two classes has the errors of the binary model."""
    binary = summarized(Z, covariance=kind)
    turned = summary(fitted(Z), Z, Y, base=1, covariance=kind)
    np.testing.assert_allclose(turned.coef, -binary.coef)
    np.testing.assert_allclose(turned.std_err, binary.std_err, rtol=1e-9)


def test_hc3_is_the_jackknife_of_one_newton_step():
    """HC3 sums the squares of the steps that leaving out a row makes, for several classes too."""
    model = Softmax().fit(Z, THREE)
    H = np.linalg.inv(summary(model, Z, THREE).covariance)
    scores = ONES @ np.column_stack([model.coef_, model.intercept_]).T
    P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    R = (np.eye(3)[np.unique(THREE, return_inverse=True)[1]] - P)[:, 1:]
    total = np.zeros_like(H)
    for z, p, r in zip(ONES, P[:, 1:], R, strict=True):
        without = H - np.kron(np.diag(p) - np.outer(p, p), np.outer(z, z))
        step = np.linalg.solve(without, np.kron(r, z))
        total += np.outer(step, step)
    found = {kind: summary(model, Z, THREE, covariance=kind) for kind in ("HC0", "HC2", "HC3")}
    np.testing.assert_allclose(found["HC3"].covariance, total, rtol=1e-8, atol=1e-12)
    assert (found["HC0"].std_err < found["HC2"].std_err).all()
    assert (found["HC2"].std_err < found["HC3"].std_err).all()


def test_float32_rows():
    small = X.astype(np.float32)
    model = fitted(small)
    found, exact = summary(model, small, Y), summary(model, small.astype(float), Y)
    np.testing.assert_allclose(found.std_err, exact.std_err, rtol=1e-9)


def test_columns_far_from_zero():
    shifted = Z + np.array([1e8, 0.0, -1e6])
    found, plain = summarized(shifted), summarized(Z)
    np.testing.assert_allclose(found.std_err[:3], plain.std_err[:3], rtol=1e-6)
    assert found.std_err[3] == pytest.approx(1e8 * plain.std_err[0], rel=1e-2)


# --------------------------------------------------------------------------- dependent columns


@pytest.mark.parametrize("form", ["C", "csr"])
def test_dependent_columns_leave_the_errors_of_the_others(form):
    """Copies, constants and empty columns are NaN, and all other numbers stay as they are."""
    wide = np.column_stack([Z, 1000 * Z[:, 0], np.full(N, 7.0), np.zeros(N)])
    model = fitted(FORMS[form](wide))
    with pytest.warns(
        UserWarning, match="do not determine the coefficients of x0, x3, x4, x5, int"
    ):
        found = summary(model, FORMS[form](wide), Y)
    plain = summarized(Z)
    assert np.isnan(found.std_err).tolist() == [True, False, False, True, True, True, True]
    np.testing.assert_allclose(found.std_err[1:3], plain.std_err[1:3], rtol=1e-6)
    np.testing.assert_allclose(found.coef[1:3], plain.coef[1:3], rtol=1e-5)
    for name in ("log_likelihood", "aic", "bic", "lr_p_value", "df_resid"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-6)
    assert any("x0, x3" in note for note in found.notes)


def test_a_penalty_determines_all_coefficients():
    wide = np.column_stack([Z, Z[:, 0], np.full(N, 7.0)])
    found = summarized(wide, fit={"C": 1.0})
    assert np.isfinite(found.std_err).all()
    assert found.std_err[0] == pytest.approx(found.std_err[3])


def test_more_columns_than_rows():
    rng = np.random.default_rng(1)
    wide, y = rng.standard_normal((20, 50)), np.arange(20) % 2
    assert np.isfinite(summarized(wide, y, fit={"C": 1.0}, covariance="HC3").std_err).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit itself may warn that the classes are separated
        model = fitted(wide, y)
    with pytest.raises(ValueError, match="classes that a hyperplane separates along"):
        summary(model, wide, y)


# --------------------------------------------------------------------------- refusals


def test_separated_classes_are_refused_by_name():
    frame = pd.DataFrame({"age": Z[:, 0], "smoker": np.r_[np.ones(5), np.zeros(N - 5)]})
    y = np.where(np.arange(N) < 5, 1, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit itself may warn that the classes are separated
        model = fitted(frame, y)
    with pytest.raises(ValueError, match="a hyperplane separates along smoker"):
        summary(model, frame, y)
    assert np.isfinite(summarized(frame, y, fit={"C": 1.0}).std_err).all()


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_other_data_are_refused(C):
    model = fitted(Z, C=C)
    with pytest.raises(ValueError, match=r"must be at the optimum .* standard errors away"):
        summary(model, Z, np.roll(Y, 100))
    with pytest.raises(ValueError, match="must be at the optimum"):
        summary(model, Z, Y, sample_weight=np.where(Y == 1, 3.0, 1.0))
    model.coef_ = 1e6 * model.coef_
    with pytest.raises(ValueError, match=r"inf standard errors|e\+\d+ standard errors"):
        summary(model, Z, Y)


def test_a_loose_fit_is_taken_to_the_optimum():
    loose = fitted(Z, tol=1e-2)
    found = summary(loose, Z, Y)
    np.testing.assert_allclose(found.coef, summarized(Z, fit={"tol": 1e-12}).coef, rtol=1e-6)
    change = np.abs(loose.coef_[0] - found.coef[:3]) / found.std_err[:3]
    assert 0 < change.max() <= 1.1 * found.distance
    assert any("smaller tol" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariance": "HC4"}, "`covariance` must be one of"),
        ({"covariance": "cluster"}, "`groups` must be given for covariance='cluster'"),
        ({"groups": GROUPS}, "and only for it; got groups with covariance='model'"),
        ({"covariance": "cluster", "groups": np.zeros(N)}, "at least two groups"),
        ({"covariance": "cluster", "groups": GROUPS[:5]}, "one entry for each of the 240 rows"),
        (
            {"covariance": "cluster", "groups": np.where(GROUPS == 3, np.nan, GROUPS)},
            "name the group of every row; got none at position",
        ),
        (
            {"covariance": "cluster", "groups": [None] + ["a"] * (N - 1)},
            "name the group of every row; got none at position 0",
        ),
        ({"level": 95}, "`level` must be below 1; got 95.0. Use 0.95"),
        ({"base": "d"}, r"`base` must be one of the classes \[0, 1\]"),
        ({"feature_names": ["a"]}, "one name for each of the 3 features"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        summarized(Z, **options)


def test_groups_of_several_types_are_refused():
    with pytest.raises(TypeError, match="hold values that can be sorted"):
        summarized(Z, covariance="cluster", groups=np.array([1, "a"] * (N // 2), dtype=object))


def test_labels_of_other_classes_are_refused():
    with pytest.raises(
        ValueError, match=r"hold the classes that the model was fitted to, \[0, 1\]"
    ):
        summary(fitted(Z), Z, Y + 1)


def test_a_class_without_weight_is_refused():
    weight = np.where(THREE == "b", 0.0, 1.0)
    model = ps.LogisticRegression().fit(Z, THREE)
    with pytest.raises(ValueError, match="weight of every class; got none of class 'b'"):
        summary(model, Z, THREE, sample_weight=weight)


def test_too_few_rows_for_a_correction():
    rng = np.random.default_rng(1)
    wide, y = rng.standard_normal((4, 3)), np.array([0, 1, 2, 1])
    model = Softmax(100.0).fit(wide, y)
    assert np.isfinite(summary(model, wide, y, covariance="HC0").std_err).all()
    with pytest.raises(ValueError, match="more rows than coefficients"):
        summary(model, wide, y, covariance="HC1")


def test_other_models():
    """scikit-learn's model is accepted, and what has no likelihood of its own is refused."""
    other = LogisticRegression(C=1.0, tol=1e-8).fit(Z, Y)
    found, own = summary(other, Z, Y), summarized(Z, fit={"C": 1.0})
    np.testing.assert_allclose(found.std_err, own.std_err, rtol=1e-6)
    with pytest.raises(ValueError, match="must be one model of all classes; got 3 binary models"):
        summary(HalfspaceClassifier().fit(Z, THREE), Z, THREE)
    with pytest.raises(ValueError, match="which defines a likelihood; got loss='sigmoid'"):
        summary(HalfspaceClassifier("sigmoid").fit(Z, Y), Z, Y)
    pipeline = make_pipeline(StandardScaler(), HalfspaceClassifier()).fit(X, Y)
    with pytest.raises(TypeError, match=r"got a Pipeline. Pass its last step"):
        summary(pipeline, X, Y)
    scaled = pipeline[:-1].transform(X)
    assert summary(pipeline[-1], scaled, Y).n == N


# --------------------------------------------------------------------------- what intervals cover


@pytest.mark.parametrize("right", [True, False])
def test_coverage(right):
    """95% intervals cover the coefficients of a very large sample in about 95% of samples.

    If the probabilities are not logistic, this is true of the robust ones alone.
    """

    def sample(n):
        x = rng.standard_normal((n, 1)) if right else rng.standard_t(4, (n, 1))
        p = 1 / (1 + np.exp(-x[:, 0])) if right else np.where(x[:, 0] > 0, 0.85, 0.15)
        return x, rng.random(n) < p

    rng, runs = np.random.default_rng(5), 150
    truth = fitted(*sample(100_000)).coef_[0, 0]
    hits = {"model": 0, "HC3": 0}
    for _ in range(runs):
        x, y = sample(400)
        model = fitted(x, y)
        for kind in hits:
            low, high = summary(model, x, y, covariance=kind).interval[0]
            hits[kind] += low <= truth <= high
    assert hits["HC3"] > 0.9 * runs
    assert (hits["model"] > 0.9 * runs) == right

"""HalfspaceClassifier reaches the optimum of scikit-learn, SciPy and an independent solver."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from scipy.optimize import minimize as scipy_minimize
from sklearn.exceptions import ConvergenceWarning

from classifier_cases import THREE, UNITS, WEIGHT, X, Y, excess, fit, logistic
from newton import Reference
from polarstep import Status
from polarstep.losses import margin_loss, smooth_hinge
from problems import BOUNDED, one_hot, relative, skewed

CONVEX = ["smooth_hinge", "softplus", "squared"]


@pytest.mark.parametrize("C", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_softplus_is_logistic_regression(C, weight, fit_intercept):
    scaled = X / UNITS
    options = {"C": C, "fit_intercept": fit_intercept}
    ours, theirs = (
        fit(scaled, Y, weight, tol=1e-13, **options),
        logistic(scaled, Y, weight, **options),
    )
    assert relative(ours.coef_, theirs.coef_) < 1e-5
    scores = theirs.decision_function(scaled)
    np.testing.assert_allclose(ours.decision_function(scaled), scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        ours.predict_proba(scaled), theirs.predict_proba(scaled), rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(
        ours.predict_log_proba(scaled), theirs.predict_log_proba(scaled), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize(
    "class_weight", ["balanced", {0: 2.0, 1: 0.5}, {0: 3.0}], ids=["balanced", "dict", "part"]
)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_class_weight(class_weight, weight):
    scaled, weights = X / UNITS, np.ones(len(Y)) if weight is None else weight
    totals = np.bincount(Y, weights)
    # scikit-learn counts the sample weights in "balanced" since 1.7.
    factors = dict(enumerate(totals.sum() / (2 * totals))) if class_weight == "balanced" else None
    ours = fit(scaled, Y, weight, tol=1e-13, class_weight=class_weight)
    theirs = logistic(scaled, Y, weight, class_weight=factors or class_weight)
    assert relative(ours.coef_, theirs.coef_) < 1e-5


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0, 1: 1.0, 2: 0.3}])
def test_several_classes_one_against_the_rest(weight, class_weight):
    scaled = X / UNITS
    ours = fit(scaled, THREE, weight, tol=1e-13, class_weight=class_weight)
    total = np.ones(300) if weight is None else weight
    if class_weight:
        total = total * np.array([class_weight[k] for k in THREE])
    for k in range(3):
        theirs = logistic(scaled, k == THREE, total)
        assert relative(ours.coef_[k], theirs.coef_[0]) < 1e-5
        scores = theirs.decision_function(scaled)
        np.testing.assert_allclose(
            ours.decision_function(scaled)[:, k], scores, rtol=1e-4, atol=1e-5
        )
    assert ours.result_.status is Status.converged
    assert ours.result_.x.shape == (3, 5)
    assert ours.n_iter_.shape == ours.intercept_.shape == (3,)
    assert ours.coef_.shape == (3, 4)
    np.testing.assert_allclose(ours.predict_proba(scaled).sum(axis=1), 1.0, rtol=1e-14)
    chosen = ours.classes_[ours.predict_proba(scaled).argmax(axis=1)]
    np.testing.assert_array_equal(chosen, ours.predict(scaled))


@pytest.mark.parametrize("name", [*CONVEX, "sigmoid"])
def test_a_weight_of_k_equals_k_copies_of_the_row(name):
    times = np.random.default_rng(1).integers(0, 4, 300)
    weighted = fit(X, Y, times, loss=name)
    repeated = fit(np.repeat(X, times, axis=0), np.repeat(Y, times), loss=name)
    assert relative(weighted.coef_ * UNITS, repeated.coef_ * UNITS) < 1e-4


@pytest.mark.parametrize("loss", BOUNDED)
@pytest.mark.parametrize("C", [0.1, 3.0])
def test_bounded_losses_are_no_worse_than_scipy(loss, C):
    """SciPy starts at zero and at the optimum of softplus, on scaled columns."""
    phi = margin_loss(loss)
    for seed in range(3):
        data, y = skewed(seed, n=200, d=4)
        data = (data - data.mean(0)) / data.std(0)
        sign = np.where(y > 0, 1.0, -1.0)

        def f(theta, data=data, sign=sign):
            a = -sign * (data @ theta[:-1] + theta[-1])
            r = -sign * phi.dphi(a)
            penalty = theta[:-1] / C
            value = phi.phi(a).sum() + 0.5 * penalty @ theta[:-1]
            return value, np.append(data.T @ r + penalty, r.sum())

        convex = logistic(data, y, C=C)
        starts = [np.zeros(5), np.append(convex.coef_[0], convex.intercept_)]
        theirs = min(scipy_minimize(f, start, jac=True).fun for start in starts)
        ours = fit(data, y, loss=loss, C=C, n_restarts=2, tol=1e-9)
        assert f(np.append(ours.coef_[0], ours.intercept_))[0] <= theirs * (1 + 1e-6)


def test_a_bounded_loss_is_robust_to_wrong_labels_far_out():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((400, 2))
    y = data[:, 0] > 0
    data[:20], y[:20] = [30.0, 0.0], False
    robust = fit(data, y, loss="sigmoid", C=100.0, tol=1e-6, n_restarts=3)
    convex = fit(data, y, C=100.0)
    assert robust.score(data[20:], y[20:]) > 0.95 > convex.score(data[20:], y[20:])


def gaussian(n=400, d=5, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + shift
    return X, (X - shift) @ rng.standard_normal(d) + rng.logistic(size=n) > 0


def separable(n=300, d=4, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X, X.sum(axis=1) > 0


def twice(n=300):
    X, y = gaussian(n)
    return np.hstack([X, X, np.full((n, 1), 7.3), np.zeros((n, 1))]), y


def few_positive(n, share):
    X, _ = gaussian(n)
    score = X.sum(axis=1) + np.random.default_rng(1).logistic(size=n)
    return X, score > np.quantile(score, 1 - share)


def categories(seed=0, n=3000, levels=(3, 40, 150), kind=np.asarray):
    rng = np.random.default_rng(seed)
    codes = [rng.choice(k, n, p=(w := 1 / np.arange(1.0, k + 1)) / w.sum()) for k in levels]
    score = sum(rng.standard_normal(k)[code] for k, code in zip(levels, codes, strict=True))
    blocks = [np.eye(k)[code] for k, code in zip(levels, codes, strict=True)]
    return kind(np.hstack(blocks)), score + rng.logistic(size=n) > 0


def heavy(n=3000, d=8, seed=0):
    rng = np.random.default_rng(seed)
    X = np.exp(2 * rng.standard_normal((n, d)))
    return X, np.log(X) @ rng.standard_normal(d) / 2 + rng.logistic(size=n) > 0


def rare(n=4000, d=10, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, d // 2 :] *= rng.random((n, d - d // 2)) < 2e-3
    return X, X @ rng.standard_normal(d) + rng.logistic(size=n) > 0


HARD = {
    "gaussian": gaussian(),
    "large": gaussian(8000, 12),
    "separable": separable(),
    "twice and constant": twice(),
    "n < d": gaussian(20, 50),
    "one feature": gaussian(100, 1),
    "two rows": (np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([False, True])),
    "1% positive": few_positive(4000, 0.01),
    "0.01% positive": few_positive(20_000, 1e-4),
    "far": gaussian(600, 3, shift=1e4),
    "farther": gaussian(600, 3, shift=1e8),
    "units": (lambda X, y: (X * np.geomspace(1e-6, 1e6, X.shape[1]), y))(*gaussian()),
    "one-hot": (lambda X, y, _: (X, y > 0))(*one_hot()),
    "categories": categories(),
    "sparse categories": categories(kind=sp.csr_matrix),
    "heavy tails": heavy(),
    "rare": rare(),
    "sparse rare": (lambda X, y: (sp.csr_matrix(X), y))(*rare()),
    "no signal": (np.random.default_rng(0).standard_normal((200, 3)), np.arange(200) % 2 == 0),
    "constant": (np.full((30, 2), 3.0), np.arange(30) % 3 == 0),
    "empty": (sp.csr_matrix((30, 2)), np.arange(30) % 3 == 0),
}


@pytest.mark.parametrize("C", [1e-6, 1.0, 1e8])
@pytest.mark.parametrize("name", HARD)
def test_the_requested_suboptimality_is_reached(name, C):
    """The suboptimality is at most tol, and not much more than the estimate in the result."""
    X, y = HARD[name]
    sign = np.where(y, 1.0, -1.0)
    reference = Reference(X, sign, "softplus", 1 / C)
    for tol in (1e-3, 1e-6, 1e-9):
        model = fit(X, y, C=C, tol=tol)
        assert model.result_.success
        reached = reference.excess(model.coef_[0], model.intercept_[0])
        assert reached <= tol + 1e-14
        assert reached <= 5 * model.result_.gap + 1e-13


@pytest.mark.parametrize("loss", ["smooth_hinge", "squared", smooth_hinge(0.05)], ids=str)
@pytest.mark.parametrize("name", ["gaussian", "separable", "n < d", "categories", "rare", "units"])
def test_other_convex_losses_reach_the_requested_suboptimality(name, loss):
    X, y = HARD[name]
    for C in (1e-3, 10.0):
        reference = Reference(X, np.where(y, 1.0, -1.0), loss, 1 / C)
        model = fit(X, y, C=C, loss=loss, tol=1e-7)
        assert reference.excess(model.coef_[0], model.intercept_[0]) <= 1e-7


@st.composite
def degenerate(draw):
    """Draw (X, y, weight) with a few rows that are degenerate in one of several ways."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    n, d = draw(st.integers(2, 40)), draw(st.integers(1, 8))
    X = rng.standard_normal((n, d))
    kind = draw(
        st.sampled_from(["plain", "units", "heavy", "twice", "0/1", "integers", "constant", "far"])
    )
    if kind == "units":
        X *= 10.0 ** rng.uniform(-8, 8, d)
    elif kind == "heavy":
        X = np.exp(2 * X)
    elif kind == "twice":
        X = X[:, rng.integers(0, d, d)]
    elif kind == "0/1":
        X = (draw(st.sampled_from([-1.0, 0.0, 1.5])) < X).astype(float)
    elif kind == "integers":
        X = np.round(X)
    elif kind == "constant":
        X[:, 0] = 7.3
    elif kind == "far":
        X += 10.0 ** rng.uniform(0, 6, d)
    y = np.where(rng.random(n) < draw(st.floats(0.1, 0.9)), 1, -1)
    if draw(st.booleans()):
        y = np.where(X[:, -1] > np.median(X[:, -1]), 1, -1)
    y[:2] = [-1, 1]
    weight = rng.exponential(size=n) * (rng.random(n) < 0.8) if draw(st.booleans()) else None
    if weight is not None:
        weight[:2] = 1.0
    if kind != "far" and draw(st.booleans()):
        X = sp.csr_matrix(X)
    return X, y, weight


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    degenerate(),
    st.floats(-6, 6).map(lambda e: 10.0**e),
    st.sampled_from(CONVEX),
    st.sampled_from([1e-3, 1e-6]),
)
def test_small_degenerate_problems(data, C, loss, tol):
    """The result is optimal to tol, or its status does not claim that it is."""
    X, y, weight = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fit(X, y, weight, C=C, loss=loss, tol=tol, max_iter=300)
    assert np.isfinite(model.coef_).all()
    # The estimate rests on an observed rate, which is never wrong by an order of magnitude.
    assert excess(model, X, y, weight) <= 10 * max(tol, model.result_.gap)
    if model.result_.success:
        assert excess(model, X, y, weight) <= 10 * tol

"""HalfspaceClassifier: scikit-learn's contract, its optimum, hard data, bad input."""

import pickle
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from scipy.optimize import minimize as scipy_minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import polarstep as ps
from newton import Reference
from polarstep import HalfspaceClassifier, Status
from polarstep.losses import LOSSES, margin_loss, smooth_hinge
from problems import ARCTAN, BOUNDED, METHODS, one_hot, relative, skewed

CONVEX = ["smooth_hinge", "softplus", "squared"]
RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 100.0, 1e-3, 5.0])
X = RNG.exponential(size=(300, 4)) * UNITS + [3.0, 0.0, 1.0, -50.0]
SCORE = (X - X.mean(0)) / X.std(0) @ [1.0, -2.0, 0.5, 1.0] + RNG.logistic(size=300)
Y = (SCORE > 0.3).astype(int)
THREE = np.digitize(SCORE, [-1.0, 1.0])
WEIGHT = RNG.exponential(size=300)


def fit(X=X, y=Y, weight=None, **options):
    return HalfspaceClassifier(**{"tol": 1e-10, **options}).fit(X, y, weight)


def excess(model, X, y, weight=None, k=0):
    """The relative suboptimality of a fit (class k against the rest), by an independent solver."""
    sign = np.where(y == model.classes_[1 if len(model.classes_) == 2 else k], 1.0, -1.0)
    alpha = 1.0 / model.C
    options = {"intercept": model.fit_intercept, "weight": weight}
    reference = Reference(X, sign, model.loss, alpha, **options)
    return reference.excess(model.coef_[k], model.intercept_[k])


def logistic(X=X, y=Y, weight=None, **options):
    """scikit-learn's optimum."""
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000, **options)
    return model.fit(X, y, weight)


# ------------------------------------------------------------------ scikit-learn's contract


@parametrize_with_checks(
    [
        HalfspaceClassifier(),
        HalfspaceClassifier(loss="sigmoid"),
        HalfspaceClassifier(loss="smooth_hinge"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_parameters_pass_through_unchanged():
    given_ = {
        "loss": smooth_hinge(0.2), "C": 3, "fit_intercept": False, "method": "gdnp", "tol": 1e-3,
        "max_iter": 7, "class_weight": {0: 2.0}, "warm_start": True, "n_restarts": 2, "n_jobs": -1,
        "verbose": 1, "random_state": 3,
    }  # fmt: skip
    model = clone(HalfspaceClassifier(**given_))
    parameters = model.get_params()
    assert {name: parameters[name] for name in given_ if name != "loss"} == {
        name: value for name, value in given_.items() if name != "loss"
    }
    assert parameters["loss"].sup_curvature == given_["loss"].sup_curvature
    assert set(parameters) == set(given_)


def test_a_pickle_is_small_and_predicts_the_same():
    large_X, large_y = np.repeat(X, 50, axis=0), np.repeat(Y, 50)
    model = HalfspaceClassifier().fit(large_X, large_y)
    text = pickle.dumps(model)
    assert len(text) < 5_000
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(X), model.predict_proba(X))


# ------------------------------------------------------------------ scikit-learn's optimum


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
    scaled = X / UNITS
    ours = fit(scaled, Y, weight, tol=1e-13, class_weight=class_weight)
    theirs = logistic(scaled, Y, weight, class_weight=class_weight)
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
    assert [result.status for result in ours.result_] == [Status.converged] * 3
    assert ours.n_iter_.shape == ours.intercept_.shape == (3,)
    assert ours.coef_.shape == (3, 4)
    np.testing.assert_allclose(ours.predict_proba(scaled).sum(axis=1), 1.0, rtol=1e-14)
    chosen = ours.classes_[ours.predict_proba(scaled).argmax(axis=1)]
    np.testing.assert_array_equal(chosen, ours.predict(scaled))


@pytest.mark.parametrize("name", [*CONVEX, "sigmoid"])
def test_a_weight_of_k_is_k_rows(name):
    times = np.random.default_rng(1).integers(0, 4, 300)
    weighted = fit(X, Y, times, loss=name)
    repeated = fit(np.repeat(X, times, axis=0), np.repeat(Y, times), loss=name)
    assert relative(weighted.coef_ * UNITS, repeated.coef_ * UNITS) < 1e-4


def test_rows_of_weight_zero_are_not_looked_at():
    spoiled, weight = X.copy(), np.ones(300)
    spoiled[:5], weight[:5] = np.nan, 0.0
    ours, theirs = fit(spoiled, Y, weight), fit(X[5:], Y[5:])
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


def test_a_class_that_has_weight_zero_only_is_kept_as_a_name():
    weight = np.where(THREE == 1, 0.0, 1.0)
    model = fit(X, THREE, weight)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert not (model.predict(X) == 1).any()


# ------------------------------------------------------------------ kinds of X and y


@pytest.mark.parametrize(
    "kind", ["F", "strided", "csr", "csc", "coo", "int64", "lists", "csr_array"]
)
def test_every_layout_gives_the_same(kind):
    made = {
        "F": np.asfortranarray, "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
        "csr": sp.csr_matrix, "csc": sp.csc_matrix, "coo": sp.coo_matrix,
        "lists": np.ndarray.tolist,
        "csr_array": sp.csr_array,
        "int64": lambda X: with_long_indices(sp.csr_matrix(X)),
    }[kind](X)  # fmt: skip
    before = made.copy()
    for name in ("softplus", "sigmoid"):
        found, expected = fit(made, Y, loss=name), fit(X, Y, loss=name)
        assert relative(found.coef_ * UNITS, expected.coef_ * UNITS) < 1e-4
        np.testing.assert_array_equal(found.predict(made), expected.predict(X))
    if sp.issparse(made):
        assert (made != before).nnz == 0
    else:
        np.testing.assert_array_equal(made, before)


def with_long_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def test_duplicate_sparse_entries_are_added_up_and_X_is_left_alone():
    rows, columns = np.nonzero(np.ones_like(X))
    twice = np.concatenate([rows, rows]), np.concatenate([columns, columns])
    made = sp.coo_matrix((np.concatenate([X.ravel() / 2] * 2), twice), shape=X.shape).tocsr(
        copy=True
    )
    order = np.argsort(twice[0], kind="stable")
    doubled = sp.csr_matrix(
        (np.concatenate([X.ravel() / 2] * 2)[order], twice[1][order], np.arange(301) * 8),
        shape=X.shape,
    )
    assert doubled.nnz == 2 * made.nnz
    np.testing.assert_allclose(fit(doubled).coef_, fit(made).coef_, rtol=1e-7)
    assert doubled.nnz == 2 * made.nnz


def test_float32_sums_are_float64_sums():
    single = X.astype(np.float32)
    found, expected = fit(single), fit(single.astype(float))
    assert found.coef_.dtype == np.float64
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-8)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_names(library):
    frames = pytest.importorskip(library)
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    model = fit(frame, frames.Series(Y.tolist()))
    assert list(model.feature_names_in_) == names
    assert model.n_features_in_ == 4
    np.testing.assert_allclose(model.coef_, fit().coef_, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(frame), fit().predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize(
    "labels",
    [("no", "yes"), (False, True), (-1, 1), (0.0, 1.0), (5, 7), (-3, -2)],
    ids=lambda labels: type(labels[0]).__name__ + str(labels[0]),
)
def test_labels_of_every_kind(labels):
    y = np.array(labels)[Y]
    model = fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.array(labels))
    assert model.classes_.dtype == y.dtype
    np.testing.assert_allclose(model.coef_, fit().coef_, rtol=1e-7)
    np.testing.assert_array_equal(model.predict(X) == labels[1], fit().predict(X) == 1)
    if labels[0] == "no":
        np.testing.assert_allclose(fit(X, y.astype(object)).coef_, model.coef_, rtol=1e-7)


def test_many_string_classes():
    names = np.array(["north", "south", "west"])[THREE]
    model = fit(X, names)
    np.testing.assert_array_equal(model.classes_, ["north", "south", "west"])
    np.testing.assert_allclose(model.coef_, fit(X, THREE).coef_, rtol=1e-7)
    assert set(model.predict(X)) <= set(names)


# ------------------------------------------------------------------ options of fit


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_a_warm_start_from_the_solution_takes_no_iterations(fit_intercept, y):
    model = fit(X, y, warm_start=True, fit_intercept=fit_intercept, tol=1e-10)
    assert model.n_iter_.max() > 0
    before = model.coef_.copy()
    model.set_params(tol=1e-8).fit(X, y)
    assert not model.n_iter_.any()
    np.testing.assert_allclose(model.coef_, before, rtol=1e-12)


def test_a_warm_start_that_does_not_fit_is_left_out():
    model = fit(warm_start=True)
    for changed_X, changed_y in ((X, THREE), (X[:, :2], THREE), (X[:, :2], Y), (X, Y)):
        model.fit(changed_X, changed_y)
        np.testing.assert_allclose(model.coef_, fit(changed_X, changed_y).coef_, rtol=1e-4)


def test_an_interrupted_fit_keeps_its_last_iterate(monkeypatch):
    """As by Ctrl-C in the third evaluation on all rows."""
    from polarstep.linear_model.solver.samples import Samples

    seen, evaluate = [], Samples.evaluate

    def interrupted(self, w, b):
        if self.n == 300:
            seen.append(w)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return evaluate(self, w, b)

    model = HalfspaceClassifier(tol=1e-13, warm_start=True)
    with monkeypatch.context() as patch:
        patch.setattr(Samples, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    assert model.result_.status is Status.interrupted
    assert model.coef_.shape == (1, 4)
    n_iter = fit(tol=1e-13).n_iter_[0]
    assert model.fit(X, Y).n_iter_[0] <= n_iter
    assert relative(model.coef_, fit(tol=1e-13).coef_) < 1e-5


def test_a_warning_exactly_where_max_iter_is_too_small():
    enough = fit(tol=1e-12).n_iter_[0]
    assert enough > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(tol=1e-12, max_iter=int(enough))
    for max_iter in range(1, int(enough)):
        with pytest.warns(
            ConvergenceWarning, match=r"Raise max_iter or tol.*subopt.*about"
        ) as seen:
            model = fit(tol=1e-12, max_iter=max_iter)
        assert seen[0].filename == __file__
        assert model.result_.status is Status.max_iter
        assert model.n_iter_[0] == max_iter
    with pytest.warns(ConvergenceWarning, match=r"classes \[0"):
        fit(X, THREE, tol=1e-14, max_iter=1)


def test_probabilities_are_for_softplus():
    model = fit()
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(np.log(probabilities), model.predict_log_proba(X), rtol=1e-9)
    far = model.predict_log_proba(1e4 * X)
    assert np.isfinite(far).all()
    for loss in ("sigmoid", "smooth_hinge", ARCTAN):
        other = HalfspaceClassifier(loss=loss)
        assert not hasattr(other, "predict_proba")
        assert not hasattr(other, "predict_log_proba")
        with pytest.raises(AttributeError) as error:
            other.predict_proba(X)
        assert "CalibratedClassifierCV" in f"{error.value} {error.value.__cause__}"


def test_probabilities_of_rows_that_no_class_wants():
    model = fit(X, THREE)
    model.coef_, model.intercept_ = np.zeros((3, 4)), np.full(3, -1e4)
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_matrix])
def test_threads_give_the_same(y, convert):
    one, two = fit(convert(X), y, tol=1e-12), fit(convert(X), y, tol=1e-12, n_jobs=2)
    assert relative(two.coef_ * UNITS, one.coef_ * UNITS) < 1e-5


def test_verbose_prints_an_iteration_a_line(capsys):
    model = fit(verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_[0] + 1
    assert all("HalfspaceClassifier" in line and "f = " in line for line in lines)
    fit()
    assert capsys.readouterr().out == ""


def test_random_state():
    # Sums may round differently where arrays lie differently in memory: equal but for rounding.
    many = np.random.default_rng(1).integers(0, 300, 5000)
    large_X, large_y = X[many] + 0.01 * UNITS * RNG.standard_normal((5000, 4)), Y[many]
    loose = {"tol": 1e-2}
    first = fit(large_X, large_y, **loose).coef_
    np.testing.assert_allclose(fit(large_X, large_y, **loose).coef_, first, rtol=1e-7)
    again = [fit(large_X, large_y, random_state=s, **loose).coef_ for s in (1, 1, 2)]
    np.testing.assert_allclose(again[0], again[1], rtol=1e-7)
    assert relative(again[0], again[2]) > 1e-6
    fit(large_X, large_y, random_state=np.random.RandomState(0))


# ------------------------------------------------------------------ losses that are not convex


@pytest.mark.parametrize("loss", BOUNDED)
def test_restarts_never_worsen_the_end(loss):
    for seed in range(4):
        data, y = skewed(seed, n=80, d=5)
        alone = fit(data, y, loss=loss, C=100.0, tol=1e-6, max_iter=300)
        values = [alone.result_.fun]
        for n_restarts in (1, 4):
            model = fit(data, y, loss=loss, C=100.0, tol=1e-6, max_iter=300, n_restarts=n_restarts)
            values.append(model.result_.fun)
        assert values[2] <= values[1] * (1 + 1e-12) <= values[0] * (1 + 1e-11)


@pytest.mark.parametrize("loss", BOUNDED)
@pytest.mark.parametrize("C", [0.1, 3.0])
def test_bounded_losses_are_no_worse_than_scipy(loss, C):
    """L-BFGS-B starts at zero and at the optimum of softplus, on columns scaled for it."""
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


def test_a_few_wrong_labels_far_out_do_not_turn_a_bounded_loss():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((400, 2))
    y = data[:, 0] > 0
    data[:20], y[:20] = [30.0, 0.0], False
    robust = fit(data, y, loss="sigmoid", C=100.0, tol=1e-6, n_restarts=3)
    convex = fit(data, y, C=100.0)
    assert robust.score(data[20:], y[20:]) > 0.95 > convex.score(data[20:], y[20:])


# ------------------------------------------------------------------ hard data


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
def test_what_was_asked_for_is_reached(name, C):
    """The suboptimality is at most tol, and at most what the result says of itself."""
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
def test_other_convex_losses_reach_it_too(name, loss):
    X, y = HARD[name]
    for C in (1e-3, 10.0):
        reference = Reference(X, np.where(y, 1.0, -1.0), loss, 1 / C)
        model = fit(X, y, C=C, loss=loss, tol=1e-7)
        assert reference.excess(model.coef_[0], model.intercept_[0]) <= 1e-7


@st.composite
def nasty(draw):
    """(X, y, weight) of a few rows that are degenerate in one way or another."""
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
    nasty(),
    st.floats(-6, 6).map(lambda e: 10.0**e),
    st.sampled_from(CONVEX),
    st.sampled_from([1e-3, 1e-6]),
)
def test_small_nasty_problems(data, C, loss, tol):
    """The optimum to tol, or a status that does not claim it."""
    X, y, weight = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fit(X, y, weight, C=C, loss=loss, tol=tol, max_iter=300)
    assert np.isfinite(model.coef_).all()
    # The estimate is one of a rate: it can be wrong, but not by an order of magnitude.
    assert excess(model, X, y, weight) <= 10 * max(tol, model.result_.gap)
    if model.result_.success:
        assert excess(model, X, y, weight) <= 10 * tol


# ------------------------------------------------------------------ the paper's methods


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_the_methods_of_the_paper_end_to_end(method, y):
    """On scaled columns, where their penalty is well conditioned too."""
    scaled = (X / UNITS) / (X / UNITS).std(0)
    options = {"C": 0.3, "max_iter": 20_000, "tol": 1e-7}
    for convert in (np.asarray, sp.csr_matrix):
        model = fit(convert(scaled), y, method=method, **options)
        best = fit(scaled, y, C=0.3, tol=1e-12)
        assert relative(model.coef_, best.coef_) < 1e-3
        assert model.score(scaled, y) == pytest.approx(best.score(scaled, y), abs=0.01)
        with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
            fit(scaled, y, method=method, C=0.3, max_iter=1)


def test_a_method_of_the_paper_takes_weights():
    scaled = (X / UNITS) / (X / UNITS).std(0)
    options = {"C": 0.3, "tol": 1e-7, "max_iter": 20_000}
    model = fit(scaled, Y, WEIGHT, method="gdnp", class_weight={0: 2.0}, **options)
    best = fit(scaled, Y, WEIGHT, class_weight={0: 2.0}, C=0.3)
    assert relative(model.coef_, best.coef_) < 1e-3


# ------------------------------------------------------------------ bad input


def spoiled(value, convert=np.asarray):
    bad = X.copy()
    bad[7, 2] = value
    return convert(bad)


BAD = {
    "nan": ({}, (spoiled(np.nan), Y), ValueError, "NaN"),
    "inf": ({}, (spoiled(np.inf), Y), ValueError, "infinity"),
    "sparse nan": ({}, (spoiled(np.nan, sp.csr_matrix), Y), ValueError, "NaN"),
    "nan by another method": ({"method": "gdnp"}, (spoiled(np.nan), Y), ValueError, "(?i)nan"),
    "overflow": ({}, (1e300 * X, Y), ValueError, "`X` must.*reasonable size.* Rescale"),
    "one class": ({}, (X, np.ones(300)), ValueError, "`y` must hold two classes.* 1 class"),
    "weights leave one class": ({}, (X, Y, Y), ValueError, "`y` must hold two classes"),
    "negative weights": ({}, (X, Y, -WEIGHT), ValueError, "`sample_weight` must.*>= 0.*; got -"),
    "no weight": ({}, (X, Y, 0 * WEIGHT), ValueError, "(?i)weight"),
    "nan weight": ({}, (X, Y, np.full(300, np.nan)), ValueError, "`sample_weight`.*finite.*nan"),
    "few weights": (
        {}, (X, Y, WEIGHT[:-1]), ValueError, r"`sample_weight` must .*300.*; got shape \(299,\)"
    ),
    "nan label": ({}, (X, np.where(np.arange(300) == 3, np.nan, Y)), ValueError, "y contains NaN"),
    "real y": ({}, (X, SCORE), ValueError, "continuous"),
    "few labels": ({}, (X, Y[:-1]), ValueError, "inconsistent"),
    "words": ({}, ([["a"], ["b"]], [0, 1]), ValueError, "could not convert"),
    "complex": ({}, (X + 1j, Y), ValueError, "Complex"),
    "C zero": ({"C": 0}, (X, Y), ValueError, "`C` must be a number > 0; got 0"),
    "C negative": ({"C": -1.0}, (X, Y), ValueError, "`C` must be"),
    "C nan": ({"C": np.nan}, (X, Y), ValueError, "`C` must be"),
    "C word": ({"C": "much"}, (X, Y), TypeError, "`C` must be.* 'much'"),
    "tol zero": ({"tol": 0.0}, (X, Y), ValueError, "`tol` must be"),
    "max_iter zero": ({"max_iter": 0}, (X, Y), ValueError, "`max_iter` must be .* >= 1"),
    "max_iter real": ({"max_iter": 1.5}, (X, Y), TypeError, "`max_iter` must be a whole"),
    "n_restarts": ({"n_restarts": -1}, (X, Y), ValueError, "`n_restarts` must be"),
    "loss": ({"loss": "softplu"}, (X, Y), ValueError, "`loss`.* Did you mean 'softplus'"),
    "loss number": ({"loss": 3}, (X, Y), TypeError, "`loss` must be a name or a MarginLoss"),
    "method": ({"method": "gdn"}, (X, Y), ValueError, "`method`.* Did you mean 'gd"),
    "method without intercept": (
        {"method": "agd", "fit_intercept": False}, (X, Y), ValueError,
        "`fit_intercept` must be True.* Use method='whitened'",
    ),
    "class_weight word": ({"class_weight": "fair"}, (X, Y), ValueError, "class_weight.*'fair'"),
    "class_weight negative": ({"class_weight": {0: -1.0}}, (X, Y), ValueError, "(?i)class_weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name(case):
    options, arguments, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        HalfspaceClassifier(**options).fit(*arguments)


def test_prediction_refuses_what_fit_refuses():
    model = fit()
    with pytest.raises(ValueError, match="NaN"):
        model.predict(spoiled(np.nan))
    with pytest.raises(ValueError, match="3 features, but HalfspaceClassifier is expecting 4"):
        model.predict(X[:, :3])


def test_a_loss_of_ones_own():
    model = fit(loss=ARCTAN, tol=1e-7, max_iter=500)
    assert model.score(X, Y) > 0.7
    own = ps.MarginLoss(*(getattr(LOSSES["softplus"], p) for p in ("phi", "dphi", "d2phi")))
    assert relative(fit(loss=own, tol=1e-12).coef_, fit(tol=1e-12).coef_) < 1e-5

"""What the classifiers share in fit: one result, coefficients held once, failed fits, tiny C."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from classifier_cases import THREE, UNITS, X, Y
from polarstep import HalfspaceClassifier, LogisticRegression, Status
from polarstep.linear_model.block import small
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.fitting import unchanged_on_error
from polarstep.linear_model.solver import small as solver_small
from polarstep.linear_model.solver.samples import Samples

BOTH = [HalfspaceClassifier, LogisticRegression]


class Interrupt:
    """Raise KeyboardInterrupt, as if by Ctrl-C, in a given evaluation on all rows.

    No problem counts as small meanwhile, because a single compiled call is not interrupted.
    """

    def __init__(self, monkeypatch, at):
        evaluate, self.count = Samples.evaluate, 0

        def counting(samples, w, b):
            if samples.n == len(X):
                self.count += 1
                if self.count == at:
                    raise KeyboardInterrupt
            return evaluate(samples, w, b)

        monkeypatch.setattr(Samples, "evaluate", counting)
        monkeypatch.setattr(solver_small, "_MOST_VALUES", 0)


def state(model):
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_result_has_the_solution_for_centred_features(kind, fit_intercept):
    model = kind(fit_intercept=fit_intercept, tol=1e-10).fit(X, Y)
    assert model.result_.x.shape == (4 + fit_intercept,)
    np.testing.assert_array_equal(model.result_.x[:4], model.coef_[0])
    if fit_intercept:
        centred = X - X.mean(axis=0)
        score = centred @ model.result_.x[:4] + model.result_.x[4]
        np.testing.assert_allclose(score, model.decision_function(X), rtol=1e-9, atol=1e-9)
    with pytest.raises(AttributeError, match="no attribute 'result_' before fit"):
        _ = kind().result_
    assert not hasattr(kind(), "result_")


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("restore", [lambda model: model, lambda m: pickle.loads(pickle.dumps(m))])
def test_the_coefficients_are_held_once(kind, restore):
    rng = np.random.default_rng(0)
    wide = sp.random(200, 20_000, 0.001, format="csr", random_state=0)
    y = rng.integers(2, size=200)
    model = restore(kind().fit(wide, y))
    held = {id(value): value for value in vars(model).values() if isinstance(value, np.ndarray)}
    held |= {id(v): v for v in vars(model._outcome).values() if isinstance(v, np.ndarray)}
    assert sum(array.nbytes for array in held.values()) < 1.1 * 8 * 20_000
    assert len(pickle.dumps(model)) < 1.1 * 8 * 20_000
    assert model.result_.x.shape == (20_001,)
    assert model.result_.direction.shape == (20_001,)


def test_an_interruption_of_the_first_class_leaves_the_model_unfitted(monkeypatch):
    Interrupt(monkeypatch, at=3)
    model = HalfspaceClassifier(tol=1e-13)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, THREE)
    assert state(model) == {}


def test_an_interruption_of_the_first_class_leaves_a_former_fit_as_it_was(monkeypatch):
    model = HalfspaceClassifier(warm_start=True).fit(X[:, :3], Y)
    before, predicted = state(model), model.predict(X[:, :3])
    Interrupt(monkeypatch, at=3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, THREE)
    assert state(model).keys() == before.keys()
    np.testing.assert_array_equal(model.predict(X[:, :3]), predicted)


def test_an_interruption_of_the_last_class_leaves_a_model_of_all_classes(monkeypatch):
    counter = Interrupt(monkeypatch, at=0)
    HalfspaceClassifier(tol=1e-13).fit(X, THREE)
    last = counter.count
    Interrupt(monkeypatch, at=last)
    model = HalfspaceClassifier(tol=1e-13, warm_start=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, THREE)
    assert model.coef_.shape == (3, 4)
    assert model.result_.status is Status.interrupted
    assert set(model.predict(X)) == {0, 1, 2}


def test_an_interruption_of_softmax_leaves_a_model_of_all_classes(monkeypatch):
    evaluate, seen = BlockRows.evaluate, []

    def counting(*arguments):
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    model = LogisticRegression(tol=1e-13, warm_start=True)
    with monkeypatch.context() as patch:
        patch.setattr(small, "_MOST_UNKNOWNS", 0)  # a single compiled call is not interrupted
        patch.setattr(BlockRows, "evaluate", counting)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, THREE)
    assert model.coef_.shape == (3, 4)
    assert model.result_.status is Status.interrupted
    assert set(model.predict(X)) == {0, 1, 2}
    assert model.fit(X, THREE).result_.status is Status.converged


@pytest.mark.parametrize("kind", BOTH)
def test_a_fit_that_fails_leaves_a_former_fit_as_it_was(kind):
    model = kind().fit(X, Y)
    probabilities = model.predict_proba(X)
    bad = np.full((300, 2), np.nan)
    for data, y in ((bad, THREE), (bad, Y), (X, np.zeros(300)), (X[:, :2], Y[:-1])):
        with pytest.raises(ValueError, match=r"."):
            model.fit(data, y)
        np.testing.assert_array_equal(model.predict_proba(X), probabilities)


def test_attributes_return_after_an_error():
    model = HalfspaceClassifier(C=2.0)

    def fail():
        with unchanged_on_error(model):
            model.coef_, model.C = 1, 3.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert vars(model) == vars(HalfspaceClassifier(C=2.0))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("C", [1e-290, 1e-305, 1e-312, 5e-324])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_tiny_C_gives_weights_of_zero_and_the_intercept_of_the_shares(kind, C, unit):
    model = kind(C=C, tol=1e-13).fit(X * unit, Y)
    assert np.abs(model.coef_ * UNITS * unit).max() < 1e-270
    share = Y.mean()
    np.testing.assert_allclose(model.intercept_, np.log(share / (1 - share)), rtol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200, 1e308])
def test_weights_of_any_size_without_a_penalty(kind, y, size):
    weight = np.full(300, size)
    model = kind(C=np.inf, tol=1e-10, class_weight="balanced").fit(X / UNITS, y, weight)
    expected = kind(C=np.inf, tol=1e-10, class_weight="balanced").fit(X / UNITS, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-4, atol=1e-6)
    assert model.result_.status is Status.converged


def test_a_huge_C_and_a_huge_alpha():
    free = LogisticRegression(C=np.inf).fit(X, Y).coef_
    np.testing.assert_allclose(LogisticRegression(C=1e308).fit(X, Y).coef_, free, rtol=1e-6)
    softmax = LogisticRegression(C=1e-312, tol=1e-13).fit(X, THREE)
    assert np.abs(softmax.coef_).max() < 1e-270
    shares = softmax.predict_proba(X[:1])[0]
    np.testing.assert_allclose(shares, np.bincount(THREE) / 300, rtol=1e-5)
    strong = LogisticRegression(alpha=1e308).fit(X, Y)
    assert np.abs(strong.coef_).max() < 1e-290

"""The losses of a block, against plain NumPy."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import Models
from polarstep.losses import LOSSES, MarginLoss

B, K, T = 3, 4, 50


def _tile(seed=0, k=K):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((B, k, T)) * 5
    weights = rng.random((2, T))
    return scores, rng.integers(0, K, T), weights, Models.of([0.1] * B, [0, 1, 0], [0, 1, 2])


def test_softmax_matches_numpy():
    scores, codes, weights, models = _tile()
    logs = log_softmax(scores, axis=1)[:, codes, np.arange(T)]
    s = weights[models.split]
    p = softmax(scores, axis=1)
    p[:, codes, np.arange(T)] -= 1.0
    got = scores.copy()
    fun = Softmax(K).evaluate(got, codes, weights, models)
    np.testing.assert_allclose(fun, -(s * logs).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(got, p * s[:, None], rtol=1e-9, atol=1e-15)


def test_softmax_is_exact_at_extreme_scores():
    scores = np.array([[[800.0], [-800.0]]])
    fun = Softmax(2).evaluate(scores.copy(), np.array([1]), np.ones((1, 1)), Models.of([0.0]))
    assert fun[0] == 1600.0


def test_softmax_does_not_cancel_where_the_loss_is_tiny():
    scores = np.array([[[40.0, 0.0, 5.0], [0.0, 40.0, 5.0], [-3.0, 1.0, 5.0]]])
    got, codes = scores.copy(), np.array([0, 1, 2])
    fun = Softmax(3).evaluate(got, codes, np.array([[1.0, 0.0, 0.0]]), Models.of([0.0]))
    rest = np.exp(-40.0) + np.exp(-43.0)
    np.testing.assert_allclose(fun[0], rest, rtol=1e-12)
    np.testing.assert_allclose(got[0, 0, 0], -rest, rtol=1e-12)
    third = Softmax(3).evaluate(scores.copy(), codes, np.array([[0.0, 0.0, 1.0]]), Models.of([0.0]))
    np.testing.assert_allclose(third[0], np.log(3.0), rtol=1e-14)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("compiled", [True, False])
def test_margins_match_the_loss(name, compiled):
    loss = LOSSES[name]
    if not compiled:
        loss = MarginLoss(loss.phi, loss.dphi, loss.d2phi, name)
    scores, codes, weights, models = _tile(k=1)
    y = np.where(codes == models.positive[:, None], 1.0, -1.0)
    a, s = -y * scores[:, 0], weights[models.split]
    got = scores.copy()
    fun = Margins(loss).evaluate(got, codes, weights, models)
    np.testing.assert_allclose(fun, (s * loss.phi(a)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got[:, 0], -y * s * loss.dphi(a), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "family", [Softmax(K), Margins(LOSSES["softplus"])], ids=["softmax", "margins"]
)
def test_curvatures_are_second_derivatives(family):
    scores, codes, weights, models = _tile(k=family.n_outputs)
    scores /= 5
    h, derivative = 1e-5, []
    for sign in (1, -1):
        out = np.empty_like(scores)
        for c in range(family.n_outputs):
            moved = scores.copy()
            moved[:, c] += sign * h
            family.evaluate(moved, codes, weights, models)
            out[:, c] = moved[:, c]
        derivative.append(out)
    expected = (derivative[0] - derivative[1]) / (2 * h)
    got = family.curvatures(scores.copy(), codes, weights, models)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_curvatures_do_not_vanish_where_a_loss_that_is_not_convex_is_flat():
    family = Margins(LOSSES["sigmoid"])
    scores = np.full((1, 1, 10), 1e-3)
    h = family.curvatures(scores, np.zeros(10, int), np.ones((1, 10)), Models.of([0.0]))
    assert (h > 0).all()


def test_first_scores_fit_the_class_frequencies():
    totals = np.array([[0.5, 0.3, 0.2]])
    models = Models.of([0.1, 0.1], 0, [1, 2])
    first = Softmax(3).first_scores(totals, models)
    np.testing.assert_allclose(softmax(first, axis=1), [[0.5, 0.3, 0.2]] * 2)
    logits = Margins(LOSSES["softplus"]).first_scores(totals, models)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), [[0.3], [0.2]])


def test_projection_removes_what_changes_no_probability():
    theta = np.random.default_rng(0).standard_normal((2, 3, 4))
    projected = Softmax(3).project(theta)
    np.testing.assert_allclose(projected.sum(axis=1), 0.0, atol=1e-14)
    np.testing.assert_allclose(projected - theta, (projected - theta)[:, :1].repeat(3, 1))

"""Samples in memory: sums over rows against dense NumPy, and subsamples."""

import numpy as np
import pytest

from polarstep.linear_model.solver.samples import Samples
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN
from weighted_samples import KINDS, centred, gaussian, samples_of


@pytest.mark.parametrize("loss", [*LOSSES.values(), smooth_hinge(0.1), ARCTAN], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_sums_are_those_of_dense_numpy(kind, loss, n_threads):
    samples, Z = samples_of(kind, loss, n_threads)
    y, s = samples.y, samples.weight
    rng = np.random.default_rng(1)
    w, v, b, h, t = rng.standard_normal(6), rng.standard_normal(6), 0.4, -0.7, 1.3
    sums, margins = samples.evaluate(w, b)
    p = Z @ w
    a = -y * (p + b)
    r = -y * s * loss.dphi(a)
    np.testing.assert_allclose(margins, a, rtol=1e-11, atol=1e-12)
    found = [sums.value, sums.by_b, sums.mean, sums.square]
    np.testing.assert_allclose(found, [s @ loss.phi(a), r.sum(), s @ p, s @ p**2], rtol=1e-10)
    np.testing.assert_allclose(sums.by_w, Z.T @ r, rtol=1e-9, atol=1e-12)

    change = samples.project(v, h)
    np.testing.assert_allclose(change, -y * (Z @ v + h), rtol=1e-11, atol=1e-12)
    m = a + t * change - h * y
    np.testing.assert_allclose(samples.move(margins, change, t, h), m, rtol=1e-10, atol=1e-12)
    first, second = s * loss.dphi(m), s * loss.d2phi(m)
    expected = [s @ loss.phi(m), first @ change, -first @ y]
    expected += [second @ change**2, -second @ (change * y), second.sum()]
    np.testing.assert_allclose(
        samples.plane(margins, change, t, h), expected, rtol=1e-9, atol=1e-12
    )
    curvatures = samples.curvatures(a)
    np.testing.assert_allclose(curvatures, np.abs(s * loss.d2phi(a)), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(samples.squares(s), s @ Z**2, rtol=1e-9)
    assert samples.largest(p) == p.max()
    product, total = samples.gram_times_vector(s, v, h)
    np.testing.assert_allclose(product, Z.T @ (s * (Z @ v + h)), rtol=1e-9, atol=1e-12)
    assert total == pytest.approx(s @ (Z @ v + h), rel=1e-9)
    assert samples.root_mean_square(p) == pytest.approx(np.sqrt(s @ p**2 / s.sum()))


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_a_subsample_keeps_the_weight_of_each_class(kind):
    samples, _ = samples_of(kind, n=4000, d=3)
    samples.weight[:1000] = 0.0
    few = samples.subsample(400, np.random.default_rng(0))
    assert few.n == pytest.approx(400, abs=2)
    assert (few.weight > 0).all()
    for label in (-1.0, 1.0):
        total = samples.weight[samples.y == label].sum()
        assert few.weight[few.y == label].sum() == pytest.approx(total, rel=1e-12)


def test_sums_over_subsamples_are_right_on_average():
    samples, Z = samples_of(n=300, d=2)
    samples.weight[:] = 1 / 300
    rng = np.random.default_rng(0)
    sums = np.array([(few := samples.subsample(60, rng)).squares(few.weight) for _ in range(800)])
    error = sums.std(axis=0) / np.sqrt(len(sums))
    assert (np.abs(sums.mean(axis=0) - samples.weight @ Z**2) < 5 * error).all()


@pytest.mark.parametrize("kind", KINDS)
def test_margins_at_zero_are_known_and_give_the_same_sums(kind):
    samples, _ = samples_of(kind)
    sums, margins = samples.evaluate(np.zeros(6), 0.3)
    np.testing.assert_array_equal(margins, -0.3 * samples.y)
    nearly, _ = samples.evaluate(np.full(6, 1e-14), 0.3)
    for mine, theirs in zip(sums, nearly, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_flanks_of_a_narrow_hinge_keep_some_curvature():
    samples, _ = samples_of(loss=smooth_hinge(0.01))
    margins = np.full(samples.n, 5.0)  # far on the flank, where phi' = 1 and phi'' = 0
    curvatures = samples.curvatures(margins)
    assert (curvatures > 0).all()
    np.testing.assert_allclose(curvatures / curvatures.sum(), samples.weight, rtol=1e-12)


def test_one_against_the_rest_and_other_losses_share_the_matrix():
    samples, _ = samples_of()
    codes = np.arange(samples.n) % 3
    several = type(samples)(samples.matrix, codes.astype(float), samples.weight, samples.loss)
    second = several.one_against_rest(1.0)
    np.testing.assert_array_equal(second.y, np.where(codes == 1, 1.0, -1.0))
    other = second.with_loss(LOSSES["squared"])
    assert second.matrix is other.matrix is samples.matrix
    assert other.loss.name == "squared"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_error_names_what_is_not_finite(value):
    X, y = gaussian(20, 3)
    X[7, 1] = value
    with pytest.raises(ValueError, match=r"(?i)nan|infinity"):
        centred(X, y).raise_not_finite("fit")
    with pytest.raises(ValueError, match=r"fit: `X` must hold numbers of a reasonable size"):
        centred(gaussian(20, 3)[0], y).raise_not_finite("fit")


def test_single_precision_gives_nearly_the_same_sums():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)) + 3.0, np.where(rng.random(50) < 0.5, 1.0, -1.0)
    samples = Samples.from_arrays(X, y, np.full(50, 0.02), X.mean(axis=0), LOSSES["softplus"])
    single = samples.in_single_precision()
    assert single.X.dtype == np.float32
    w = rng.standard_normal(4)
    sums, other = samples.evaluate(w, 0.3)[0], single.evaluate(w, 0.3)[0]
    np.testing.assert_allclose(other.value, sums.value, rtol=1e-6)
    np.testing.assert_allclose(other.by_w, sums.by_w, rtol=1e-5)

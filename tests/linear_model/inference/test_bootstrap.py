"""Bootstrap samples are refits of the model to resampled rows or groups."""

import numpy as np
import pytest
import scipy.sparse as sp

from inference_cases import GROUPS, THREE, WEIGHT, N, X, Y, Z, fitted, summarized
from polarstep import LogisticRegression
from polarstep.linear_model.inference import bootstrap, summary
from polarstep.linear_model.inference.bootstrap import bootstrap_coefficients
from polarstep.linear_model.inference.fitted_model import read_model
from polarstep.linear_model.inference.optimum import find_optimum
from polarstep.linear_model.inference.rows import read_rows
from polarstep.linear_model.resampling import bootstrap_weights


def draws(model, X, y, n_samples, *, weight=None, groups=None, frequency=False, seed=0, base=None):
    known = read_model(model, base, "f")
    rows = read_rows(model, known, X, y, weight, groups, "f")
    optimum = find_optimum(rows, known, known.ridge(rows.total_weight), "f")
    rng = np.random.default_rng(seed)
    options = {"frequency": frequency, "n_threads": 1, "verbose": False, "who": "f"}
    return bootstrap_coefficients(rows, known, optimum, n_samples, rng, **options)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, lambda X: X.astype(np.float32)])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_draws_are_refits(form, intercept, C):
    """A sample's coefficients are those of a fit with its counts as weights."""
    rows, options = form(Z), {"C": C, "fit_intercept": intercept, "tol": 1e-12}
    found = draws(fitted(rows, **options), rows, Y, 3)
    weights, totals = bootstrap_weights(3, np.ones(N), np.random.default_rng(0))
    for coef, counts in zip(found.coef, weights * totals[:, None], strict=True):
        one = fitted(rows, weight=counts, **options)
        expected = np.append(one.coef_[0], one.intercept_) if intercept else one.coef_[0]
        error = np.abs(coef - expected) / summarized(Z, fit=options).std_err
        assert error.max() < 0.02
    assert found.n_failed == 0


@pytest.mark.parametrize("strength", [{"C": 0.5}, {"C": np.inf}, {"alpha": 0.01}])
def test_draws_of_several_classes(strength):
    model = LogisticRegression(**strength, tol=1e-10).fit(Z, THREE)
    found = draws(model, Z, THREE, 2, groups=GROUPS, base="b")
    number = np.unique(GROUPS, return_inverse=True)[1]
    drawn = bootstrap_weights(2, np.ones(N), np.random.default_rng(0), groups=number)
    for coef, counts in zip(found.coef, drawn[0] * drawn[1][:, None], strict=True):
        one = LogisticRegression(**strength, tol=1e-10).fit(Z, THREE, counts)
        theta = np.column_stack([one.coef_, one.intercept_])
        np.testing.assert_allclose(coef, (theta[[0, 2]] - theta[1]).ravel(), atol=5e-3)


def test_intervals():
    found = summarized(bootstrap=400, level=0.9)
    assert found.interval_kind == "percentile"
    assert found.bootstrap_coef.shape == (400, 4)
    lower, upper = np.quantile(found.bootstrap_coef, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(found.interval, np.column_stack([lower, upper]))
    ratio = found.bootstrap_coef.std(axis=0) / found.std_err
    assert (np.abs(ratio - 1) < 0.2).all()
    again = summarized(bootstrap=400, level=0.9, interval="basic")
    np.testing.assert_allclose(again.interval[:, 0], 2 * found.coef - upper)
    other = summarized(bootstrap=400, level=0.9, random_state=1)
    assert not np.allclose(other.interval, found.interval)
    assert "90% percentile from" in str(found)
    assert "quantiles of 400 bootstrap samples" in found.notes[-1]


def test_groups_are_drawn_as_a_whole():
    """Copies of rows in groups have the intervals of the rows, not those of more rows."""
    groups = np.repeat(np.arange(N), 2)
    model = fitted(np.repeat(X, 2, axis=0), np.repeat(Y, 2))
    doubled = np.repeat(X, 2, axis=0), np.repeat(Y, 2)
    found = summary(model, *doubled, covariance="cluster", groups=groups, bootstrap=100)
    np.testing.assert_allclose(found.interval, summarized(bootstrap=100).interval, rtol=0.02)


def test_frequencies_are_drawn_as_copies():
    copies = np.repeat(np.arange(N), WEIGHT.astype(int))
    model = fitted(Z, weight=WEIGHT)
    many = draws(model, Z, Y, 300, weight=WEIGHT, frequency=True).coef.std(axis=0)
    copied = draws(fitted(Z[copies], Y[copies]), Z[copies], Y[copies], 300).coef.std(axis=0)
    np.testing.assert_allclose(many, copied, rtol=0.2)


def test_the_batches_do_not_matter(monkeypatch):
    model = fitted(Z)
    together = draws(model, Z, Y, 10).coef
    monkeypatch.setattr(bootstrap, "_BATCH_VALUES", 3 * N)
    apart = draws(model, Z, Y, 10).coef
    spread = together.std(axis=0)
    assert (np.abs(apart - together) / spread).max() < 0.05


def test_samples_that_lack_a_class_are_drawn_anew():
    """One of three rows of a class is missing in 4% of the samples; a penalty makes all finite."""
    y = np.where(np.arange(N) < 3, "rare", np.where(Y == 1, "b", "a"))
    found = draws(LogisticRegression(C=1.0, tol=1e-10).fit(Z, y), Z, y, 100)
    assert np.abs(found.coef).max() < 20


def test_samples_that_never_hold_all_classes_are_an_error(monkeypatch):
    """With one group for each class, half of the samples lack a class."""
    monkeypatch.setattr(bootstrap, "_MOST_DRAWS", 1)
    with pytest.raises(ValueError, match="no samples that contain all classes"):
        draws(fitted(Z), Z, Y, 50, groups=Y)


def test_samples_whose_classes_are_separated_are_counted():
    rng = np.random.default_rng(0)
    x = np.r_[rng.uniform(-1, -0.1, 8), rng.uniform(0.1, 1, 8), [-0.2, 0.2]][:, None]
    y = np.r_[np.zeros(8), np.ones(8), [1, 0]]
    found = summary(fitted(x, y), x, y, bootstrap=40)
    assert np.isfinite(found.bootstrap_coef).all()
    far = (np.abs(found.bootstrap_coef - found.coef) > 10 * found.std_err).any(axis=1)
    assert far.any()
    assert any("of the bootstrap fits did not converge or ended" in note for note in found.notes)


def test_progress_is_printed(capsys):
    summarized(Z, bootstrap=70, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" boot")[0] for line in lines] == [
        "[summary] 64 of 70",
        "[summary] 70 of 70",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap": 1}, "`bootstrap` must be a whole number >= 2"),
        ({"bootstrap": 10, "interval": "bca"}, "`interval` must be one of 'basic', 'percentile'"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        summarized(Z, **options)


def test_dask_is_refused():
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    rows, labels = da.from_array(Z, chunks=(80, 3)), da.from_array(Y, chunks=80)
    with pytest.raises(ValueError, match="`bootstrap` must be None for Dask collections"):
        summary(fitted(Z), rows, labels, bootstrap=10)


def test_undetermined_coefficients_have_no_interval():
    wide = np.column_stack([Z, Z[:, 0]])
    with pytest.warns(UserWarning, match="do not determine"):
        found = summary(fitted(wide), wide, Y, bootstrap=20)
    assert np.isnan(found.interval[[0, 3]]).all()
    assert np.isfinite(found.interval[[1, 2, 4]]).all()
    assert not any("did not converge" in note for note in found.notes)

"""Halfspaces on a sample: weights, intercept, penalties, and what is refused."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from scipy.sparse import csr_array
from scipy.special import log_ndtr, ndtr

import polarstep as ps
from halfspace_cases import FORMS, VARIANTS, WEIGHTS, WT, X, Y, written_out
from problems import (
    ARCTAN,
    LOSS_NAMES,
    METHODS,
    derivative,
    numeric_gradient,
    relative,
    skewed,
    two_class,
)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_halfspace_is_the_mean_over_the_sample(loss):
    X, y = skewed(8, 50, 3, offset=2.0)
    wt = np.array([0.5, -1.0, 0.25])
    margins = -y * ((X - X.mean(0)) @ wt)
    f = {
        "softplus": lambda a: np.logaddexp(0, a),
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "normal_cdf": lambda a: np.exp(log_ndtr(a)),
        "squared": lambda a: (1 + a) ** 2,
        "smooth_hinge": lambda a: (
            (1 + a) * ndtr(2 + 2 * a) + 0.5 * np.exp(-((2 + 2 * a) ** 2) / 2) / np.sqrt(2 * np.pi)
        ),
    }[loss]
    S = np.cov(X.T, bias=True)
    for data in (X, csr_array(X), np.asfortranarray(X)):
        objective = ps.Halfspace(data, y, loss, 0.2)
        expected = f(margins).mean() + 0.1 * wt @ S @ wt
        assert objective.value(wt) == pytest.approx(expected, rel=1e-11)


def test_a_design_is_shared_between_objectives():
    X, y = two_class(n=60)
    design = ps.Design(X)
    first, second = ps.Halfspace(design, y), ps.Halfspace(design, y, "sigmoid")
    assert first.design is second.design is design
    assert first.moments.n_passes == second.moments.n_passes == 3
    assert first.value(np.ones(4)) == ps.Halfspace(X, y).value(np.ones(4))


@pytest.mark.parametrize("labels", [(0, 1), (False, True), (1, 2), (-1.0, 1.0), (-7, 3)])
def test_the_smaller_label_is_minus_one(labels):
    X, y = two_class(n=60)
    named = np.where(y > 0, labels[1], labels[0])
    objective = ps.Halfspace(X, named)
    assert set(objective.labels) == {-1.0, 1.0}
    assert (objective.labels == y).all()
    assert objective.value(np.ones(4)) == ps.Halfspace(X, y).value(np.ones(4))
    assert ps.Halfspace(X, named.reshape(-1, 1)).value(np.ones(4)) == objective.value(np.ones(4))


# ------------------------------------------------------------------ the function


@pytest.mark.parametrize("loss", [*LOSS_NAMES, ARCTAN], ids=str)
@pytest.mark.parametrize("options", VARIANTS)
def test_values_and_derivatives(options, loss):
    objective = ps.Halfspace(X, Y, loss, **options)
    wt = WT[: len(objective.moments.u)]
    for w in (wt, -2.0 * wt, np.zeros_like(wt)):
        exact = written_out(objective, w, weights=options["sample_weight"])
        assert objective.value(w) == pytest.approx(exact, rel=1e-12)
        numeric = numeric_gradient(objective.value, w, 1e-3)
        np.testing.assert_allclose(objective.gradient(w), numeric, atol=2e-8 * max(1, exact))
    ray = objective.along(wt)
    assert ray.squared == pytest.approx(1.0)
    for g in (-2.0, 0.0, 0.9, 3.0):
        assert ray.value(g) == pytest.approx(objective.value(g * ray.v), rel=1e-12)
        slope, curvature = ray.slope(g), ray.curvature(g)
        assert slope == pytest.approx(derivative(ray.value, g, 1e-3), abs=1e-8)
        assert curvature == pytest.approx(derivative(ray.slope, g, 1e-3), abs=1e-7)
        assert slope == pytest.approx(ray.v @ ray.gradient(g), abs=1e-11)
        assert ray.coefficients(g) == pytest.approx(objective.coefficients(g * ray.v))


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("options", VARIANTS)
def test_the_hessian_is_within_its_bounds(options, singular):
    data = np.column_stack([X[:, :2], X[:, 0] - X[:, 1]]) if singular else X
    objective = ps.Halfspace(data, Y, **options)
    moments = objective.moments
    assert moments.rank == 3 - singular + objective.intercept
    P = np.column_stack([moments.project(p) for p in moments.whitening.T])
    for scale in (0.0, 1.0, 30.0):
        w = moments.project(scale * WT[: len(P)])
        H = np.column_stack(
            [derivative(lambda t, e=e, w=w: objective.gradient(w + t * e), 0.0, 1e-3) for e in P.T]
        )
        # H P; then P^T H P, in coordinates in which S is the identity, and H on the range of S.
        assert np.linalg.eigvalsh(P.T @ H)[-1] <= objective.curvature * (1 + 1e-6)
        basis = np.linalg.qr(P)[0]
        inner = basis.T @ H @ np.linalg.pinv(P) @ basis
        assert np.linalg.eigvals(inner).real.max() <= objective.smoothness * (1 + 1e-6)


def test_coefficients_leave_the_l2_penalty_out():
    """On Gaussian data the gradient is c1 u + c2 S wt + alpha wt, up to sampling error."""
    data, y = two_class(3, 400_000, 3, kappa=5.0)
    objective = ps.Halfspace(data, y, l2_penalty=0.4, length_penalty=0.1)
    wt = -1.5 * objective.moments.u
    c1, c2 = objective.coefficients(wt)
    form = c1 * objective.moments.u + c2 * objective.moments.S @ wt + 0.4 * wt
    np.testing.assert_allclose(form, objective.gradient(wt), atol=5e-3)
    assert (c1, c2) == ps.Halfspace(data, y, length_penalty=0.1).coefficients(wt)


# ------------------------------------------------------------------ weights are repetitions


@given(st.integers(0, 1000), st.booleans(), st.booleans(), st.sampled_from(list(FORMS)))
def test_a_weight_is_a_number_of_copies(seed, intercept, single, form):
    rng = np.random.default_rng(seed)
    data, y = skewed(seed, 40, 3, offset=5.0)
    data[rng.uniform(size=data.shape) < 0.3] = 0.0
    data = data.astype(np.float32) if single else data
    copies = rng.integers(0, 4, 40)
    copies[[np.argmax(y), np.argmin(y)]] = 2
    many = np.repeat(np.arange(40), copies)
    options = {"l2_penalty": 0.05, "intercept": intercept}
    weighted = ps.Halfspace(FORMS[form](data), y, sample_weight=0.37 * copies, **options)
    repeated = ps.Halfspace(FORMS[form](data[many]), y[many], **options)
    a, b = weighted.moments, repeated.moments
    assert a.n_passes == b.n_passes == 3
    for name in ("u", "S", "mean"):
        assert relative(getattr(a, name), getattr(b, name)) < 1e-12
    assert relative(weighted.design.variance, repeated.design.variance) < 1e-12
    w = rng.standard_normal(3 + intercept)
    assert weighted.value(w) == pytest.approx(repeated.value(w), rel=1e-12)
    assert relative(weighted.gradient(w), repeated.gradient(w)) < 1e-10
    for method in METHODS:
        one, other = (ps.minimize(f, method, max_iter=8, tol=0.0) for f in (weighted, repeated))
        np.testing.assert_allclose(one.trace.fun, other.trace.fun, rtol=1e-10)
        assert one.n_passes == other.n_passes == 2 * one.n_iter + 2
    plain = ps.Moments.from_data(FORMS[form](data), y, copies)
    assert relative(plain.S, b.S[:3, :3]) < 1e-12
    assert plain.n_samples == np.count_nonzero(copies)


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_weight_zero_have_no_influence(form):
    kept = WEIGHTS > 0
    wild = np.where(kept[:, None], X, 1e120)
    wild = np.column_stack([wild, np.where(kept, 0.3, 8.0), np.where(kept, 3.0, 0.0)])
    y = np.where(kept, Y, 7.0)
    constant = np.tile([0.3, 3.0], (kept.sum(), 1))
    full = ps.Halfspace(FORMS[form](wild), y, sample_weight=WEIGHTS)
    part = ps.Halfspace(
        FORMS[form](np.column_stack([X[kept], constant])), Y[kept], sample_weight=WEIGHTS[kept]
    )
    assert full.moments.rank == part.moments.rank == 3
    assert full.moments.n_samples == kept.sum()
    for method in METHODS:
        one, other = (ps.minimize(f, method, max_iter=10, tol=0.0) for f in (full, part))
        np.testing.assert_allclose(one.trace.fun, other.trace.fun, rtol=1e-11)
        np.testing.assert_allclose(one.x, other.x, rtol=1e-8, atol=1e-15)


def test_equal_weights_change_nothing():
    plain, equal = ps.Halfspace(X, Y), ps.Halfspace(X, Y, sample_weight=np.full(120, 0.1))
    for method in METHODS:
        one, other = (ps.minimize(f, method, max_iter=20, tol=0.0) for f in (plain, equal))
        np.testing.assert_allclose(one.trace.fun, other.trace.fun, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_the_scale_of_the_weights_does_not_matter(size):
    here = ps.Halfspace(X, Y, sample_weight=WEIGHTS)
    there = ps.Halfspace(X, Y, sample_weight=size * WEIGHTS)
    assert there.value(WT[:3]) == pytest.approx(here.value(WT[:3]), rel=1e-13)
    assert here.design.weights.mean() == pytest.approx(1.0)


def test_a_design_brings_its_weights_and_its_intercept():
    design = ps.Design(X, sample_weight=WEIGHTS, intercept=True)
    shared = ps.Halfspace(design, Y)
    assert shared.design is design
    made = ps.Halfspace(X, Y, sample_weight=WEIGHTS, intercept=True)
    assert shared.value(WT) == made.value(WT)
    also = ps.Halfspace(ps.Design(X, sample_weight=WEIGHTS), Y, intercept=True)
    assert also.value(WT) == made.value(WT)
    other = ps.Halfspace(design, Y, sample_weight=np.ones(120))
    assert other.value(WT) == pytest.approx(ps.Halfspace(X, Y, intercept=True).value(WT))
    assert np.shares_memory(other.design.X, X)


# ------------------------------------------------------------------ the Gram matrix


@pytest.mark.parametrize("form", FORMS)
def test_building_takes_no_gram_matrix(form, monkeypatch):
    taken = []
    gram = ps.Design.gram
    monkeypatch.setattr(ps.Design, "gram", lambda self: taken.append(self) or gram(self))
    objective = ps.Halfspace(FORMS[form](X), Y, intercept=True, sample_weight=WEIGHTS)
    assert objective.n_passes == 2
    assert not taken
    assert objective.moments is objective.moments
    assert taken == [objective.design]
    assert objective.n_passes == objective.moments.n_passes == 3


def test_wide_data_are_refused_where_their_gram_matrix_is_needed():
    wide = sp.csr_array(([1.0], ([0], [0])), shape=(4, 30_000))
    objective = ps.Halfspace(wide, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="`X` must have at most 20,000 columns"):
        _ = objective.moments


# ------------------------------------------------------------------ what is refused


SPOILED = np.where(np.arange(120) == 5, np.nan, 1.0)
DESIGN = ps.Design(X, sample_weight=WEIGHTS, intercept=True)
SMALL, LABELS = (
    np.random.default_rng(0).standard_normal((20, 3)),
    np.where(np.arange(20) % 2, 1.0, -1.0),
)
BAD_OPTIONS = {
    "negative": ({"sample_weight": -WEIGHTS}, "`sample_weight`.* >= 0; got -.* at position 1"),
    "zeros": ({"sample_weight": np.zeros(120)}, "`sample_weight` must give at .*; got zeros"),
    "nan weight": ({"sample_weight": SPOILED}, "`sample_weight`.* nan at position 5"),
    "inf weight": ({"sample_weight": SPOILED * np.inf}, "`sample_weight`.* inf at position 0"),
    "short": ({"sample_weight": np.ones(7)}, r"`sample_weight` .*120 real numbers; got shape \(7,"),
    "scalar": ({"sample_weight": 2.0}, "`sample_weight` must be a vector of 120"),
    "words": ({"sample_weight": ["a"] * 120}, "`sample_weight`.* not numeric", TypeError),
    "one class": ({"sample_weight": Y > 0}, "`y` must hold two classes; got only 1 where the wei"),
    "penalty": ({"l2_penalty": -1.0}, "`l2_penalty` must be a finite number >= 0; got -1"),
    "penalty nan": ({"l2_penalty": np.nan}, "`l2_penalty`.* got nan"),
    "penalty text": ({"l2_penalty": "1"}, "`l2_penalty`.* got '1'", TypeError),
    "intercept": ({"intercept": "yes"}, "`intercept` must be True or False; got 'yes'", TypeError),
    "cap": ({"intercept": True, "max_length": 3.0}, "`max_length` must be left out.*; got 3. Use"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(name):
    options, words, *error = BAD_OPTIONS[name]
    with pytest.raises(error[0] if error else ValueError, match=f"^Halfspace: {words}"):
        ps.Halfspace(X, Y, **options)


def test_bad_weights_and_designs_elsewhere():
    with pytest.raises(ValueError, match=r"from_data: `sample_weight`.* at position 1"):
        ps.Moments.from_data(X, Y, -WEIGHTS)
    only_there = np.where(WEIGHTS > 0, 1.0, np.arange(120))[:, None]
    for data in (only_there, sp.csr_array(only_there)):
        with pytest.raises(ValueError, match="Halfspace: `X` must have a column that varies"):
            ps.Halfspace(data, Y, sample_weight=WEIGHTS, intercept=True)
    for data in (np.where(WEIGHTS > 0, 1.0, np.nan)[:, None] * X, sp.csr_array(X + np.inf)):
        with pytest.raises(ValueError, match=r"Halfspace: `X` must contain only .* at row 0"):
            ps.Halfspace(data, Y, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="TanhNetwork: `X` must be without an intercept"):
        ps.TanhNetwork(DESIGN, Y)
    with pytest.raises(ValueError, match="check_assumptions: `X` must be data without sample wei"):
        ps.theory.check_assumptions(ps.Moments.from_data(X, Y), DESIGN, Y)


BAD_LABELS = {
    "one row": (
        ps.Halfspace,
        (SMALL[:1], LABELS[:1]),
        "Halfspace: `y` must hold two classes; got only",
    ),
    "one class": (
        ps.Halfspace,
        (SMALL, np.ones(20)),
        "Halfspace: `y` .*two classes; got only 1. A ",
    ),
    "three": (
        ps.Halfspace,
        (SMALL, np.arange(20) % 3),
        "Halfspace: `y`.* 3 .*0, 1, 2.* LeastSquares",
    ),
    "real y": (
        ps.Halfspace,
        (SMALL, SMALL[:, 0]),
        "Halfspace: `y`.* 20 different .* use LeastSquares",
    ),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case):
    make, arguments, words = BAD_LABELS[case]
    with pytest.raises(ValueError, match=f"(?s){words}"):
        make(*arguments)


REFUSED = {
    "loss": (
        lambda: ps.Halfspace(X, Y, loss="sigmoyd"),
        ValueError,
        r"Halfspace: `loss`.* one of 'normal_cdf', .*mean 'sigmoid'\?",
    ),
    "loss type": (
        lambda: ps.Halfspace(X, Y, loss=3),
        TypeError,
        "Halfspace: `loss` must be a name or a MarginLoss; got an int",
    ),
    "penalty": (
        lambda: ps.Halfspace(X, Y, length_penalty=-1),
        ValueError,
        "Halfspace: `length_penalty` .* >= 0; got -1",
    ),
    "penalty none": (
        lambda: ps.Halfspace(X, Y, length_penalty=None),
        TypeError,
        "Halfspace: `length_penalty` .* None",
    ),
    "cap": (
        lambda: ps.Halfspace(X, Y, max_length=0),
        ValueError,
        "Halfspace: `max_length` .* > 0; got 0",
    ),
    "cap nan": (
        lambda: ps.Halfspace(X, Y, max_length=np.nan),
        ValueError,
        "Halfspace: `max_length` must be a number > 0; got nan",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error

"""Classifiers converted to ONNX, as onnxruntime computes them."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classifier_cases import THREE, UNITS, X, Y
from polarstep import HalfspaceClassifier, LogisticRegression, LogisticRegressionCV
from polarstep.linear_model import onnx

REASON = "needs skl2onnx and onnxruntime: pip install 'polarstep[onnx]' onnxruntime"
skl2onnx = pytest.importorskip("skl2onnx", reason=REASON)
onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

Z = X / UNITS
MODELS = [
    LogisticRegression(),
    LogisticRegression(fit_intercept=False),
    HalfspaceClassifier(),
    HalfspaceClassifier(loss="smooth_hinge"),
    LogisticRegressionCV(cv=3, Cs=[0.1, 1.0]),
]


@pytest.fixture(autouse=True)
def registered():
    onnx.register()


def run(model, data, **options):
    """Return the labels and the probabilities of the converted model."""
    converted = skl2onnx.to_onnx(model, data[:1], options={"zipmap": False, **options})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: data})


def expected(model, data):
    """Return the same from the model; scores in the place of probabilities that do not exist."""
    if hasattr(model, "predict_proba"):
        return model.predict(data), model.predict_proba(data)
    scores = model.decision_function(data)
    return model.predict(data), scores if scores.ndim == 2 else np.column_stack([-scores, scores])


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_float64(model, y):
    model.fit(X, y)
    labels, values = run(model, X)
    wanted, numbers = expected(model, X)
    np.testing.assert_array_equal(labels, wanted)
    np.testing.assert_allclose(values, numbers, rtol=1e-9, atol=1e-12)
    assert values.dtype == np.float64


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_float32(model, y):
    single = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    model.fit(single, y)
    labels, values = run(model, single)
    wanted, numbers = expected(model, single)
    np.testing.assert_allclose(values, numbers, rtol=1e-4, atol=1e-6)
    assert values.dtype == np.float32
    near = np.sort(np.atleast_2d(numbers), axis=1)
    sure = near[:, -1] - near[:, -2] > 1e-5
    np.testing.assert_array_equal(labels[sure], wanted[sure])
    assert sure.mean() > 0.95


@pytest.mark.parametrize("kind", [LogisticRegression, HalfspaceClassifier])
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_saturated_rows_have_the_predicted_labels_and_finite_probabilities(kind, y):
    model, far = kind().fit(Z, y), 1e4 * Z
    labels, values = run(model, far)
    np.testing.assert_array_equal(labels, model.predict(far))
    np.testing.assert_allclose(values, model.predict_proba(far), atol=1e-12)


@pytest.mark.parametrize(
    "names", [np.array(["no", "so", "yes"]), np.array([7, 8, 20]), np.array([0.0, 1.0, 5.0])]
)
@pytest.mark.parametrize("codes", [Y, THREE], ids=["two", "three"])
def test_labels_of_every_kind(names, codes):
    model = LogisticRegression().fit(Z, names[codes])
    labels, _ = run(model, Z)
    assert list(labels) == list(model.predict(Z))
    indices, _ = run(model, Z, nocl=True)
    assert list(model.classes_[indices]) == list(labels)


def test_labels_that_onnx_does_not_have_are_refused():
    model = LogisticRegression().fit(Z, np.array([3, 2**63 + 1], np.uint64)[Y])
    with pytest.raises(ValueError, match="`classes_` must be strings or whole numbers"):
        run(model, Z)


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_options_of_skl2onnx(y):
    model = LogisticRegression().fit(Z, y)
    scores = model.decision_function(Z)
    _, raw = run(model, Z, raw_scores=True)
    np.testing.assert_allclose(raw, scores if y is THREE else np.column_stack([-scores, scores]))
    _, by_name = run(model, Z.astype(np.float32), zipmap=True)
    assert by_name[0] == pytest.approx(dict(enumerate(model.predict_proba(Z)[0])), rel=1e-4)


def test_a_pipeline_with_whole_numbers_and_sparse_coefficients():
    whole = np.round(10 * Z).astype(np.int64)
    model = LogisticRegression().fit(whole, THREE).sparsify()
    np.testing.assert_allclose(run(model, whole)[1], model.predict_proba(whole), atol=1e-4)
    pipeline = make_pipeline(StandardScaler(), HalfspaceClassifier()).fit(X, THREE)
    np.testing.assert_array_equal(run(pipeline, X)[0], pipeline.predict(X))

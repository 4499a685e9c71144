"""Conversion of the classifiers to ONNX by skl2onnx; install the extra ``polarstep[onnx]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..extras import require_skl2onnx
from ..validation import complaint
from .cross_validation import LogisticRegressionCV
from .halfspace import HalfspaceClassifier
from .logistic import LogisticRegression
from .predictions import dense

__all__ = ["register"]

_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [True, False],
    "raw_scores": [True, False],
}


def register() -> None:
    """Tell skl2onnx how to convert the classifiers of this package.

    Afterwards ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` accept them, alone or as a step
    of a pipeline.

    Raises
    ------
    ModuleNotFoundError
        If skl2onnx is not installed.

    Notes
    -----
    The ONNX model has the outputs ``label`` and ``probabilities``. For a loss without
    probabilities, or with the option ``raw_scores``, the latter are scores, (-score, score) for two
    classes, as skl2onnx returns them for scikit-learn's LinearSVC. The labels come from the scores,
    so that they are those of `predict` also where probabilities are saturated.

    The model computes in the type of its input. With float32, a column whose mean is 1e6 times its
    spread loses 6 of 7 digits: for data that are not scaled, pass float64 data to ``to_onnx``.
    """
    require_skl2onnx("polarstep.linear_model.onnx.register")
    shapes = import_module("skl2onnx.common.shape_calculator")
    for kind in (HalfspaceClassifier, LogisticRegression, LogisticRegressionCV):
        import_module("skl2onnx").update_registered_converter(
            kind, f"Polarstep{kind.__name__}",
            shapes.calculate_linear_classifier_output_shapes, _convert, options=_OPTIONS,
        )  # fmt: skip


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a classifier to an ONNX graph."""
    graph = _Graph(scope, operator, container)
    model, label, probabilities = operator.raw_operator, *(v.full_name for v in operator.outputs)
    options = container.get_options(model, {"raw_scores": False, "nocl": False})
    scores = graph.scores(operator.inputs[0])
    two = len(model.classes_) == 2
    both = graph.node("Concat", graph.node("Neg", scores), scores, axis=1) if two else scores

    graph.labels(scores, _labels(model.classes_, options["nocl"]), label)
    if options["raw_scores"] or not hasattr(model, "predict_proba"):
        graph.node("Identity", both, output=probabilities)
    elif two:
        graph.node("Sigmoid", both, output=probabilities)
    else:
        if isinstance(model, HalfspaceClassifier):
            both = graph.log_sigmoid(scores)
        graph.node("Softmax", both, output=probabilities, axis=1)


def _labels(classes: np.ndarray, indices: bool) -> np.ndarray:
    """Return the labels as strings or int64, or their indices."""
    if indices:
        return np.arange(len(classes))
    if all(isinstance(label, str) for label in classes):
        return classes.astype(str)
    whole = classes.astype(np.int64) if classes.dtype.kind in "iubf" else None
    if whole is None or not np.array_equal(whole, classes):
        must, advice = "be strings or whole numbers for ONNX", "Encode the labels before fit."
        raise ValueError(complaint("onnx", "classes_", must, classes.tolist(), advice))
    return whole


class _Graph:
    """The graph of one classifier, which computes in the type of its input.

    Parameters
    ----------
    scope, operator, container
        As skl2onnx passes them to a converter.
    """

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self.scope, self.container, self.model = scope, container, operator.raw_operator
        self.types = import_module("onnx").TensorProto
        guess = import_module("skl2onnx.common.data_types").guess_proto_type
        given = guess(operator.inputs[0].type)
        self.type = given if given == self.types.DOUBLE else self.types.FLOAT
        self.must_cast = given != self.type

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = output or self.scope.get_unique_variable_name(kind.lower())
        name = self.scope.get_unique_operator_name(kind)
        self.container.add_node(kind, list(inputs), output, name=name, **attributes)
        return output

    def constant(self, values: np.ndarray, kind: int) -> str:
        """Add a constant and return its name."""
        name = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, kind, list(values.shape), values.ravel().tolist())
        return name

    def scores(self, X: Any) -> str:
        """Add x^T w + b, with a column for each class, or one column for two classes."""
        rows = self.node("Cast", X.full_name, to=self.type) if self.must_cast else X.full_name
        weights = self.constant(dense(self.model.coef_).T, self.type)
        products = self.node("MatMul", rows, weights)
        return self.node("Add", products, self.constant(self.model.intercept_, self.type))

    def log_sigmoid(self, scores: str) -> str:
        """Add the logarithm of 1/(1 + exp(-score)): min(score, 0) - log(1 + exp(-|score|))."""
        zero, one = (self.constant(np.full(1, value), self.type) for value in (0.0, 1.0))
        ratio = self.node("Exp", self.node("Neg", self.node("Abs", scores)))
        logarithm = self.node("Log", self.node("Add", ratio, one))
        return self.node("Sub", self.node("Min", scores, zero), logarithm)

    def labels(self, scores: str, labels: np.ndarray, output: str) -> None:
        """Add the label of the highest score; of two labels, the second if the score is > 0."""
        if len(labels) == 2:
            zero = self.constant(np.zeros(1), self.type)
            positive = self.node("Greater", scores, zero)
            column = self.node("Cast", positive, to=self.types.INT64)
            flat = self.constant(np.array([-1]), self.types.INT64)
            chosen = self.node("Reshape", column, flat)
        else:
            chosen = self.node("ArgMax", scores, axis=1, keepdims=0)
        kind = self.types.STRING if labels.dtype.kind == "U" else self.types.INT64
        self.node("Gather", self.constant(labels, kind), chosen, output=output, axis=0)

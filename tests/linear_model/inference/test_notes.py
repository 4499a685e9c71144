"""What a summary says below its table."""

import numpy as np
import pytest

from inference_cases import GROUPS, RNG, THREE, WEIGHT, Y, Z, summarized
from polarstep import LogisticRegressionCV
from polarstep.linear_model.inference import summary
from polarstep.linear_model.inference.notes import listed


def test_nothing_is_said_about_an_ordinary_model():
    assert summarized(Z, fit={"tol": 1e-12}).notes == ()


@pytest.mark.parametrize(
    ("weight", "options", "text"),
    [
        (None, {"fit": {"C": 2.0}}, r"penalty 0.5 \|\|w\|\|\^2/2. .* do not include its bias"),
        (None, {"fit": {"class_weight": "balanced"}}, "class weights for numbers of copies"),
        (WEIGHT, {"covariance": "HC0"}, "one observation, whose score the weight multiplies"),
        (WEIGHT, {"covariance": "HC0", "frequency_weights": True}, "counts as k independent rows"),
        (None, {"covariance": "cluster", "groups": GROUPS // 4}, "With 9 groups"),
        (None, {"fit": {"tol": 1e-2}}, "differ by up to .* standard errors"),
    ],
)
def test_notes(weight, options, text):
    options.setdefault("fit", {}).setdefault("tol", 1e-12)
    (note,) = summarized(Z, weight=weight, **options).notes
    assert text.split(" .* ")[0].replace("\\", "") in note
    assert str(summarized(Z, weight=weight, **options)).count("* ") >= 1


def test_nearly_dependent_columns():
    close = np.column_stack([Z, Z[:, 0] + 3e-6 * RNG.standard_normal(len(Z))])
    notes = summarized(close, fit={"tol": 1e-12}).notes
    assert any("almost linear combinations of others (condition number" in note for note in notes)


@pytest.mark.parametrize("y", [Y, THREE])
def test_a_penalty_that_was_chosen_on_the_rows(y):
    found = summary(LogisticRegressionCV(Cs=[0.1, 0.5], cv=3).fit(Z, y), Z, y)
    assert found.ridge in (10.0, 2.0)
    assert "C was chosen by cross-validation" in found.notes[1]


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"

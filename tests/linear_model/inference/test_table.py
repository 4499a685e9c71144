"""A summary as text, as HTML and as a data frame."""

import sys

import numpy as np
import pandas as pd
import pytest

from inference_cases import THREE, Softmax, Y, Z, summarized
from polarstep.linear_model.inference import summary

NAMES = ["age", "<b>", "a name that is much too long to be shown as a whole"]


def test_text_of_two_classes():
    found = summarized(Z, covariance="HC3", feature_names=NAMES, fit={"C": 1.0})
    lines = str(found).splitlines()
    assert lines[0] == "Logistic regression of class 1 against 0"
    assert "robust, HC3" in str(found)
    row = next(line for line in lines if line.startswith("age"))
    low, high = found.interval[0]
    numbers = [found.coef[0], found.std_err[0], found.z[0], found.p_value[0], low, high]
    np.testing.assert_allclose([float(cell) for cell in row.split()[1:]], numbers, rtol=0.05)
    assert any(line.startswith("a name that is ...n as a whole") for line in lines)
    assert lines[-1].startswith("  ")
    table = [line for line in lines if not line.startswith(("*", "  C", "  i", "  b"))]
    assert max(map(len, table)) <= 100


def test_text_of_several_classes():
    found = summary(Softmax().fit(Z, THREE), Z, THREE, level=0.9)
    text = str(found)
    assert text.startswith("Softmax regression of 2 classes against a\n")
    assert "90% from" in text
    lines = text.splitlines()
    assert lines.index("b") < lines.index("c")
    assert text.count("intercept") == 2


def test_long_tables_are_cut():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 120)), np.arange(200) % 2
    found = summarized(X, y, fit={"C": 1.0})
    lines = str(found).splitlines()
    assert "... and 21 more, which to_frame() shows" in lines
    assert sum(line.startswith("x") for line in lines) == 100
    assert "... and 21 more" in found._repr_html_()
    assert len(found.to_frame()) == 121


def test_html():
    found = summarized(Z, feature_names=NAMES, fit={"C": 1.0})
    page = found._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<table>") == 2
    assert "<li>The objective has the penalty" in page
    several = summary(Softmax().fit(Z, THREE), Z, THREE)._repr_html_()
    assert several.count('colspan="7"') == 2


def test_frame():
    found = summarized(Z, feature_names=NAMES)
    frame = found.to_frame()
    assert frame.index.tolist() == [*NAMES, "intercept"]
    assert frame.columns.tolist() == ["coef", "std_err", "z", "p_value", "lower", "upper"]
    np.testing.assert_array_equal(frame["upper"], found.interval[:, 1])
    several = summary(Softmax().fit(Z, THREE), Z, THREE).to_frame()
    assert isinstance(several.index, pd.MultiIndex)
    assert several.loc[("c", "x1")].name == ("c", "x1")
    assert several.index.names == ["class", "term"]


def test_a_frame_needs_pandas(monkeypatch):
    found = summarized(Z, Y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_frame needs pandas"):
        found.to_frame()

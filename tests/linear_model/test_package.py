"""The package polarstep.linear_model: its public names, which are imported when they are used."""

import subprocess
import sys

import pytest

import polarstep as ps
from polarstep import linear_model


def test_public_names():
    assert (
        linear_model.__all__
        == dir(linear_model)
        == [
            "HalfspaceClassifier",
            "LogisticRegression",
            "LogisticRegressionCV",
            "inference",
        ]
    )
    assert linear_model.HalfspaceClassifier is ps.HalfspaceClassifier
    assert linear_model.LogisticRegression is ps.LogisticRegression
    with pytest.raises(
        AttributeError, match=r"'polarstep\.linear_model' has no attribute 'nothing'"
    ):
        _ = linear_model.nothing


def test_nothing_heavy_is_imported_before_a_name_is_used():
    code = (
        "import sys, polarstep.linear_model as linear_model\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'numba', 'dask'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "linear_model.HalfspaceClassifier\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['numba', 'numpy', 'scipy', 'sklearn']"]

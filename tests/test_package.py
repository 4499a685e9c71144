"""What `import polarstep` loads, and that public names are what they say."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import polarstep as ps


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_loads_nothing_heavy():
    heavy = ["torch", "matplotlib", "dask", "scipy", "sklearn", "numpy"]
    done = python(f"import polarstep, sys; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ps.__all__)
def test_public_names_resolve(name):
    assert getattr(ps, name) is not None
    assert name in dir(ps)


@pytest.mark.parametrize("name", ["curvature", "nn"])
def test_what_needs_torch_is_there_when_it_is_asked_for(name):
    pytest.importorskip("torch", reason=f"polarstep.{name} needs PyTorch")
    done = python(
        f"import polarstep as ps, sys; assert 'torch' not in sys.modules; ps.{name}; "
        f"print('torch' in sys.modules, '{name}' in dir(ps), '{name}' in ps.__all__)"
    )
    assert done.stdout.split() == ["True", "True", "False"]


def test_minimize_is_the_function_whatever_was_imported_first():
    done = python("import polarstep.minimization, polarstep as ps; print(callable(ps.minimize))")
    assert done.stdout.strip() == "True"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ps.nothing  # noqa: B018


def test_objectives_and_results_can_be_pickled():
    objective = ps.GaussianHalfspace([0.5, 0.1], np.eye(2), "sigmoid", length_penalty=0.1)
    result = ps.minimize(objective, max_iter=3)
    again = pickle.loads(pickle.dumps((objective, result)))
    assert again[0].value(result.x) == result.fun
    np.testing.assert_array_equal(again[1].trace.fun, result.trace.fun)


@pytest.mark.parametrize(
    ("name", "home"),
    {
        "objectives": "objective, least_squares, halfspace, population",
        "parameterization": "polarstep.methods.parameterization",
        "solvers": "polarstep.methods.table",
        "steps": "polarstep.methods.steps",
    }.items(),
)
def test_moved_modules_say_where_they_went(name, home):
    with pytest.raises(AttributeError, match=f"polarstep.{name} has moved: use .*{home}"):
        getattr(ps, name)


def test_python_m_polarstep_is_the_command_line():
    pytest.importorskip("click", reason="the command line needs click")
    done = subprocess.run(
        [sys.executable, "-m", "polarstep", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: ")
    assert "reproduce" in done.stdout

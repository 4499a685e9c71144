"""Errors about optional dependencies that are missing."""

import sys

import pytest

from polarstep import extras


@pytest.mark.parametrize(
    ("require", "module", "text"),
    [
        (
            extras.require_torch,
            "torch",
            "polarstep.x needs PyTorch, which is not installed. "
            "Run: pip install 'polarstep[torch]'",
        ),
        (
            extras.require_dask,
            "dask",
            "polarstep.x needs Dask, which is not installed. Run: pip install 'polarstep[dask]'",
        ),
        (
            extras.require_skl2onnx,
            "skl2onnx",
            "polarstep.x needs skl2onnx, which is not installed. "
            "Run: pip install 'polarstep[onnx]'",
        ),
        (
            extras.require_pandas,
            "pandas",
            "polarstep.x needs pandas, which is not installed. Run: pip install pandas",
        ),
    ],
)
def test_an_extra_that_is_missing_is_named(require, module, text, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        require("polarstep.x")
    assert str(caught.value) == text
    assert caught.value.name == module


def test_an_error_inside_an_extra_is_not_hidden(tmp_path, monkeypatch):
    """A dependency of the extra that is missing is reported under its own name."""
    (tmp_path / "broken_extra.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs") as caught:
        extras._require("broken_extra", "An extra", "polarstep.x")
    assert caught.value.name == "what_it_needs"


def test_an_extra_that_is_there_is_returned(tmp_path, monkeypatch):
    (tmp_path / "present_extra.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert extras._require("present_extra", "An extra", "polarstep.x").__name__ == "present_extra"

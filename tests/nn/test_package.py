"""The package polarstep.nn: its public names, and what it says without PyTorch."""

import subprocess
import sys

import pytest


def without_torch(code):
    code = f"import sys; sys.modules['torch'] = None; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_polarstep_can_be_imported_without_torch():
    done = without_torch("import polarstep as ps; print(ps.Halfspace.__name__)")
    assert done.stdout.strip() == "Halfspace"
    code = "import polarstep, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_torch_the_error_says_what_to_install():
    done = without_torch("import polarstep.nn")
    assert done.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: polarstep.nn needs PyTorch, which is not installed. "
        "Run: pip install 'polarstep[torch]'"
    )


def test_a_broken_torch_is_not_reported_as_missing(tmp_path):
    (tmp_path / "torch.py").write_text("import something_that_is_missing")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import polarstep.nn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "No module named 'something_that_is_missing'" in done.stderr
    assert "polarstep[torch]" not in done.stderr


def test_public_names_exist_and_a_renamed_one_says_where_it_went():
    nn = pytest.importorskip("polarstep.nn", reason="polarstep.nn needs PyTorch")
    assert all(hasattr(nn, name) for name in nn.__all__)
    with pytest.raises(AttributeError, match=r"Status has been renamed: use .*\.TrainingStatus"):
        _ = nn.Status
    with pytest.raises(AttributeError, match=r"'polarstep\.nn' has no attribute 'nothing'"):
        _ = nn.nothing

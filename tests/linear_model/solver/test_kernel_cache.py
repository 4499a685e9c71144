"""Fits where compiled kernels cannot be stored, and caches that fail or are damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import polarstep
from polarstep.linear_model.solver.kernel_cache import compile_with_cache

PACKAGE = Path(polarstep.__file__).parent
NOBODY = 65534  # the user and the group that own no files
FIT = """
import numpy as np
from polarstep import HalfspaceClassifier
from polarstep.linear_model.solver import kernels

X = np.linspace(-1.0, 2.0, 60).reshape(20, 3) ** 2
model = HalfspaceClassifier().fit(X, np.arange(20) % 3 == 0)
print(type(kernels.evaluate._cache).__name__, *model.coef_.ravel().tolist())
"""


def run(code, *command, **environment):
    """Run code in a new process and return its output; fail if the process fails."""
    return subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, cwd="/", env=environment,
    ).stdout  # fmt: skip


def command_without_rights(tmp_path):
    """Return a command prefix and a PYTHONPATH with which a process cannot write to the package."""
    if os.name != "posix":
        pytest.skip("the rights of users are tested on POSIX systems")
    if os.geteuid():
        copy = tmp_path / "package" / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            folder.chmod(0o555)
        return [], str(copy.parent)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, with which root can become nobody")
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    needed = f"import numba, numpy, scipy, sklearn; open({str(PACKAGE / '__init__.py')!r})"
    try:
        run(needed, *command, PATH=os.environ["PATH"])
    except subprocess.CalledProcessError:
        pytest.skip("the user nobody may not read this installation of Python")
    return command, str(PACKAGE.parent)


def test_a_user_without_rights_and_without_a_home_fits_the_same_model(tmp_path):
    """The digits are the same whether kernels are compiled or come from the cache."""
    command, path = command_without_rights(tmp_path)
    closed = tmp_path / "cache"
    closed.mkdir(mode=0o555)
    # Every variable is kept that may influence the digits, such as the threads of the BLAS.
    environment = os.environ | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path / "missing"),
        "XDG_CACHE_HOME": str(tmp_path / "missing"),
        "NUMBA_CACHE_DIR": str(closed),
    }
    cache, *coef = run(FIT, *command, **environment).split()
    assert cache == "NullCache"
    X = np.linspace(-1.0, 2.0, 60).reshape(20, 3) ** 2
    here = polarstep.HalfspaceClassifier().fit(X, np.arange(20) % 3 == 0)
    np.testing.assert_array_equal([float(value) for value in coef], here.coef_[0])
    assert not list(closed.iterdir())


def test_without_a_writable_folder_functions_compile_for_the_process():
    code = """
import tempfile

def refuse(*args, **kwargs):
    raise PermissionError("the folder is not writable")

tempfile.TemporaryFile = refuse  # with which Numba tries whether a folder is writable
import numpy as np
from polarstep.linear_model.solver import kernels

counts = np.zeros(3, np.int64)
kernels.count_indices(np.array([0, 2, 2]), counts)
print(*counts, type(kernels.count_indices._cache).__name__)
"""
    assert run(code, **os.environ) == "1 0 2 NullCache\n"


def test_a_disk_that_is_full_does_not_stop_a_kernel(tmp_path):
    pytest.importorskip("resource", reason="the size of files can be limited on POSIX systems only")
    code = """
import resource
import numpy as np
from polarstep.linear_model.solver import kernels

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # longer files raise an OSError
counts = np.zeros(3, np.int64)
kernels.count_indices(np.array([0, 2, 2]), counts)
print(*counts, type(kernels.count_indices._cache).__name__)
"""
    output = run(code, **os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert output == "1 0 2 FunctionCache\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x05", b"not a cache"], ids=["empty", "cut", "text"]
)
def test_files_that_are_damaged_are_ignored(content, tmp_path):
    code = """
import numpy as np
from polarstep.linear_model.solver import kernels

counts = np.zeros(3, np.int64)
kernels.count_indices(np.array([0, 2, 2]), counts)
print(*counts, *kernels.count_indices.stats.cache_misses.values())
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(code, **environment) == "1 0 2 1\n"
    for path in tmp_path.rglob("*.nbi"):
        path.write_bytes(content)
    assert run(code, **environment) == "1 0 2 1\n"


def test_a_result_is_stored_and_found_again():
    def double(x):
        return 2 * x

    first, second = compile_with_cache(double, nogil=True), compile_with_cache(double, nogil=True)
    assert first(3) == second(3) == 6
    assert sum(second.stats.cache_hits.values()) == 1

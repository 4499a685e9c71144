"""Shared fixtures, and a Hypothesis profile that makes the tests deterministic."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile(
    "polarstep", derandomize=True, deadline=None, max_examples=30, print_blob=False
)
settings.load_profile("polarstep")


@pytest.fixture(autouse=True)
def _same_networks_in_every_run():
    """Seed torch's global generator, from which networks draw their initial weights."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def a9a():
    """Return the a9a data set (Adult, one-hot): X sparse (32561, 123), y in {-1, +1}."""
    from sklearn.datasets import load_svmlight_file

    folder = os.environ.get("POLARSTEP_DATA")
    if folder is None:
        pytest.skip("POLARSTEP_DATA is not set; set it to a folder that contains libsvm/a9a")
    path = Path(folder) / "libsvm" / "a9a"
    if not path.is_file():
        pytest.skip(f"POLARSTEP_DATA does not contain libsvm/a9a: {path} is not a file")
    return load_svmlight_file(str(path), n_features=123)

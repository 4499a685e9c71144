"""Tables: Gaussian problems with the stated moments; real data that are missing or damaged."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarstep import Moments
from polarstep.experiments.data import tables as datasets

# --------------------------------------------------------------------------- made here


@given(
    d=st.integers(2, 12),
    kappa=st.floats(1.0, 1e5),
    separation=st.floats(0.01, 0.99),
    seed=st.integers(0, 100),
)
def test_gaussian_moments_have_the_stated_spectrum_and_separation(d, kappa, separation, seed):
    u, S = datasets.gaussian_moments(d, kappa, separation, seed)
    np.testing.assert_allclose(S, S.T, atol=1e-15)
    values = np.linalg.eigvalsh(S)
    np.testing.assert_allclose(values, np.geomspace(1 / kappa, 1, d), rtol=1e-9)
    assert u @ np.linalg.solve(S, u) == pytest.approx(separation, rel=1e-6)
    assert Moments(u, S).condition_number == pytest.approx(kappa, rel=1e-6)


def test_gaussian_moments_depend_on_the_seed_alone():
    first, again = (datasets.gaussian_moments(5, 10.0, 0.5, 3) for _ in range(2))
    other = datasets.gaussian_moments(5, 10.0, 0.5, 4)
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, different)


def test_the_moments_of_a_sample_approach_those_of_its_population():
    u, S = datasets.gaussian_moments(4, 5.0, 0.5, 0)
    errors = []
    for n in (1_000, 100_000):
        X, y = datasets.gaussian_sample(u, S, n, 1)
        assert set(y) == {-1.0, 1.0}
        assert abs(y.mean()) < 4 / np.sqrt(n)
        z = -y[:, None] * X
        errors.append((np.abs(z.mean(0) - u).max(), np.abs(z.T @ z / n - S).max()))
        # Within a class the covariance is S - u u^T.
        inner = np.cov(X[y > 0].T) - (S - np.outer(u, u))
        assert np.abs(inner).max() < 8 / np.sqrt(n)
    assert max(errors[0]) < 5 / np.sqrt(1_000)
    assert max(errors[1]) < 5 / np.sqrt(100_000)


def test_a_sample_depends_on_the_seed_alone():
    u, S = datasets.gaussian_moments(3, 5.0, 0.5, 0)
    first, again, other = (datasets.gaussian_sample(u, S, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.allclose(first[0], other[0])


# --------------------------------------------------------------------------- breast_cancer


def test_without_a9a_the_real_data_are_breast_cancer(tmp_path):
    assert datasets.real_data(None) == datasets.real_data(tmp_path) == "breast_cancer"
    X, y = datasets.load("breast_cancer", None, None)
    assert X.shape == (569, 30)
    assert set(y) == {0, 1}


def test_a_choice_of_rows_is_the_same_every_time():
    X, y = datasets.load("breast_cancer", None, None)
    some_X, some_y = datasets.load("breast_cancer", None, 40)
    datasets.load.cache_clear()
    again_X, _ = datasets.load("breast_cancer", None, 40)
    assert some_X.shape == (40, 30)
    np.testing.assert_array_equal(some_X, again_X)
    pairs = {(*row, label) for row, label in zip(X, y, strict=True)}
    assert {(*row, label) for row, label in zip(some_X, some_y, strict=True)} <= pairs
    assert datasets.load("breast_cancer", None, 10_000)[0].shape == X.shape


# --------------------------------------------------------------------------- a9a


@pytest.fixture
def published():
    """The bytes of the published file."""
    folder = os.environ.get("POLARSTEP_DATA")
    path = datasets.find_a9a(Path(folder)) if folder else None
    if path is None:
        pytest.skip("POLARSTEP_DATA does not name a folder that holds libsvm/a9a")
    return path.read_bytes()


def test_a9a_is_read_from_either_place(tmp_path, published):
    (tmp_path / "one" / "libsvm").mkdir(parents=True)
    (tmp_path / "one" / "libsvm" / "a9a").write_bytes(published)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a9a").write_bytes(published)
    for folder in ("one", "two"):
        X, y = datasets.a9a(tmp_path / folder)
        assert X.shape == (32_561, 123)
        assert set(y) == {-1.0, 1.0}
        assert set(X.data) == {1.0}


def test_a_missing_a9a_says_how_to_fetch_it(tmp_path):
    with pytest.raises(ValueError, match="neither libsvm/a9a nor a9a") as caught:
        datasets.load("a9a", tmp_path, None)
    assert f"polarstep data fetch a9a --data {tmp_path}" in str(caught.value)


def refusal(folder, content):
    """Return the message about a file with this content in the place of a9a."""
    (folder / "libsvm").mkdir()
    (folder / "libsvm" / "a9a").write_bytes(content)
    with pytest.raises(ValueError, match="truncated or altered") as caught:
        datasets.load("a9a", folder, None)
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"-1 3:1 11:1\n+1 5:1 7:1\n", b"\x00\xff" * 100])
def test_a_file_that_is_not_a9a_is_refused(tmp_path, content):
    message = refusal(tmp_path, content)
    assert f"{len(content):,} bytes" in message
    assert "polarstep data fetch a9a" in message


@pytest.mark.parametrize("change", ["truncated", "altered", "lengthened"])
def test_a_damaged_a9a_is_refused(tmp_path, published, change):
    content = {
        "truncated": published[: len(published) // 2],
        "altered": published.replace(b"+1 ", b"-1 ", 1),
        "lengthened": published + published[:71],
    }[change]
    assert f"{len(content):,} bytes" in refusal(tmp_path, content)


def test_an_a9a_that_cannot_be_read_is_an_os_error(tmp_path):
    path = tmp_path / "a9a"
    if os.geteuid() == 0 and Path("/proc/self/mem").exists():
        path.symlink_to("/proc/self/mem")  # a file whose first page not even root can read
    else:
        path.write_text("")
        path.chmod(0)
    with pytest.raises(OSError, match=r"\[Errno"):
        datasets.load("a9a", tmp_path, None)

"""Data files and downloads, and the command line's answers to what it cannot do."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from polarstep import Moments
from polarstep.experiments import datasets
from polarstep.experiments.commands import polarstep


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that offers a folder; (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


@pytest.fixture
def offered(server, monkeypatch):
    """A data set "small" of one file, with its checksum, as the server has it."""
    folder, address = server
    (folder / "small").write_bytes(b"-1 1:1\n+1 2:1\n")
    digest = hashlib.sha256(b"-1 1:1\n+1 2:1\n").hexdigest()
    monkeypatch.setitem(datasets.DOWNLOADS, "small", {"small": digest})
    return folder / "small", address


def test_a_download_is_kept_and_not_repeated(offered, tmp_path):
    source, address = offered
    (path,) = datasets.fetch("small", tmp_path / "data", base_url=address)
    assert path == tmp_path / "data" / "libsvm" / "small"
    assert path.read_bytes() == source.read_bytes()
    source.unlink()
    assert datasets.fetch("small", tmp_path / "data", base_url=address) == [path]


def test_a_download_with_another_checksum_is_not_kept(offered, tmp_path):
    source, address = offered
    source.write_bytes(b"-1 1:1\n")
    with pytest.raises(ValueError, match="hash"):
        datasets.fetch("small", tmp_path / "data", base_url=address, retries=0)
    assert not (tmp_path / "data" / "libsvm" / "small").exists()


def test_a_server_that_does_not_answer(offered, tmp_path):
    with pytest.raises(OSError, match="refused"):
        datasets.fetch("small", tmp_path, base_url="http://127.0.0.1:9/", retries=0)
    assert not (tmp_path / "libsvm" / "small").exists()


def test_a_truncated_file_is_refused(tmp_path):
    (tmp_path / "a9a").write_text("-1 3:1 11:1 14:1\n-1 5:1 7")
    with pytest.raises(ValueError, match=r"truncated or altered.*polarstep data fetch a9a"):
        datasets.a9a(tmp_path)


def test_a_missing_file_says_how_to_fetch_it(tmp_path):
    with pytest.raises(ValueError, match=r"neither libsvm/a9a nor a9a.*polarstep data fetch"):
        datasets.a9a(tmp_path)
    assert datasets.real_data(tmp_path) == datasets.real_data(None) == "breast_cancer"


def test_the_real_a9a(a9a):
    X, y = datasets.a9a(Path(os.environ["POLARSTEP_DATA"]))
    assert X.shape == a9a[0].shape == (32561, 123)
    np.testing.assert_array_equal(y, a9a[1])


def test_gaussian_problems_are_what_they_say():
    u, S = datasets.gaussian_moments(12, 300.0, 0.4, 5)
    moments = Moments(u, S)
    assert moments.condition_number == pytest.approx(300, rel=1e-8)
    assert pytest.approx(1.0) == moments.L
    assert moments.rho_star == pytest.approx(-0.4)
    X, y = datasets.gaussian_sample(u, S, 200_000, 0)
    Z = -y[:, None] * X
    np.testing.assert_allclose(Z.mean(axis=0), u, atol=0.01)
    np.testing.assert_allclose(Z.T @ Z / len(Z), S, atol=0.01)


# --------------------------------------------------------------------------- the command line


def ask(*arguments):
    return CliRunner().invoke(polarstep, list(map(str, arguments)))


@pytest.mark.parametrize("command", [[], ["reproduce"], ["report"], ["data"], ["data", "fetch"]])
def test_help(command):
    answer = ask(*command, "--help")
    assert answer.exit_code == 0
    assert "Usage: " in answer.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "nothing"], "'halfspaces', 'network', 'all'"),
        (["reproduce", "--preset", "huge"], "'quick', 'paper'"),
        (["reproduce", "--seeds", "0"], "x>=1"),
        (["reproduce", "--data", "no/such/folder"], "does not exist"),
        (["report", "no/such/folder"], "does not exist"),
        (["data", "fetch", "mnist"], "'a9a'"),
    ],
)
def test_wrong_arguments(arguments, words):
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert words in answer.output


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    answer = ask("reproduce", "network", "--out", tmp_path / "file" / "out")
    assert answer.exit_code == 1
    assert "`--out` must be a folder that can be written" in answer.output


def test_a_truncated_data_file(tmp_path):
    (tmp_path / "a9a").write_text("-1 3:1\n")
    answer = ask("reproduce", "network", "--data", tmp_path, "--out", tmp_path / "out")
    assert answer.exit_code == 1
    assert "truncated or altered" in answer.output


def test_a_report_of_an_empty_folder(tmp_path):
    answer = ask("report", tmp_path)
    assert answer.exit_code == 1
    assert "holds no finished run" in answer.output


def test_without_the_extra_the_command_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from polarstep.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'polarstep[reproduce]'" in done.stderr

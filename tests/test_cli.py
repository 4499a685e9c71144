"""The command line: its commands, its errors, and its exit codes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import polarstep
from polarstep.experiments.commands import polarstep as command
from polarstep.experiments.data import downloads
from polarstep.experiments.records import read_rows
from polarstep.experiments.registry import EXPERIMENTS
from small_runs import TINY

TESTS = str(Path(__file__).parent)


def ask(*arguments, **environment):
    environment = {"POLARSTEP_DATA": None, **environment}
    return CliRunner().invoke(command, list(map(str, arguments)), env=environment)


@pytest.fixture
def tiny(monkeypatch):
    """Make the preset "quick" of every experiment small."""
    for name, sizes in TINY.items():
        monkeypatch.setitem(EXPERIMENTS[name].sizes, "quick", sizes)


# --------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], ["reproduce", "report", "data", "--version"]),
        (
            ["reproduce"],
            ["--preset", "--data", "--out", "--seeds", "--resume", "--jobs", "POLARSTEP_DATA"],
        ),
        (["report"], ["DIR", "--figures FOLDER"]),
        (["data"], ["fetch"]),
        (["data", "fetch"], ["a9a", "cifar10", "--data"]),
    ],
)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(arguments, options, flag):
    answer = ask(*arguments, flag)
    assert answer.exit_code == 0
    assert answer.output.startswith("Usage: ")
    for option in options:
        assert option in answer.output


def test_the_version():
    answer = ask("--version")
    assert answer.exit_code == 0
    assert polarstep.__version__ in answer.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "nothing"], "'halfspaces', 'network', 'deep', 'metric', 'all'"),
        (["reproduce", "--preset", "huge"], "'quick', 'paper'"),
        (["reproduce", "--seeds", "0"], "x>=1"),
        (["reproduce", "--seeds", "many"], "not a valid integer"),
        (["reproduce", "--jobs", "0"], "x>=1"),
        (["reproduce", "--data", "no/such/folder"], "does not exist"),
        (["reproduce", "--data", __file__], "is a file"),
        (["reproduce", "--fast"], "No such option"),
        (["report"], "Missing argument"),
        (["report", "no/such/folder"], "does not exist"),
        (["report", __file__], "is a file"),
        (["data", "fetch"], "Missing argument"),
        (["data", "fetch", "mnist"], "'a9a', 'cifar10'"),
        (["data", "fetch", "a9a", "--data", __file__], "is a file"),
        (["make"], "No such command"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_usage_errors(arguments, words):
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert words in answer.output
    assert "Usage: " in answer.output


# --------------------------------------------------------------------------- reproduce


def test_rows_and_a_report(tmp_path, tiny):
    out = tmp_path / "a" / "b"
    answer = ask("reproduce", "network", "--out", out, "--jobs", "1")
    assert answer.exit_code == 0
    assert f"Report: {out / 'report.html'}" in answer.output
    assert (out / "report.html").stat().st_size
    assert len(list(read_rows(out / "network.jsonl"))) == 4
    assert not (out / "halfspaces.jsonl").exists()


def test_rows_are_kept_or_set_aside_as_asked(tmp_path, tiny):
    arguments = ["reproduce", "network", "--out", tmp_path, "--jobs", "1"]
    ask(*arguments)
    rows = (tmp_path / "network.jsonl").read_bytes()

    resumed = ask(*arguments, "--resume")
    assert resumed.exit_code == 0
    assert "set aside" not in resumed.output
    assert (tmp_path / "network.jsonl").read_bytes() == rows

    anew = ask(*arguments)
    assert anew.exit_code == 0
    assert "--resume would keep them" in anew.output
    (aside,) = tmp_path.glob("network.*.old")
    assert str(aside) in anew.output
    assert aside.read_bytes() == rows
    assert len(list(read_rows(tmp_path / "network.jsonl"))) == 4


def test_seeds_are_random_starts(tmp_path, tiny, monkeypatch):
    from polarstep.experiments.halfspaces import plan as halfspaces

    for name in halfspaces.VARIANTS.keys() - {"softplus"}:
        monkeypatch.delitem(halfspaces.VARIANTS, name)
    answer = ask("reproduce", "halfspaces", "--out", tmp_path, "--jobs", 1, "--seeds", 3)
    assert answer.exit_code == 0
    runs = [r["spec"] for r in read_rows(tmp_path / "halfspaces.jsonl")]
    runs = [spec for spec in runs if spec["stage"] == "run"]
    assert {spec["seed"] for spec in runs} == {0, 1, 2}
    assert len(runs) == 3 * 2 * 2 * len(halfspaces.RUNS)


@pytest.mark.parametrize("below", ["file", "file/out"])
def test_a_folder_that_cannot_be_written(tmp_path, below):
    (tmp_path / "file").write_text("")
    answer = ask("reproduce", "network", "--out", tmp_path / below)
    assert answer.exit_code == 1
    assert "Error: polarstep: `--out` must be a folder that can be written" in answer.output


@pytest.mark.parametrize("place", ["option", "environment"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_damaged_data(tmp_path, tiny, place, n_jobs):
    (tmp_path / "a9a").write_text("-1 3:1\n")
    arguments = ["reproduce", "network", "--out", tmp_path / "out", "--jobs", n_jobs]
    if place == "option":
        answer = ask(*arguments, "--data", tmp_path)
    else:
        answer = ask(*arguments, POLARSTEP_DATA=str(tmp_path))
    assert answer.exit_code == 1
    assert "truncated or altered" in answer.output
    assert f"polarstep data fetch a9a --data {tmp_path}" in answer.output


def test_the_option_data_takes_precedence_over_the_environment(tmp_path, tiny):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a9a").write_text("-1 3:1\n")
    (tmp_path / "empty").mkdir()
    arguments = ["reproduce", "network", "--out", tmp_path / "out", "--jobs", 1]
    answer = ask(*arguments, "--data", tmp_path / "empty", POLARSTEP_DATA=str(tmp_path / "damaged"))
    assert answer.exit_code == 0


# --------------------------------------------------------------------------- report, data


def test_a_report_of_nothing_says_what_to_run(tmp_path):
    answer = ask("report", tmp_path)
    assert answer.exit_code == 1
    assert "holds no finished run" in answer.output
    assert f"polarstep reproduce --out {tmp_path}" in answer.output
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_redrawn_from_the_rows_alone(tmp_path, tiny):
    ask("reproduce", "network", "--out", tmp_path / "made", "--jobs", 1)
    rows = (tmp_path / "made" / "network.jsonl").read_bytes()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "network.jsonl").write_bytes(rows)
    answer = ask("report", tmp_path / "moved")
    assert answer.exit_code == 0
    assert answer.output == f"Report: {tmp_path / 'moved' / 'report.html'}\n"
    pages = [(tmp_path / name / "report.html").read_text("utf-8") for name in ("made", "moved")]
    without_dates = [page.rpartition("<footer>")[0] for page in pages]
    assert without_dates[0] == without_dates[1]


def test_a_report_exports_its_figures_and_rows_when_asked_to(tmp_path, tiny):
    ask("reproduce", "network", "--out", tmp_path, "--jobs", 1)
    folder = tmp_path / "figures"
    answer = ask("report", tmp_path, "--figures", folder)
    assert answer.exit_code == 0
    assert f"Figures and rows: {folder}\n" in answer.output
    assert {path.name for path in folder.iterdir()} == {"network.svg", "network.png", "network.csv"}


def test_a_report_that_cannot_be_written(tmp_path, tiny):
    ask("reproduce", "network", "--out", tmp_path, "--jobs", 1)
    (tmp_path / "report.html.part").mkdir()
    answer = ask("report", tmp_path)
    assert answer.exit_code == 1
    assert "report.html.part" in answer.output


def test_a_download_to_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    answer = ask("data", "fetch", "a9a", "--data", tmp_path / "file" / "below")
    assert answer.exit_code == 1
    assert "Error: a9a could not be downloaded: " in answer.output


def test_data_that_are_there_are_not_downloaded(tmp_path, monkeypatch):
    import hashlib

    (tmp_path / "libsvm").mkdir()
    published, files = downloads.DOWNLOADS["a9a"], {}
    for name in published.files:
        (tmp_path / "libsvm" / name).write_text(name)
        files[name] = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    monkeypatch.setitem(downloads.DOWNLOADS, "a9a", replace(published, files=files))
    answer = ask("data", "fetch", "a9a", "--data", tmp_path)
    assert answer.exit_code == 0
    assert answer.output.split() == [str(tmp_path / "libsvm" / name) for name in files]


# --------------------------------------------------------------------------- as a process


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "start", [["-c", "from polarstep.cli import main; main()"], ["-m", "polarstep"]], ids=" ".join
)
def test_the_command_and_the_package_start_the_same(start):
    done = subprocess.run(
        [sys.executable, *start, "--version"], capture_output=True, text=True, check=True
    )
    assert polarstep.__version__ in done.stdout


def test_help_loads_nothing_that_only_runs_and_reports_need():
    code, printed, _ = python(
        "import sys, polarstep.cli as cli\n"
        "try: cli.main()\n"
        "finally: print(sorted({'torch', 'matplotlib', 'jinja2', 'tqdm'} & sys.modules.keys()))",
        "--help",
    )
    assert code == 0
    assert printed.endswith("[]\n")


@pytest.mark.parametrize("missing", ["click", "matplotlib", "jinja2", "tqdm"])
def test_without_the_extra_the_command_says_what_to_install(tmp_path, missing):
    """Some packages are imported at the start, some only by the code that uses them."""
    without = (
        f"import sys; sys.modules[{missing!r}] = None; sys.path.insert(0, {TESTS!r});"
        "from polarstep import cli; import small_runs; small_runs.make_small(); cli.main()"
    )
    code, _, printed = python(
        without, "reproduce", "network", "--out", tmp_path, "--jobs", 1, "--resume"
    )
    assert code == 1
    assert "Traceback" not in printed
    assert f"needs '{missing}'" in printed
    assert "pip install 'polarstep[reproduce]'" in printed


def test_downloads_without_the_extra_say_what_to_install(tmp_path):
    code, _, printed = python(
        "import sys; sys.modules['pooch'] = None; from polarstep.cli import main; main()",
        *("data", "fetch", "a9a", "--data", tmp_path),
    )
    assert code == 1
    assert "needs 'pooch'" in printed


def test_a_missing_module_of_the_package_is_not_taken_for_an_extra():
    broken = (
        "import sys; sys.modules['polarstep.losses'] = None; import polarstep.cli as c; c.main()"
    )
    code, _, printed = python(broken, "--help")
    assert code == 1
    assert "pip install" not in printed
    assert "polarstep.losses" in printed

"""Rows are read by experiment: those of one preset, and each run once."""

import json

from made_rows import row
from polarstep.experiments.report.rows import Rows


def write(folder, name, *made):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(m) + "\n" for m in made))


def test_rows_of_the_preset_run_last_are_read_and_no_others(tmp_path):
    old = [row({"stage": "reference", "n": n}, {}, preset="paper") for n in range(3)]
    new = [row({"stage": "reference", "n": n}, {}) for n in range(2)]
    write(tmp_path, "halfspaces", *old, *new)
    assert Rows.read(tmp_path).of("halfspaces") == tuple(new)
    write(tmp_path, "halfspaces", *new, *old)
    assert Rows.read(tmp_path).of("halfspaces") == tuple(old)


def test_a_run_recorded_twice_counts_once(tmp_path):
    once = row({"stage": "reference"}, {"fun": 1.0})
    write(tmp_path, "network", once, once)
    assert Rows.read(tmp_path).of("network") == (once,)


def test_a_folder_without_rows_is_empty(tmp_path):
    assert Rows.read(tmp_path).all == ()

"""Records: complete rows are kept and incomplete ones skipped, however the writing ended."""

import json
import math
import os
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from polarstep.experiments import records
from polarstep.experiments.records import Record, key, read_rows

NAMES = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(NAMES, x, max_size=3)
)


def as_json(value):
    """Return what a reader should find: non-finite numbers are None."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_what_is_appended_is_read_back(tmp_path_factory, written):
    record = Record(tmp_path_factory.mktemp("record"), "some")
    for number, outcome in enumerate(written):
        record.append({"number": number}, outcome)
    read = record.rows()
    assert [row["outcome"] for row in read] == [as_json(outcome) for outcome in written]
    assert [row["spec"] for row in read] == [{"number": n} for n in range(len(written))]
    assert [row["key"] for row in read] == [key({"number": n}) for n in range(len(written))]


def test_arrays_and_numpy_numbers_become_plain_json(tmp_path):
    record = Record(tmp_path, "some")
    record.append(
        {},
        {
            "matrix": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
            "numbers": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64("nan")),
            "nested": [{"x": np.arange(2)}],
        },
    )
    (row,) = record.rows()
    assert row["outcome"] == {
        "matrix": [[1.0, None], [None, None]],
        "numbers": [0.5, 3, True, None],
        "nested": [{"x": [0, 1]}],
    }


def test_a_row_records_versions_and_the_machine(tmp_path):
    import sklearn

    import polarstep

    row = Record(tmp_path, "some").append({}, {})
    assert row["environment"]["polarstep"] == polarstep.__version__
    assert row["environment"]["numpy"] == np.__version__
    assert row["environment"]["scikit-learn"] == sklearn.__version__
    assert f"{os.cpu_count()} cores" in row["environment"]["machine"]


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_an_incomplete_row_is_skipped_and_the_next_row_has_its_own_line(tmp_path, kept):
    record = Record(tmp_path, "some")
    for number in range(3):
        record.append({"number": number}, {"value": number})
    lines = record.path.read_bytes().splitlines(keepends=True)
    record.path.write_bytes(b"".join(lines[:2]) + lines[2][: int(kept * len(lines[2]))])

    assert [row["spec"]["number"] for row in record.rows()] == [0, 1]
    Record(tmp_path, "some").append({"number": 3}, {"value": 3})
    assert [row["spec"]["number"] for row in record.rows()] == [0, 1, 3]
    assert record.path.read_bytes().startswith(b"".join(lines[:2]))


def test_a_complete_row_without_a_line_break_counts(tmp_path):
    record = Record(tmp_path, "some")
    record.append({"number": 0}, {})
    record.path.write_bytes(record.path.read_bytes().rstrip(b"\n"))
    record.append({"number": 1}, {})
    assert [row["spec"]["number"] for row in record.rows()] == [0, 1]


def test_lines_that_are_not_rows_are_skipped(tmp_path):
    record = Record(tmp_path, "some")
    record.append({"number": 0}, {})
    with record.path.open("ab") as file:
        file.write(b'\n17\n[]\n{"key": 1}\n\xff\xfe\x00\n"text"\nnull\n')
    record.append({"number": 1}, {})
    assert [row["spec"]["number"] for row in record.rows()] == [0, 1]


def test_a_missing_file_has_no_rows(tmp_path):
    assert list(read_rows(tmp_path / "missing.jsonl")) == []


@given(st.dictionaries(NAMES, SCALARS.filter(lambda x: x == x), min_size=2, max_size=5), st.data())
def test_keys_change_with_every_setting_and_not_with_their_order(spec, data):
    assert key(dict(reversed(spec.items()))) == key(spec)
    name = data.draw(st.sampled_from(sorted(spec)))
    value = data.draw(SCALARS.filter(lambda x: json.dumps(x) != json.dumps(spec[name])))
    without = {k: v for k, v in spec.items() if k != name}
    assert len({key(spec), key({**spec, name: value}), key(without)}) == 3


def test_keys_change_with_settings_inside_settings():
    problem = {"data": "gaussian", "n": 10}
    assert key({"problem": problem}) != key({"problem": {**problem, "n": 11}})


def test_keys_change_with_the_version(monkeypatch):
    before = key({"x": 1})
    monkeypatch.setattr(records, "__version__", "99.0")
    assert key({"x": 1}) != before


def test_set_aside_loses_nothing(tmp_path):
    record = Record(tmp_path, "some")
    assert record.set_aside() is None  # nothing to keep
    kept = []
    for number in range(3):
        record.append({"number": number}, {})
        before = record.path.read_bytes()
        kept.append((record.set_aside(), before))
        assert record.rows() == []
    assert len({path for path, _ in kept}) == 3
    assert all(path.read_bytes() == before for path, before in kept)
    assert sorted(tmp_path.iterdir()) == sorted([record.path, *(path for path, _ in kept)])


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"`--out` must be a folder that can be written") as caught:
        Record(tmp_path / place, "some")
    assert repr(str(tmp_path / Path(place))) in str(caught.value)
    assert "Choose another folder" in str(caught.value)


def test_a_record_whose_place_is_taken_by_a_folder_is_refused(tmp_path):
    (tmp_path / "some.jsonl").mkdir()
    with pytest.raises(OSError, match="`--out`"):
        Record(tmp_path, "some")


def test_a_folder_is_made_with_its_parents(tmp_path):
    Record(tmp_path / "a" / "b", "some").append({}, {})
    assert (tmp_path / "a" / "b" / "some.jsonl").stat().st_size

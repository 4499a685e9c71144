"""Records of finished runs: files of JSON lines that are appended to and never rewritten."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..validation import complaint

Row = dict[str, Any]


def key(spec: dict[str, Any]) -> str:
    """Return the key of a run: a hash of everything that its outcome depends on.

    The hash covers the spec and the version of polarstep.
    """
    text = json.dumps({**spec, "polarstep": __version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def environment() -> dict[str, Any]:
    """Return the versions of the packages and a description of the machine."""
    packages = {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
    with suppress(PackageNotFoundError):
        packages["torch"] = version("torch")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return {
        "polarstep": __version__,
        "python": platform.python_version(),
        **packages,
        "machine": machine,
    }


class Record:
    """The rows of one experiment in ``folder/<experiment>.jsonl``.

    If a process was killed while it wrote a line, the incomplete line is ignored by readers, and a
    line break is added to it before the next row is appended.
    """

    def __init__(self, folder: Path, experiment: str) -> None:
        self.path = folder / f"{experiment}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a"):
                pass
        except OSError as error:
            got = f"{str(folder)!r} ({error.strerror})"
            advice = "Choose another folder."
            must = "be a folder that can be written"
            raise OSError(complaint("polarstep", "--out", must, got, advice)) from None
        self._environment = environment()

    def rows(self) -> list[Row]:
        """Return all complete rows, oldest first."""
        return list(read_rows(self.path))

    def append(self, spec: dict[str, Any], outcome: dict[str, Any]) -> Row:
        """Append the row of a finished run and return it; it is on disk when this returns."""
        row = {
            "key": key(spec),
            "spec": spec,
            "outcome": _plain(outcome),
            "environment": self._environment,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self.path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def set_aside(self) -> Path | None:
        """Move the rows so far to another file and return its path; None if there are no rows."""
        if not self.path.stat().st_size:
            return None
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        aside = self.path.with_name(f"{self.path.stem}.{stamp}.old")
        self.path.rename(aside)
        self.path.touch()
        return aside


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the complete rows of a record; lines that are not rows in JSON are skipped."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict) and {"key", "spec", "outcome"} <= row.keys():
                yield row


def _plain(value: Any) -> Any:
    """Convert a value to the types of JSON: arrays to lists, NaN and infinity to null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""Files of JSON that keep what takes long to find: optima, settings of the peers, and results.

New entries go to benchmarks/results. `stored` also reads benchmarks/linear/known, which holds the
optima and the settings that were found before the last publication.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
KNOWN = Path(__file__).parent / "known"


def stored(name: str) -> dict[str, Any]:
    return {**read(KNOWN / name), **read(RESULTS / name)}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def store(name: str, key: str, value: Any) -> None:
    """Add one entry to a file in benchmarks/results, replacing the file atomically."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**read(path), key: value}, indent=1))
    new.replace(path)

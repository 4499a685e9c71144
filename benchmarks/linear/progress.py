"""How long the races take: an estimate beforehand, a bar, and which of them are finished."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import race
from settings import FILE, Setting
from storage import store, stored
from tqdm import tqdm

import polarstep

SECONDS = "linear_seconds.json"
OVERHEAD = 1.0  # seconds of a race besides the fits


def remember(label: str, seconds: dict[str, float]) -> None:
    """Store the CPU seconds that the preparation and the race of a label took."""
    store(SECONDS, label, {**stored(SECONDS).get(label, {}), **seconds})


def estimate(label: str, rounds: int) -> float | None:
    """Return the seconds that a race will take: those of the last one, or from the settings."""
    known = stored(SECONDS).get(label, {})
    if "race" in known:
        return known["preparation"] + known["race"]
    for key, found in stored(FILE).items():
        if key.startswith(f"{label}, "):
            seconds = race.planned_seconds({n: Setting(**s) for n, s in found.items()}, rounds)
            return OVERHEAD + known.get("preparation", 0.0) + seconds
    return None


class Bar:
    """A progress bar over races, in seconds of their estimates."""

    def __init__(self, labels: list[str], rounds: int) -> None:
        found = {label: estimate(label, rounds) for label in labels}
        known = [seconds for seconds in found.values() if seconds is not None]
        usual = sum(known) / len(known) if known else 60.0
        self.seconds = {label: usual if s is None else s for label, s in found.items()}
        total = sum(self.seconds.values())
        new = len(labels) - len(known)
        note = f"; {new} of them never ran here, so that their settings are searched" if new else ""
        print(f"{len(labels)} races, about {total / 60:.0f} minutes{note}.")
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
        self.bar = tqdm(total=total, bar_format=form, desc=f"about {total / 60:.0f} minutes")

    def __enter__(self) -> Bar:
        return self

    def finish(self, label: str) -> None:
        self.bar.update(self.seconds[label])

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def stamp(*options: Any) -> str:
    """Return a hash of what a result depends on: code, versions and options."""
    package, here = Path(polarstep.__file__).parent, Path(__file__).parent
    code = hashlib.sha256()
    for folder in (package / "linear_model", package / "methods", here):
        for path in sorted(folder.rglob("*.py")):
            if path.name not in ("report.py", "publish.py", "progress.py", "__main__.py"):
                code.update(path.read_bytes())
    for path in sorted(package.glob("*.py")):
        code.update(path.read_bytes())
    packages = {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "numba")}
    text = json.dumps([code.hexdigest(), packages, platform.node(), options])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

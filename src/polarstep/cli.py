"""The command line: polarstep reproduce | report | data."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from .experiments.commands import polarstep

        polarstep()  # may import more of the extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("polarstep"):
            raise
        sys.exit(
            f"polarstep: the command line needs {error.name!r}, which is not installed. "
            "Run: pip install 'polarstep[reproduce]'"
        )

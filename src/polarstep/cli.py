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
        who = "reproduce deep" if error.name == "torch" else "the command line"
        extras = "reproduce,torch" if error.name == "torch" else "reproduce"
        sys.exit(
            f"polarstep: {who} needs {error.name!r}, which is not installed. "
            f"Run: pip install 'polarstep[{extras}]'"
        )

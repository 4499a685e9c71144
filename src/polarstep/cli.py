"""The entry point of the command ``polarstep``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; if a package is missing, exit with advice on how to install it."""
    try:
        from .experiments.commands import polarstep

        polarstep()  # each command imports further packages when it runs
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("polarstep"):
            raise
        extras = "reproduce,torch" if error.name == "torch" else "reproduce"
        sys.exit(
            f"polarstep: this command needs {error.name!r}, which is not installed. "
            f"Run: pip install 'polarstep[{extras}]'"
        )

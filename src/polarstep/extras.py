"""What an optional dependency is for, said where it is missing."""

from __future__ import annotations


def require_torch(who: str) -> None:
    """Go on if PyTorch can be imported, or say what to install.

    Raises
    ------
    ModuleNotFoundError
        PyTorch is not installed. What goes wrong inside of an installed one is raised as it is.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        text = f"{who} needs PyTorch, which is not installed. Run: pip install 'polarstep[torch]'"
        raise ModuleNotFoundError(text, name="torch") from None


def require_dask(who: str) -> None:
    """Go on if Dask can be imported, or say what to install.

    Raises
    ------
    ModuleNotFoundError
        Dask is not installed. What goes wrong inside of an installed one is raised as it is.
    """
    try:
        import dask.array  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "dask.array"):
            raise
        text = f"{who} needs Dask, which is not installed. Run: pip install 'polarstep[dask]'"
        raise ModuleNotFoundError(text, name="dask") from None

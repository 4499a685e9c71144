"""Checks for optional dependencies, whose errors say how to install a missing one."""

from __future__ import annotations

from importlib import import_module


def require_torch(who: str) -> None:
    """Raise an error that says how to install PyTorch, unless it can be imported.

    Parameters
    ----------
    who : str
        The caller that the message names.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed. An error inside an installed PyTorch is raised unchanged.
    """
    _require("torch", "PyTorch", who)


def require_dask(who: str) -> None:
    """Raise an error that says how to install Dask, unless dask.array can be imported.

    Parameters
    ----------
    who : str
        The caller that the message names.

    Raises
    ------
    ModuleNotFoundError
        If Dask is not installed. An error inside an installed Dask is raised unchanged.
    """
    _require("dask.array", "Dask", who)


def _require(module: str, name: str, who: str) -> None:
    package = module.split(".")[0]
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (package, module):
            raise
        text = (
            f"{who} needs {name}, which is not installed. Run: pip install 'polarstep[{package}]'"
        )
        raise ModuleNotFoundError(text, name=package) from None

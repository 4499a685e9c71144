"""Checks for optional dependencies, whose errors say how to install a missing one."""

from __future__ import annotations

from importlib import import_module
from typing import Any


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


def require_skl2onnx(who: str) -> None:
    """Raise an error that says how to install skl2onnx, unless it can be imported.

    Parameters
    ----------
    who : str
        The caller that the message names.

    Raises
    ------
    ModuleNotFoundError
        If skl2onnx is not installed. An error inside an installed skl2onnx is raised unchanged.
    """
    _require("skl2onnx", "skl2onnx", who, "'polarstep[onnx]'")


def require_pandas(who: str) -> Any:
    """Return the module pandas, or raise an error that says how to install it.

    Parameters
    ----------
    who : str
        The caller that the message names.

    Returns
    -------
    module
        pandas.

    Raises
    ------
    ModuleNotFoundError
        If pandas is not installed. An error inside an installed pandas is raised unchanged.
    """
    return _require("pandas", "pandas", who, "pandas")


def _require(module: str, name: str, who: str, distribution: str | None = None) -> Any:
    """Import a module, or raise an error that says what to install."""
    package = module.split(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (package, module):
            raise
        wanted = distribution or f"'polarstep[{package}]'"
        text = f"{who} needs {name}, which is not installed. Run: pip install {wanted}"
        raise ModuleNotFoundError(text, name=package) from None

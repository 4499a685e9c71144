"""Compilation of kernels whose cache on disk may fail at any time without failing a fit.

Numba raises an error if it cannot write to its cache: at the decoration of a function if no folder
is writable, and at its first call if the disk is full. The compiled function exists all the same.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import wraps
from typing import Any

import numba

_CACHE_ERRORS = OSError, EOFError, pickle.PickleError  # the last two come from truncated files


def compile_with_cache(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function when it is first called, and keep the result for later processes.

    If the result cannot be stored or read, every process compiles the function anew.

    Parameters
    ----------
    function : callable
        A function that Numba can compile.
    **options
        Options of `numba.njit`. Numba's cache does not notice if they change, unless they are
        given in the file that defines the function.
    """
    try:
        kernel = numba.njit(**options, cache=True)(function)
    except RuntimeError:  # no folder is writable
        return numba.njit(**options)(function)
    # Numba has no public name for the cache of a function. Without one, it stays as it is.
    cache = getattr(kernel, "_cache", None)
    for name in ("load_overload", "save_overload"):
        if hasattr(cache, name):
            setattr(cache, name, _or_none(getattr(cache, name)))
    return kernel


def _or_none(access: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that returns None where access to the cache fails."""

    @wraps(access)
    def guarded(*arguments: Any) -> Any:
        try:
            return access(*arguments)
        except _CACHE_ERRORS:
            return None

    return guarded

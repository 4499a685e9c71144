"""Messages of a fit: lines of progress, and a warning about runs that did not converge."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..result import Progress, Result, Status


def progress_printer(who: str) -> Callable[[Progress], None]:
    """Return a callback that prints one line for each iteration."""

    def show(row: Progress) -> None:
        passes = "pass" if row.passes == 1 else "passes"
        print(
            f"[{who}] iteration {row.iteration}: f = {row.fun:.12g}, "
            f"gradient norm {row.grad_norm:.2e}, {row.passes} {passes} over X, {row.seconds:.2f} s"
        )

    return show


def warn_unless_converged(
    results: Sequence[Result],
    labels: Sequence[Any],
    who: str,
    *,
    stacklevel: int,
    names: Sequence[str] | None = None,
) -> None:
    """Issue one ConvergenceWarning that names the classes whose runs did not converge.

    Parameters
    ----------
    results : sequence of Result
        One result for two classes, or one for each class.
    labels : sequence
        The classes to which the results belong; ignored if there is one result.
    who : str
        The name of the estimator.
    stacklevel : int
        How many frames above this function the warning points to.
    names : sequence of str, optional
        The names of the features.
    """
    failed = [k for k, result in enumerate(results) if not result.success]
    if not failed:
        return
    which = "" if len(results) == 1 else f" (classes {[labels[k] for k in failed]})"
    advice = " ".join(dict.fromkeys(_advice(results[k], names) for k in failed))
    gaps = [results[k].gap for k in failed if results[k].status is not Status.separable]
    gaps = [gap for gap in gaps if not np.isnan(gap)]
    distance = f" The relative suboptimality is about {max(gaps):.1e}." if gaps else ""
    text = f"{who}{which}: {advice}{distance}"
    warnings.warn(text, ConvergenceWarning, stacklevel=stacklevel + 1)


def _advice(result: Result, names: Sequence[str] | None) -> str:
    """Return the advice of a status; for separable classes, with the features that separate."""
    if result.separation is None:
        return result.status.value
    leading = result.separation.describe(names)
    return f"{result.status.value} The direction is led by {leading}."

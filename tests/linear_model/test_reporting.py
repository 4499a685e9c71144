"""Lines of progress, and the warning about runs that did not converge."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from polarstep import Status
from polarstep.linear_model.reporting import progress_printer, warn_unless_converged
from polarstep.result import Progress, Result

ROW = Progress(3, np.ones(2), 0.25, 1e-3, 1.0, 0.0, 1, 0.5)
DONE = Result.from_rows([ROW], status=Status.converged, method="whitened")


def test_a_line_names_the_estimator_and_the_numbers(capsys):
    progress_printer("HalfspaceClassifier, class 2")(ROW)
    expected = (
        "[HalfspaceClassifier, class 2] iteration 3: f = 0.25, gradient norm 1.00e-03, "
        "1 pass over X, 0.50 s\n"
    )
    assert capsys.readouterr().out == expected


def test_converged_runs_give_no_warning():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for status in (Status.converged, Status.rounding, Status.length_capped):
            warn_unless_converged([replace(DONE, status=status)], ["a"], "fit", stacklevel=1)
    assert seen == []


def test_the_warning_names_classes_reasons_and_the_largest_gap():
    results = [
        DONE,
        replace(DONE, status=Status.max_iter),
        replace(DONE, status=Status.stalled, gap=2e-2),
        replace(DONE, status=Status.max_iter, gap=1e-4),
    ]
    with pytest.warns(ConvergenceWarning) as seen:
        warn_unless_converged(results, [*"abcd"], "fit", stacklevel=1)
    (warning,) = seen
    text = str(warning.message)
    assert text.startswith(f"fit (classes ['b', 'c', 'd']): {Status.max_iter.value}")
    assert text.count(Status.max_iter.value) == 1
    assert Status.stalled.value in text
    assert text.endswith("The relative suboptimality is about 2.0e-02.")
    assert warning.filename == __file__


def test_a_single_run_is_not_named_and_an_unknown_gap_is_not_mentioned():
    with pytest.warns(ConvergenceWarning) as seen:
        warn_unless_converged([replace(DONE, status=Status.diverged)], ["a"], "fit", stacklevel=1)
    assert str(seen[0].message) == f"fit: {Status.diverged.value}"

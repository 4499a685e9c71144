"""Figures on halfspaces show every loss and every method that has rows."""

import numpy as np
import pytest

from made_rows import every_cell, linear, population
from polarstep.experiments.halfspaces import plan
from polarstep.experiments.halfspaces.analysis import Analysis
from polarstep.experiments.halfspaces.execution import execute
from polarstep.experiments.halfspaces.figures import (
    LABELS,
    STYLES,
    figures,
    population_gap,
    population_gradient,
    run_curves,
)
from polarstep.experiments.halfspaces.verdicts import exponential_on_nonconvex, same_for_every_loss
from polarstep.losses import LOSSES
from problems import ARCTAN
from small_runs import TINY


def labels_of(axes):
    return axes.get_legend_handles_labels()[1]


def rows_of(losses, kappas=(10, 100)):
    made = [population(name, kappa) for name in losses for kappa in kappas]
    return Analysis((*made, *(population("sigmoid", kappa, method="gd") for kappa in kappas)))


@pytest.fixture
def sixth_loss(monkeypatch):
    """A loss that the table of losses has besides those of the library."""
    monkeypatch.setitem(LOSSES, "arctan", ARCTAN)
    return "arctan"


def test_a_sixth_loss_runs_and_shows_in_every_figure_and_verdict(sixth_loss):
    (_, specs), *_ = plan.stages(TINY["halfspaces"], None)
    made = [
        {"spec": spec, "outcome": execute(spec, None)} for spec in specs([]) if spec["kappa"] == 4
    ]
    analysis = Analysis(tuple(made))
    assert analysis.losses == list(LOSSES)
    for draw in (population_gap, population_gradient):
        axes = draw(analysis).drawn.axes[0]
        assert set(labels_of(axes)) >= set(LOSSES)
    colors = {line.get_color() for line in population_gap(analysis).drawn.axes[0].lines}
    assert len(colors) == len(LOSSES) + 1  # and the bound
    assert same_for_every_loss(analysis).verdict == "holds"
    answered = exponential_on_nonconvex(analysis)
    assert answered.verdict == "holds"
    assert sixth_loss in answered.numbers


@pytest.mark.parametrize("more", [0, 1, 5, 20])
def test_losses_that_are_only_in_the_rows_are_drawn_too(more):
    names = [*LOSSES, *(f"loss {k}" for k in range(more))]
    analysis = rows_of(names)
    for draw, others in ((population_gap, 1), (population_gradient, 1)):
        axes = draw(analysis).drawn.axes[0]
        assert len(set(labels_of(axes))) == len(names) + others


def test_every_method_has_a_line_in_every_panel():
    assert LABELS.keys() == STYLES.keys() == plan.RUNS.keys()
    curves = {name: linear(0.1 + 0.02 * k, 20) for k, name in enumerate(plan.RUNS)}
    runs = every_cell(curves, data=["gaussian"], variants=["softplus"])
    figure = run_curves(Analysis(tuple(runs)), "gaussian", "softplus", "iterations")
    assert len(figure.drawn.axes) == 6
    for axes in figure.drawn.axes:
        assert labels_of(axes) == list(LABELS.values())
        assert all(np.isfinite(line.get_ydata()).all() for line in axes.lines)


def test_without_rows_nothing_is_drawn():
    assert list(figures(Analysis(()))) == []

"""Panels with scores against learning rates."""

import pytest

from polarstep.experiments.drawing import canvas
from polarstep.experiments.networks.figures import finish_rate_panel, mark_good_rates


def test_good_rates_are_marked_in_rows_along_the_bottom():
    _, (axes,) = canvas(1, 1, 5, 4)
    for place in range(3):
        mark_good_rates(axes, [0.1, 1.0], place, color="black")
    heights = [list(line.get_ydata()) for line in axes.lines]
    assert all(list(line.get_xdata()) == [0.1, 1.0] for line in axes.lines)
    assert heights[0] < heights[1] < heights[2]
    assert max(heights[2]) < 0.1


def test_a_finished_panel_leaves_room_below_the_lowest_score():
    _, (axes,) = canvas(1, 1, 5, 4)
    axes.plot([0.1, 1.0], [0.1, 10.0])
    axes.set_ylim(0.1, 10.0)
    finish_rate_panel(axes, "relu", "learning rate", room=0.5)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_ylim() == pytest.approx((0.01, 10.0))
    assert (axes.get_title(), axes.get_xlabel()) == ("relu", "learning rate")

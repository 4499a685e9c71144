"""The figure on the network with one hidden layer."""

import numpy as np

from made_rows import training
from polarstep.experiments.tanh_network.figures import figures


def test_every_training_with_softplus_is_a_line():
    rows = [training(), training("squared"), training(stage="data", slopes=(1e-2, 1e-3, 1e-4))]
    (figure,) = figures(rows)
    left, right = figure.drawn.axes
    labels = left.get_legend_handles_labels()[1]
    assert labels == ["Gaussian population", "Gaussian sample"]
    values, slopes = (line.get_ydata() for line in (left.lines[1], right.lines[2]))
    trace = rows[2]["outcome"]["trace"]
    np.testing.assert_array_equal(values, [0.7, *trace["fun"]])
    np.testing.assert_array_equal(slopes, trace["largest_slope"])


def test_without_rows_nothing_is_drawn():
    assert list(figures([])) == []

"""The figures on metrics."""

from made_rows import metric
from polarstep.experiments.metric.analysis import Analysis
from polarstep.experiments.metric.figures import _LINES, angles, figures, training
from polarstep.experiments.metric.plan import BATCH, RECIPES

FULL = Analysis(tuple(metric({"AdamW": {"good": 4}}, seeds=2)))


def test_every_recipe_has_a_line_of_its_own():
    assert _LINES.keys() == RECIPES.keys()
    assert len({tuple(sorted(line.items())) for line in _LINES.values()}) == len(RECIPES)


def test_there_are_three_figures_with_numbers_in_their_captions_and_none_without_rows():
    drawn = list(figures(FULL))
    assert [figure.id for figure in drawn] == ["metric-training", "metric-rates", "metric-angles"]
    for figure in drawn:
        assert "relu: SGD" in figure.caption
        assert figure.caption.endswith(".")
    assert list(figures(Analysis(()))) == []


def test_captions_say_so_if_there_is_nothing_to_compare():
    made = Analysis(tuple(metric({BATCH: {"status": "diverged"}})))
    assert "All runs with batch normalization diverged." in training(made).caption
    rows = metric()
    for row in rows:
        for point in row["outcome"]["points"]:
            point["angles"] = [0.0] * 7
    assert "No angles have been measured yet." in angles(Analysis(tuple(rows))).caption

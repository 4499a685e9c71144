"""All figures of the report: their order, ids of their own, and images without dates."""

import re
from collections import Counter

import pytest

from full_report import full_rows
from html_page import Page
from polarstep.experiments.report.figures import figures
from polarstep.experiments.report.verdicts import verdicts


@pytest.fixture(scope="module")
def full():
    return full_rows()


@pytest.fixture(scope="module")
def drawn(full):
    return [figure for some in figures(full).values() for figure in some]


def test_figures_have_ids_of_their_own(drawn):
    ids = [figure.id for figure in drawn]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == ["overview", "population-gap", "population-gradient"]
    of_metric = ["metric-training", "metric-rates", "metric-angles"]
    assert ids[-3:] == of_metric
    ids = ids[:-3]
    of_deep = [id for id in ids if id.startswith("deep-")]
    assert ids[-len(of_deep) - 1] == "network"
    assert of_deep == [
        "deep-rates",
        "deep-training",
        "deep-coupling-relu",
        "deep-coupling-relu-directions",
        "deep-coupling-tanh",
        "deep-coupling-tanh-directions",
        "deep-controls",
        "deep-loss",
        "deep-explanations",
    ]
    # Every problem against iterations and against passes.
    assert len(ids) - len(of_deep) == 4 + 2 * 3
    for figure in drawn:
        assert figure.title
        assert figure.caption.endswith(".")


def test_elements_of_different_figures_do_not_share_ids(drawn):
    owners = Counter()
    for figure in drawn:
        svg = Page(figure.svg)
        owners.update(set(svg.ids))
        assert len(svg.ids) == len(set(svg.ids))
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', figure.svg))
        assert used, "curves are clipped and ticks are drawn by reference"
        assert used <= set(svg.ids)
    assert max(owners.values()) == 1


def test_figures_are_labelled_images_without_dates(drawn):
    for figure in drawn:
        (_, attributes), *_ = Page(figure.svg).tags
        assert attributes["role"] == "img"
        assert attributes["aria-label"]
        assert "<dc:date>" not in figure.svg


def test_the_same_rows_draw_the_same_figures(full, drawn):
    again = figures(full)["halfspaces"][0]
    assert again is not drawn[0]
    assert again.svg == drawn[0].svg


def test_every_figure_that_a_verdict_points_to_is_drawn(full, drawn):
    pointed = {verdict.figure for verdict in verdicts(full)} - {None}
    assert pointed <= {figure.id for figure in drawn}

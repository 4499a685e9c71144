"""The tables of the section on halfspaces say what the rows say."""

from full_report import described, tuning
from made_rows import cell, linear
from polarstep.experiments.halfspaces.analysis import TARGETS, Analysis
from polarstep.experiments.halfspaces.section import section


def test_the_fewest_iterations_are_marked_and_a_target_out_of_reach_is_a_dash():
    runs = cell({"gd": linear(0.5, 20), "agd": linear(0.25, 20)})
    (table,) = section(Analysis(tuple(runs)))["iterations"]
    lines = {line["name"]: line for line in table["lines"]}
    assert table["starts"] == 1
    assert len(lines["gd (tuned)"]["counts"]) == len(TARGETS)
    assert [count["best"] for count in lines["gd (tuned)"]["counts"]] == [True] * 4
    assert [count["text"] for count in lines["agd (tuned)"]["counts"]] == ["8", "16", "–", "–"]
    assert not any(count["best"] for count in lines["agd (tuned)"]["counts"])
    assert lines["wn (tuned)"]["end"] == "1"


def test_a_line_of_the_steps_counts_attempts_and_notes_what_is_unusual():
    lines = section(Analysis((tuning(), tuning(score=None))))["steps"]
    assert [(line["tried"], line["unstable"]) for line in lines] == [(2, 1), (2, 2)]
    assert lines[0]["notes"] == "at the end of the coarse grid"
    assert lines[1]["notes"] == "no factor was stable, at the end of the coarse grid"
    assert lines[0]["problem"] == "gaussian, softplus, length 1"


def test_problems_are_listed_with_their_facts():
    (line,) = section(Analysis((described(),)))["problems"]
    assert (line["data"], line["variant"], line["n"]) == ("gaussian", "softplus", 100)

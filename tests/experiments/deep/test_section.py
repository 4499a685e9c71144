"""The tables of the section on deep networks."""

from made_rows import STEPS, attempts, deep
from polarstep.experiments.deep.analysis import Analysis
from polarstep.experiments.deep.plan import RATES
from polarstep.experiments.deep.section import section


def test_the_table_has_a_line_for_every_network():
    made = section(Analysis(tuple(deep({}))))
    lines = {line["network"]: line for line in made["rates"]}
    assert len(lines) == 6
    assert lines["relu, batch"]["best"] == 1.0
    assert lines["relu, batch"]["decades"] == "1"
    assert lines["relu, batch"]["start"] == 2.0
    assert lines["relu, batch"]["notes"] == ""


def test_a_best_rate_at_the_end_of_the_grid_is_noted():
    made = section(Analysis(tuple(attempts(best=RATES[0]))))
    assert [line["notes"] for line in made["rates"]] == ["at the end of the grid"]
    assert made["deep"] is None  # there are no runs


def test_the_facts_are_those_of_the_runs():
    facts = section(Analysis(tuple(deep({"batch": {"status": "diverged"}}, seeds=2))))["deep"]
    assert (facts["runs"], facts["seeds"], facts["n"]) == (2 * 2 * 2 * 3, 2, 20)
    assert facts["diverged"] == {"tuning": 6, "run": 2 * 2 * 2}
    assert facts["measured_at"] == [1, STEPS]

"""The tables of the section on metrics."""

from made_rows import metric
from polarstep.experiments.metric.analysis import Analysis
from polarstep.experiments.metric.plan import RECIPES
from polarstep.experiments.metric.section import section


def test_the_table_has_a_line_for_every_case():
    made = section(Analysis(tuple(metric({"AdamW": {"good": 4}}, seeds=2))))
    lines = {line["network"]: line for line in made["sweeps"]}
    assert len(lines) == 2 * len(RECIPES)
    assert lines["relu, SGD"]["tried"] == "0.01 to 0.316"
    assert lines["relu, SGD"]["decades"] == "0.5"
    assert lines["relu, AdamW"]["decades"] == "at least 2"  # both ends are good
    assert lines["relu, SGD"]["accuracy"] == 0.9
    assert lines["relu, SGD"]["milliseconds"] == 1.0


def test_the_facts_are_those_of_the_rows():
    rows = metric({"SGD": {"status": "diverged"}}, seeds=2)
    facts = section(Analysis(tuple(rows)))["metric"]
    assert (facts["runs"], facts["seeds"], facts["n"]) == (len(rows), 2, 20)
    assert facts["diverged"] == 2 * 4 * 2
    assert section(Analysis(()))["metric"] is None

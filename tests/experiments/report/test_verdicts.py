"""The verdicts of all experiments together: their order, and what they say without rows."""

from made_rows import rows
from polarstep.experiments.claims import UNKNOWN
from polarstep.experiments.registry import EXPERIMENTS
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.report.verdicts import verdicts


def test_without_rows_nothing_is_measured():
    for found in verdicts(Rows({})):
        assert found.verdict == UNKNOWN
        assert found.numbers
        assert found.rule.endswith(".")


def test_claims_are_not_repeated_and_their_groups_stand_together():
    found = verdicts(rows())
    assert len({v.claim for v in found}) == len(found)
    groups = [v.group.name for v in found]
    in_order = ["Findings", "Questions", "Theory", "Beyond the paper", "Metric"]
    assert [*dict.fromkeys(groups)] == in_order
    assert groups == sorted(groups, key=[*dict.fromkeys(groups)].index)


def test_what_was_not_run_says_what_to_run():
    nothing = Rows({})
    found = {v.claim: v for v in verdicts(nothing)}
    assert {v.verdict for v in found.values()} == {"not measured"}
    assert all(v.numbers.startswith("Not run yet. ") for v in found.values())
    for name in EXPERIMENTS:
        assert any(f"Run: polarstep reproduce {name}" in v.numbers for v in found.values())
    assert "network" in found["Theorem 3: every tanh unit takes the direction S^-1 u."].numbers
    assert not any(v.numbers.rstrip().endswith(": .") for v in found.values())

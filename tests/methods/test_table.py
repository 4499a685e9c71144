"""The table of methods, and methods of one's own."""

import pytest

import polarstep as ps
from logistic_problem import X, Y
from polarstep.methods.lengths import constant_length_step
from polarstep.methods.steps import theorem_step
from polarstep.methods.table import METHODS as TABLE
from polarstep.methods.table import Method


def test_methods_can_be_composed():
    objective = ps.Halfspace(X, Y, length_penalty=0.05)
    mixed = Method("mixed", TABLE["gdnp"].parameterization, theorem_step, constant_length_step)
    run = ps.minimize(objective, mixed, max_iter=500, length_step_size=2.0)
    assert run.success
    assert run.method == "mixed"
    assert run.message.startswith("mixed: ")
    assert run.fun == pytest.approx(ps.minimize(objective, "gdnp", max_iter=500).fun, abs=1e-12)


def test_rules_bring_their_options():
    assert TABLE["gd"].option_names == {"step_size"}
    assert TABLE["bn"].option_names == {"step_size", "length_step_size", "length"}
    assert TABLE["gdnp"].option_names == {"step_size", "bisection_steps", "length"}
    assert [name for name, method in TABLE.items() if not method.has_length] == ["gd", "agd"]
    assert {name: method.name for name, method in TABLE.items()} == {name: name for name in TABLE}

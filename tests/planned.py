"""The specs of an experiment without running any of them."""

from polarstep.experiments.records import key


def specs_of(stages):
    """Return all specs of some stages, with invented outcomes where later stages need them."""
    rows = []
    for _, make in stages:
        specs = make(rows)
        for spec in specs:
            outcome = {"fun": 0.25, "steps": {"step_size": 0.5}}
            rows.append({"key": key(spec), "spec": spec, "outcome": outcome})
    return [row["spec"] for row in rows]

"""Artificial rows that fill every section of the report."""

from made_rows import deep, every_cell, linear, metric, population, reference, rows, training
from polarstep.experiments.halfspaces.plan import RUNS

FACTS = {
    "n": 100,
    "d": 3,
    "rank": 3,
    "kappa": 10.0,
    "separation": 0.5,
    "gaussian": True,
    "assumptions": "E[x] = 0: holds",
    "grad_norm": 1e-9,
    "length": 2.0,
    "spread": 0.0,
}
CURVES = {name: linear(0.05 * (k + 1), 40) for k, name in enumerate(RUNS)}
LOSSES = ("softplus", "sigmoid")


def tuning(score=-3.0, data="gaussian"):
    """The row of a tuning with one stable and one unstable attempt."""
    made = reference(data=data)
    spec = {**made["spec"], "stage": "tuning", "start": "length 1", "method": "wn"}
    outcome = {
        "steps": {"step_size": 1.0},
        "factor": 1.0,
        "length_factor": 4.0,
        "stable": score is not None,
        "edge": True,
        "attempts": [[1.0, 4.0, score], [4.0, 4.0, None]],
    }
    return {**made, "key": "tuning" + data, "spec": spec, "outcome": outcome}


def described(data="gaussian"):
    """The row of a reference with the facts that the table of problems shows."""
    return reference(data=data, **FACTS)


POPULATION = [population(loss, k) for loss in LOSSES for k in (10, 100)]
POPULATION += [population("sigmoid", k, method="gd") for k in (10, 100)]
NETWORK = [training("softplus"), training("squared", idle=True)]
NETWORK += [training("softplus", stage="data")]
DEEP = deep(
    {"batch": {"digits": 0.2, "cross": 0.3, "shift": 0.5}, "weight": {"cross": 0.9}}, seeds=2
)
METRIC = metric({"covariance, polar": {"digits": 0.2}, "AdamW": {"good": 4}}, seeds=2)
DEEP_RUNS = [r for r in DEEP if r["spec"]["stage"] == "run"]


def made_runs(**limits):
    return [r for r in every_cell(CURVES, **limits) if r["spec"]["stage"] == "run"]


def full_rows():
    """Return rows for every kind of figure."""
    runs = made_runs(data=["gaussian"], variants=["softplus", "sigmoid, penalty"])
    runs += made_runs(data=["breast_cancer"], variants=["softplus"])
    made = [*POPULATION, described(), described("breast_cancer"), tuning(), *runs]
    return rows(*made, *NETWORK, *DEEP, *METRIC)

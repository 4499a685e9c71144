"""Verdicts on the network with one hidden layer, computed from its rows."""

from __future__ import annotations

from collections.abc import Sequence

from ..claims import THEORY, Answer, Verdict, verdict_for
from ..records import Row

Rows = Sequence[Row]


def verdicts(rows: Rows) -> list[Verdict | Answer]:
    """Return the verdicts on all claims."""
    return [unit_directions(rows), sweeps_mend(rows), second_unit_is_idle(rows)]


def unit_directions(rows: Rows) -> Verdict:
    """Check the direction of every unit that is not switched off."""
    gaps = [
        g for _, t in _trainings(rows, "population") for g in t["direction_gap"] if g is not None
    ]
    good = sum(g < 1e-12 for g in gaps)
    return Verdict(
        THEORY,
        "Theorem 3: every tanh unit takes the direction S^-1 u.",
        verdict_for(good, len(gaps)),
        f"The largest direction gap of a unit after its training is {max(gaps, default=0):.0e}.",
        "In the population, the training of every unit that is not switched off ends with a "
        "direction gap below 1e-12.",
        "network",
    )


def sweeps_mend(rows: Rows) -> Verdict:
    """Compare the slopes of the lengths after the first sweep and after the last one."""
    found = [t for s, t in _trainings(rows, "population") if s["loss"] == "softplus"]
    slopes = [_by_sweep(t) for t in found]
    good = sum(s[-1] < 1e-4 * s[0] for s in slopes)
    numbers = "; ".join(
        f"{s[0]:.1e} after one sweep and {s[-1]:.1e} after {len(s)}" for s in slopes
    )
    return Verdict(
        THEORY,
        "After one sweep the earlier lengths are not optimal, and further sweeps correct that.",
        verdict_for(good, len(slopes)),
        f"The largest |d_g f| with softplus in the population: {numbers}.",
        "The largest |d_g f| falls by a factor of at least 1e4 from the first to the last sweep.",
        "network",
    )


def second_unit_is_idle(rows: Rows) -> Verdict:
    """Check that the second unit is skipped with the squared loss."""
    found = [t for s, t in _trainings(rows, "population") if s["loss"] == "squared"]
    good = sum(bool(t["skipped"][1]) for t in found)
    return Verdict(
        THEORY,
        "With the squared loss the first unit is optimal, and the second gets length zero.",
        verdict_for(good, len(found)),
        "Lengths of the units: "
        + "; ".join(", ".join(f"{g:.4g}" for g in t["length"][:3]) for t in found)
        + ".",
        "After the first unit is trained, the second unit has a zero gradient and is skipped.",
        "network",
    )


def _trainings(rows: Rows, stage: str) -> list[tuple[dict, dict]]:
    chosen = [row for row in rows if row["spec"]["stage"] == stage]
    return [(row["spec"], row["outcome"]["trace"]) for row in chosen]


def _by_sweep(trace: dict) -> list[float]:
    """Return the largest |d_g f| at the end of every sweep."""
    ends = dict(zip(trace["sweep"], trace["largest_slope"], strict=True))
    return list(ends.values())

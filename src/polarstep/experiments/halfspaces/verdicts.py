"""Verdicts on halfspaces and on the one-hidden-layer network, computed from their rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..claims import UNKNOWN, Verdict, share, times
from ..report.rows import Cell, Rows


def _cells(rows: Rows, keep: Callable[[Cell], bool]) -> list[Cell]:
    return [cell for cell in rows.runs if keep(cell)]


def _is_gaussian(cell: Cell) -> bool:
    return cell[0] == "gaussian"


def _by_data(good: list[Cell], cells: list[Cell]) -> str:
    """How many of the problems on each data set: "3 of 6 on gaussian, ..."."""
    parts = []
    for data in dict.fromkeys(cell[0] for cell in cells):
        count, total = (sum(cell[0] == data for cell in some) for some in (good, cells))
        parts.append(f"{count} of {total} problems on {data}")
    return ", ".join(parts)


def _name(cell: Cell) -> str:
    return f"{cell[1]}, {cell[2]}"


def _straightness(curve: np.ndarray) -> tuple[float, float]:
    """(R^2 of a line through log10 of the curve, iterations a digit), between 1e-2 and 1e-8."""
    inside = np.flatnonzero((curve <= 1e-2) & (curve >= 1e-8))
    if len(inside) < 5 or curve.min() > 1e-6:
        return 0.0, np.inf
    logs = np.log10(curve[inside])
    slope, intercept = np.polyfit(inside, logs, 1)
    residual = logs - slope * inside - intercept
    return float(1.0 - residual.var() / logs.var()), float(-1.0 / slope)


# --------------------------------------------------------------------------- the paper's findings


def linear_on_gaussian_samples(rows: Rows) -> Verdict:
    """Straight lines in log scale, from the medians over the random starts."""
    cells = _cells(rows, _is_gaussian)
    found = {cell: _straightness(rows.median(cell, "gdnp")) for cell in cells}
    good = [cell for cell in cells if found[cell][0] >= 0.98]
    digits = "; ".join(f"{_name(c)}: {found[c][1]:.0f} iterations a digit" for c in good)
    bad = "; ".join(_name(c) for c in cells if c not in good)
    return Verdict(
        "Findings",
        "On Gaussian data the convergence is linear.",
        share(len(good), len(cells)),
        f"gdnp, step 1/L: {digits or 'nowhere'}." + (f" Not linear: {bad}." if bad else ""),
        "The median suboptimality of gdnp gets below 1e-6, and between 1e-2 and 1e-8 its logarithm "
        "is a straight line with R^2 >= 0.98, on every Gaussian sample.",
        "runs-gaussian-softplus",
    )


def speeds_up_real_data(rows: Rows) -> Verdict:
    """gdnp against gd, both counted to what both reach."""
    cells = _cells(rows, lambda cell: not _is_gaussian(cell))
    speed = {cell: rows.speed(cell, "gdnp", "gd") for cell in cells}
    good = [cell for cell in cells if speed[cell] > 1]
    data = cells[0][0] if cells else "real data"
    return Verdict(
        "Findings",
        "GDNP also speeds up the real data set, which is not Gaussian.",
        share(len(good), len(cells)),
        f"{data}: times fewer iterations than tuned gd: "
        + "; ".join(f"{_name(c)} {times(speed[c])}" for c in cells)
        + ".",
        "gdnp (step 1/L) needs fewer iterations than tuned gd to the tightest suboptimality that "
        "both reach for good, in every problem on real data.",
        f"runs-{data}-softplus",
    )


def normalization_comes_close(rows: Rows) -> Verdict:
    """bn and wn against gdnp, counted to what both reach."""
    cells = list(rows.runs)
    speed = {c: (rows.speed(c, "bn", "gdnp"), rows.speed(c, "wn", "gdnp")) for c in cells}
    good = [c for c in cells if min(speed[c]) >= 0.5]
    bn, wn = (np.median([s[k] for s in speed.values()]) if cells else 0.0 for k in (0, 1))
    return Verdict(
        "Findings",
        "BN and WN come close to GDNP: the decoupling itself carries the effect.",
        share(len(good), len(cells)),
        f"At least half as fast as gdnp, both: {_by_data(good, cells)}. Speed relative to gdnp, "
        f"median over problems: bn {bn:.2f}, wn {wn:.2f}.",
        "Tuned bn and tuned wn need at most twice the iterations of gdnp (step 1/L) to the "
        "tightest suboptimality that both reach for good, in every problem.",
        "overview",
    )


# --------------------------------------------------------------------------- the paper's questions


def accelerates_provably(rows: Rows) -> Verdict:
    """gdnp against gd with the step of its theory, where every integral is exact."""
    by_kappa: dict[float, dict[str, float]] = {}
    for row in rows.stage("population"):
        spec, outcome = row["spec"], row["outcome"]
        if spec["loss"] == "sigmoid":
            ends = by_kappa.setdefault(spec["kappa"], {})
            ends[spec["method"]] = outcome["grad_norm"][-1]
            ends["promise"] = outcome["gradient_bound"][-1] / outcome["gradient_bound"][0]
    both = {k: v for k, v in sorted(by_kappa.items()) if {"gd", "gdnp"} <= v.keys()}
    pairs = {k: v for k, v in both.items() if v["promise"] <= 0.01}
    short = ", ".join(f"{k:g}" for k in both if k not in pairs)
    good = [k for k, v in pairs.items() if v["gdnp"] < 0.1 * v["gd"]]
    return Verdict(
        "Questions",
        "Can batch normalization provably accelerate gradient descent on a non-convex problem?",
        share(len(good), len(pairs)),
        "Gradient norm at the end, gdnp against gd with step 1/smoothness, penalised sigmoid: "
        + "; ".join(f"kappa {k:g}: {v['gdnp']:.1e} against {v['gd']:.1e}" for k, v in pairs.items())
        + (f". Too few iterations to tell: kappa {short}." if short else "."),
        "In the Gaussian population with the penalised sigmoid, gdnp ends with less than a tenth "
        "of the gradient norm of gd at the step that its theory allows, for every kappa whose runs "
        "are long enough for Theorem 2 to promise a factor of 100.",
        "population-gradient",
    )


def decoupling_speeds_up(rows: Rows) -> tuple[bool | None, str]:
    """Whether normalization speeds up gradient descent where nothing but decoupling can.

    The inputs of a halfspace are fixed, so that no covariate shift can play a part.

    Returns
    -------
    (bool or None, str)
        Whether bn or wn is faster than gd in more than half of the problems (None without runs),
        and the numbers.
    """
    cells = list(rows.runs)
    if not cells:
        return None, "Halfspaces are not measured."
    speed = {c: (rows.speed(c, "bn", "gd"), rows.speed(c, "wn", "gd")) for c in cells}
    bn, wn = ([c for c in cells if speed[c][k] > 1] for k in (0, 1))
    return (
        max(len(bn), len(wn)) > 0.5 * len(cells),
        "Halfspaces, whose inputs are fixed so that no covariate shift can play a part: faster "
        f"than equally tuned gd are bn in {_by_data(bn, cells)}; wn in {_by_data(wn, cells)}.",
    )


def exponential_on_nonconvex(rows: Rows) -> Verdict:
    """Theorem 2 at every iterate, for losses that are not convex."""
    found = [r for r in _population_gdnp(rows) if r[0]["loss"] in ("sigmoid", "normal_cdf")]
    good = [o for _, o in found if _within(o)]
    worst = max((o["worst_gradient_ratio"] for _, o in found), default=0.0)
    return Verdict(
        "Questions",
        "Does decoupling give exponential rates on a structured non-convex problem?",
        share(len(good), len(found)),
        f"Penalised sigmoid and normal_cdf in the Gaussian population: gradient at most "
        f"{worst:.3f} of Theorem 2's bound, at every iterate of {len(found)} runs.",
        "For the bounded losses with a length penalty, Theorem 2's bound holds at every iterate.",
        "population-gradient",
    )


# --------------------------------------------------------------------------- the theory


def direction_bound(rows: Rows) -> Verdict:
    """Theorem 1 at every iterate."""
    found = _population_gdnp(rows)
    good = [o for _, o in found if o["worst_gap_ratio"] <= 1 + 1e-9]
    worst = max((o["worst_gap_ratio"] for _, o in found), default=0.0)
    count = sum(o["iterates_checked"] for _, o in found)
    kappas = ", ".join(f"{k:g}" for k in sorted({s["kappa"] for s, _ in found}))
    return Verdict(
        "Theory",
        "Theorem 1: the direction gap stays below (1 - mu/L)^(2t) times its start, for every loss.",
        share(len(good), len(found)),
        f"Largest gap/bound after the start: {worst:.3f}, over {count:,} iterates of {len(found)} "
        f"runs (kappa {kappas or 'none'}).",
        "gap <= bound at every iterate whose gap is above rounding, in every population run.",
        "population-gap",
    )


def same_for_every_loss(rows: Rows) -> Verdict:
    """One trajectory of directions, whatever the loss."""
    by_kappa: dict[float, list[np.ndarray]] = {}
    for spec, outcome in _population_gdnp(rows):
        by_kappa.setdefault(spec["kappa"], []).append(np.array(outcome["direction_gap"]))
    gaps = {k: np.array(v) for k, v in by_kappa.items() if len(v) > 1}
    spread = {
        k: float(np.max((np.ptp(v, axis=0) / v.min(axis=0))[v.min(axis=0) > 1e-16]))
        for k, v in gaps.items()
    }
    good = [k for k, s in spread.items() if s < 1e-6]
    return Verdict(
        "Theory",
        "The direction's trajectory does not depend on the loss.",
        share(len(good), len(spread)),
        "Largest relative difference of the gap between losses: "
        + "; ".join(f"kappa {k:g}: {s:.0e}" for k, s in sorted(spread.items()))
        + ".",
        "Over the losses the gaps agree to 1e-6 at every iterate shown, while above 1e-16.",
        "population-gap",
    )


def unit_directions(rows: Rows) -> Verdict:
    """Theorem 3 for every unit."""
    gaps = [
        g for _, t in _trainings(rows, "population") for g in t["direction_gap"] if g is not None
    ]
    good = sum(g < 1e-12 for g in gaps)
    return Verdict(
        "Theory",
        "Theorem 3: every tanh unit takes the direction S^-1 u.",
        share(good, len(gaps)),
        f"Largest direction gap of a unit after its training: {max(gaps, default=0):.0e}.",
        "In the population, every unit that is on ends with a direction gap below 1e-12.",
        "network",
    )


def sweeps_mend(rows: Rows) -> Verdict:
    """Slopes of the lengths after the first sweep and after the last."""
    found = [t for s, t in _trainings(rows, "population") if s["loss"] == "softplus"]
    slopes = [_by_sweep(t) for t in found]
    good = sum(s[-1] < 1e-4 * s[0] for s in slopes)
    numbers = "; ".join(
        f"largest |d_g f| {s[0]:.1e} after one pass, {s[-1]:.1e} after {len(s)}" for s in slopes
    )
    return Verdict(
        "Theory",
        "One pass leaves the earlier lengths off their optimum, and repeated sweeps mend that.",
        share(good, len(slopes)),
        f"Softplus, population: {numbers}.",
        "The largest |d_g f| falls by a factor of at least 1e4 from the first sweep to the last.",
        "network",
    )


def second_unit_is_idle(rows: Rows) -> Verdict:
    """The squared loss leaves the second unit nothing to do."""
    found = [t for s, t in _trainings(rows, "population") if s["loss"] == "squared"]
    good = sum(bool(t["skipped"][1]) for t in found)
    return Verdict(
        "Theory",
        "With the squared loss the first unit is optimal, and the second gets length zero.",
        share(good, len(found)),
        "Lengths: "
        + "; ".join(", ".join(f"{g:.4g}" for g in t["length"][:3]) for t in found)
        + ".",
        "Trained after the first, the second unit finds a zero gradient and is skipped.",
        "network",
    )


# --------------------------------------------------------------------------- beside the paper


def plateau(rows: Rows) -> Verdict:
    """gd with the step of its theory against gd with a tuned one, from far out."""
    cells = _cells(rows, lambda c: c[1].startswith("sigmoid") and c[2] == "plateau")
    ends = {c: (rows.median(c, "gd 1/smoothness")[-1], rows.median(c, "gd")[-1]) for c in cells}
    good = [c for c in cells if ends[c][0] > 10 * ends[c][1]]
    return Verdict(
        "Beside the paper",
        "From far out, gd with step 1/smoothness stalls on the sigmoid's plateau; a tuned step "
        "escapes.",
        share(len(good), len(cells)),
        "Suboptimality at the end, step 1/smoothness against tuned: "
        + "; ".join(f"{c[0]}, {c[1]}: {a:.0e} against {b:.0e}" for c, (a, b) in ends.items())
        + ".",
        "With step 1/smoothness gd ends more than ten times further from the best value than "
        "with the tuned step.",
        "runs-gaussian-sigmoid-penalty",
    )


def fastest_on_gaussian(rows: Rows) -> Verdict:
    """Iterations to two accuracies on one problem."""
    cell = ("gaussian", "softplus", "length 1")
    claim = (
        "On Gaussian softplus gdnp with step 1.9/L is the fastest of the five methods to 1e-8; "
        "agd is faster to 1e-6."
    )
    rule = "Median iterations to 1e-8 (first half) and to 1e-6 (second half), start of length 1."
    if cell not in rows.runs:
        return Verdict("Beside the paper", claim, UNKNOWN, "No such runs.", rule, None)
    names = ("gdnp 1.9/L", "agd", "gd", "wn", "bn")
    count = {
        target: {name: rows.iterations_to(cell, name, target) for name in names}
        for target in (1e-6, 1e-8)
    }
    first = all(count[1e-8]["gdnp 1.9/L"] < count[1e-8][name] for name in names[1:])
    second = count[1e-6]["agd"] < count[1e-6]["gdnp 1.9/L"]
    numbers = "; ".join(
        f"to {target:.0e}: " + ", ".join(f"{name} {_count(k)}" for name, k in by_name.items())
        for target, by_name in count.items()
    )
    verdict = share(first + second, 2)
    return Verdict("Beside the paper", claim, verdict, numbers, rule, "runs-gaussian-softplus")


def not_fastest_on_real(rows: Rows) -> Verdict:
    """gdnp against the four others on real data."""
    cells = _cells(rows, lambda cell: not _is_gaussian(cell))
    ahead = []
    for cell in cells:
        gdnp = max(rows.speed(cell, "gdnp", "agd"), rows.speed(cell, "gdnp 1.9/L", "agd"))
        ahead.append(
            gdnp > max(1.0, *(rows.speed(cell, name, "agd") for name in ("gd", "wn", "bn")))
        )
    data = cells[0][0] if cells else "real data"
    return Verdict(
        "Beside the paper",
        "On the real data set gdnp is not the fastest of the five.",
        share(len(cells) - sum(ahead), len(cells)),
        f"{data}: gdnp (either step) is the fastest in {sum(ahead)} of {len(cells)} problems.",
        "In no problem is gdnp, relative to agd, faster than gd, agd, wn and bn.",
        "overview",
    )


def _count(iterations: float) -> str:
    return "never" if np.isinf(iterations) else f"{iterations:.0f}"


# --------------------------------------------------------------------------- rows of a kind


def _population_gdnp(rows: Rows) -> list[tuple[dict, dict]]:
    population = rows.stage("population")
    return [(r["spec"], r["outcome"]) for r in population if r["spec"]["method"] == "gdnp"]


def _within(outcome: dict) -> bool:
    return bool(outcome["worst_gradient_ratio"] <= 1 + 1e-9)


def _trainings(rows: Rows, stage: str) -> list[tuple[dict, dict]]:
    chosen = [row for row in rows.network if row["spec"]["stage"] == stage]
    return [(row["spec"], row["outcome"]["trace"]) for row in chosen]


def _by_sweep(trace: dict) -> list[float]:
    """The largest |d_g f| at the end of every sweep."""
    ends = dict(zip(trace["sweep"], trace["largest_slope"], strict=True))
    return list(ends.values())

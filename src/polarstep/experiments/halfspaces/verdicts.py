"""Verdicts on halfspaces, computed from their rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..claims import (
    BESIDE,
    DECOUPLING,
    FINDINGS,
    QUESTIONS,
    THEORY,
    UNKNOWN,
    Answer,
    Verdict,
    share,
)
from ..formatting import short
from .analysis import Analysis, Cell, is_gaussian, straightness


def verdicts(analysis: Analysis) -> list[Verdict | Answer]:
    """Return the verdicts on all claims, and the answer to the question about decoupling."""
    return [check(analysis) for check in _CHECKS]


def _by_data(good: list[Cell], cells: list[Cell]) -> str:
    """How many of the problems on each data set: "3 of 6 on gaussian, ..."."""
    parts = []
    for data in dict.fromkeys(cell[0] for cell in cells):
        count, total = (sum(cell[0] == data for cell in some) for some in (good, cells))
        parts.append(f"{count} of {total} problems on {data}")
    return ", ".join(parts)


def _name(cell: Cell) -> str:
    return f"{cell[1]}, {cell[2]}"


# --------------------------------------------------------------------------- the paper's findings


def linear_on_gaussian_samples(analysis: Analysis) -> Verdict:
    """Straight lines in log scale, from the medians over the random starts."""
    cells = analysis.cells(is_gaussian)
    found = {cell: straightness(analysis.median(cell, "gdnp")) for cell in cells}
    good = [cell for cell in cells if found[cell][0] >= 0.98]
    digits = "; ".join(f"{_name(c)}: {found[c][1]:.0f} iterations a digit" for c in good)
    bad = "; ".join(_name(c) for c in cells if c not in good)
    return Verdict(
        FINDINGS,
        "On Gaussian data the convergence is linear.",
        share(len(good), len(cells)),
        f"gdnp, step 1/L: {digits or 'nowhere'}." + (f" Not linear: {bad}." if bad else ""),
        "The median suboptimality of gdnp gets below 1e-6, and between 1e-2 and 1e-8 its logarithm "
        "is a straight line with R^2 >= 0.98, on every Gaussian sample.",
        "runs-gaussian-softplus",
    )


def speeds_up_real_data(analysis: Analysis) -> Verdict:
    """gdnp against gd, both counted to what both reach."""
    cells = analysis.cells(lambda cell: not is_gaussian(cell))
    speed = {cell: analysis.speed(cell, "gdnp", "gd") for cell in cells}
    good = [cell for cell in cells if speed[cell] > 1]
    data = cells[0][0] if cells else "real data"
    return Verdict(
        FINDINGS,
        "GDNP also speeds up the real data set, which is not Gaussian.",
        share(len(good), len(cells)),
        f"{data}: times fewer iterations than tuned gd: "
        + "; ".join(f"{_name(c)} {short(speed[c])}" for c in cells)
        + ".",
        "gdnp (step 1/L) needs fewer iterations than tuned gd to the tightest suboptimality that "
        "both reach for good, in every problem on real data.",
        f"runs-{data}-softplus",
    )


def normalization_comes_close(analysis: Analysis) -> Verdict:
    """bn and wn against gdnp, counted to what both reach."""
    cells = list(analysis.runs)
    speed = {c: (analysis.speed(c, "bn", "gdnp"), analysis.speed(c, "wn", "gdnp")) for c in cells}
    good = [c for c in cells if min(speed[c]) >= 0.5]
    bn, wn = (np.median([s[k] for s in speed.values()]) if cells else 0.0 for k in (0, 1))
    return Verdict(
        FINDINGS,
        "BN and WN come close to GDNP: the decoupling itself carries the effect.",
        share(len(good), len(cells)),
        f"At least half as fast as gdnp, both: {_by_data(good, cells)}. Speed relative to gdnp, "
        f"median over problems: bn {bn:.2f}, wn {wn:.2f}.",
        "Tuned bn and tuned wn need at most twice the iterations of gdnp (step 1/L) to the "
        "tightest suboptimality that both reach for good, in every problem.",
        "overview",
    )


# --------------------------------------------------------------------------- the paper's questions


def accelerates_provably(analysis: Analysis) -> Verdict:
    """gdnp against gd with the step of its theory, where every integral is exact."""
    by_kappa: dict[float, dict[str, float]] = {}
    for row in analysis.stage("population"):
        spec, outcome = row["spec"], row["outcome"]
        if spec["loss"] == "sigmoid":
            ends = by_kappa.setdefault(spec["kappa"], {})
            ends[spec["method"]] = outcome["grad_norm"][-1]
            ends["promise"] = outcome["gradient_bound"][-1] / outcome["gradient_bound"][0]
    both = {k: v for k, v in sorted(by_kappa.items()) if {"gd", "gdnp"} <= v.keys()}
    pairs = {k: v for k, v in both.items() if v["promise"] <= 0.01}
    too_short = ", ".join(f"{k:g}" for k in both if k not in pairs)
    good = [k for k, v in pairs.items() if v["gdnp"] < 0.1 * v["gd"]]
    return Verdict(
        QUESTIONS,
        "Can batch normalization provably accelerate gradient descent on a non-convex problem?",
        share(len(good), len(pairs)),
        "Gradient norm at the end, gdnp against gd with step 1/smoothness, penalised sigmoid: "
        + "; ".join(f"kappa {k:g}: {v['gdnp']:.1e} against {v['gd']:.1e}" for k, v in pairs.items())
        + (f". Too few iterations to tell: kappa {too_short}." if too_short else "."),
        "In the Gaussian population with the penalised sigmoid, gdnp ends with less than a tenth "
        "of the gradient norm of gd at the step that its theory allows, for every kappa whose runs "
        "are long enough for Theorem 2 to promise a factor of 100.",
        "population-gradient",
    )


def decoupling_speeds_up(analysis: Analysis) -> Answer:
    """Whether normalization speeds up gradient descent where nothing but decoupling can."""
    rule = "on halfspaces, bn or wn is faster than gd, all tuned, in more than half of the problems"
    cells = list(analysis.runs)
    if not cells:
        return Answer(DECOUPLING, None, "Halfspaces are not measured.", rule, "overview")
    speed = {c: (analysis.speed(c, "bn", "gd"), analysis.speed(c, "wn", "gd")) for c in cells}
    bn, wn = ([c for c in cells if speed[c][k] > 1] for k in (0, 1))
    return Answer(
        DECOUPLING,
        max(len(bn), len(wn)) > 0.5 * len(cells),
        "Halfspaces, whose inputs are fixed so that no covariate shift can play a part: faster "
        f"than equally tuned gd are bn in {_by_data(bn, cells)}; wn in {_by_data(wn, cells)}.",
        rule,
        "overview",
    )


def exponential_on_nonconvex(analysis: Analysis) -> Verdict:
    """Theorem 2 at every iterate, for losses that are not convex."""
    found = [pair for pair in analysis.population("gdnp") if pair[0]["length_penalty"] > 0]
    good = [o for _, o in found if o["worst_gradient_ratio"] <= 1 + 1e-9]
    losses = dict.fromkeys(spec["loss"] for spec, _ in found)
    worst = max((o["worst_gradient_ratio"] for _, o in found), default=0.0)
    return Verdict(
        QUESTIONS,
        "Does decoupling give exponential rates on a structured non-convex problem?",
        share(len(good), len(found)),
        f"In the Gaussian population with a length penalty ({', '.join(losses) or 'no loss'}), the "
        f"gradient norm is at most {worst:.3f} times Theorem 2's bound at every iterate of "
        f"{len(found)} runs.",
        "For the bounded losses with a length penalty, Theorem 2's bound holds at every iterate.",
        "population-gradient",
    )


# --------------------------------------------------------------------------- the theory


def direction_bound(analysis: Analysis) -> Verdict:
    """Theorem 1 at every iterate."""
    found = analysis.population("gdnp")
    good = [o for _, o in found if o["worst_gap_ratio"] <= 1 + 1e-9]
    worst = max((o["worst_gap_ratio"] for _, o in found), default=0.0)
    count = sum(o["iterates_checked"] for _, o in found)
    kappas = ", ".join(f"{k:g}" for k in sorted({s["kappa"] for s, _ in found}))
    return Verdict(
        THEORY,
        "Theorem 1: the direction gap stays below (1 - mu/L)^(2t) times its start, for every loss.",
        share(len(good), len(found)),
        f"Largest gap/bound after the start: {worst:.3f}, over {count:,} iterates of {len(found)} "
        f"runs (kappa {kappas or 'none'}).",
        "gap <= bound at every iterate whose gap is above rounding, in every population run.",
        "population-gap",
    )


def same_for_every_loss(analysis: Analysis) -> Verdict:
    """One trajectory of directions, whatever the loss."""
    by_kappa: dict[float, list[np.ndarray]] = {}
    for spec, outcome in analysis.population("gdnp"):
        by_kappa.setdefault(spec["kappa"], []).append(np.array(outcome["direction_gap"]))
    gaps = {k: np.array(v) for k, v in by_kappa.items() if len(v) > 1}
    spread = {
        k: float(np.max((np.ptp(v, axis=0) / v.min(axis=0))[v.min(axis=0) > 1e-16]))
        for k, v in gaps.items()
    }
    good = [k for k, s in spread.items() if s < 1e-6]
    return Verdict(
        THEORY,
        "The direction's trajectory does not depend on the loss.",
        share(len(good), len(spread)),
        "Largest relative difference of the gap between losses: "
        + "; ".join(f"kappa {k:g}: {s:.0e}" for k, s in sorted(spread.items()))
        + ".",
        "Over the losses the gaps agree to 1e-6 at every iterate shown, while above 1e-16.",
        "population-gap",
    )


# --------------------------------------------------------------------------- beside the paper


def plateau(analysis: Analysis) -> Verdict:
    """gd with the step of its theory against gd with a tuned one, from far out."""
    cells = analysis.cells(lambda c: c[1].startswith("sigmoid") and c[2] == "plateau")
    ends = {
        c: (analysis.median(c, "gd 1/smoothness")[-1], analysis.median(c, "gd")[-1]) for c in cells
    }
    good = [c for c in cells if ends[c][0] > 10 * ends[c][1]]
    return Verdict(
        BESIDE,
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


def fastest_on_gaussian(analysis: Analysis) -> Verdict:
    """Iterations to two accuracies on one problem."""
    cell = ("gaussian", "softplus", "length 1")
    claim = (
        "On Gaussian softplus gdnp with step 1.9/L is the fastest of the five methods to 1e-8; "
        "agd is faster to 1e-6."
    )
    rule = "Median iterations to 1e-8 (first half) and to 1e-6 (second half), start of length 1."
    if cell not in analysis.runs:
        return Verdict(BESIDE, claim, UNKNOWN, "No such runs.", rule, None)
    names = ("gdnp 1.9/L", "agd", "gd", "wn", "bn")
    count = {
        target: {name: analysis.iterations_to(cell, name, target) for name in names}
        for target in (1e-6, 1e-8)
    }
    first = all(count[1e-8]["gdnp 1.9/L"] < count[1e-8][name] for name in names[1:])
    second = count[1e-6]["agd"] < count[1e-6]["gdnp 1.9/L"]
    numbers = "; ".join(
        f"to {target:.0e}: " + ", ".join(f"{name} {_count(k)}" for name, k in by_name.items())
        for target, by_name in count.items()
    )
    verdict = share(first + second, 2)
    return Verdict(BESIDE, claim, verdict, numbers, rule, "runs-gaussian-softplus")


def not_fastest_on_real(analysis: Analysis) -> Verdict:
    """gdnp against the four others on real data."""
    cells = analysis.cells(lambda cell: not is_gaussian(cell))
    ahead = []
    for cell in cells:
        gdnp = max(analysis.speed(cell, "gdnp", "agd"), analysis.speed(cell, "gdnp 1.9/L", "agd"))
        ahead.append(
            gdnp > max(1.0, *(analysis.speed(cell, name, "agd") for name in ("gd", "wn", "bn")))
        )
    data = cells[0][0] if cells else "real data"
    return Verdict(
        BESIDE,
        "On the real data set gdnp is not the fastest of the five.",
        share(len(cells) - sum(ahead), len(cells)),
        f"{data}: gdnp (either step) is the fastest in {sum(ahead)} of {len(cells)} problems.",
        "In no problem is gdnp, relative to agd, faster than gd, agd, wn and bn.",
        "overview",
    )


def _count(iterations: float) -> str:
    return "never" if np.isinf(iterations) else f"{iterations:.0f}"


# --------------------------------------------------------------------------- rows of a kind


_CHECKS: tuple[Callable[[Analysis], Verdict | Answer], ...] = (
    linear_on_gaussian_samples,
    speeds_up_real_data,
    normalization_comes_close,
    accelerates_provably,
    decoupling_speeds_up,
    exponential_on_nonconvex,
    direction_bound,
    same_for_every_loss,
    plateau,
    fastest_on_gaussian,
    not_fastest_on_real,
)

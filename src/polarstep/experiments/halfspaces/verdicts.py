"""Verdicts on halfspaces, computed from their rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..claims import (
    BEYOND,
    DECOUPLING,
    FINDINGS,
    QUESTIONS,
    THEORY,
    UNKNOWN,
    Answer,
    Verdict,
    verdict_for,
)
from ..formatting import short
from .analysis import Analysis, Cell, is_gaussian, straightness


def verdicts(analysis: Analysis) -> list[Verdict | Answer]:
    """Return the verdicts on all claims, and the answer to the question about decoupling."""
    return [check(analysis) for check in _CHECKS]


def _by_data(good: list[Cell], cells: list[Cell]) -> str:
    """Count the good problems of each data set, as in "3 of 6 problems on gaussian"."""
    parts = []
    for data in dict.fromkeys(cell[0] for cell in cells):
        count, total = (sum(cell[0] == data for cell in some) for some in (good, cells))
        parts.append(f"{count} of {total} problems on {data}")
    return ", ".join(parts)


def _name(cell: Cell) -> str:
    return f"{cell[1]}, {cell[2]}"


# --------------------------------------------------------------------------- the paper's findings


def linear_on_gaussian_samples(analysis: Analysis) -> Verdict:
    """Check that the median suboptimality of gdnp is a straight line on a logarithmic axis."""
    cells = analysis.cells(is_gaussian)
    found = {cell: straightness(analysis.median(cell, "gdnp")) for cell in cells}
    good = [cell for cell in cells if found[cell][0] >= 0.98]
    rates = "; ".join(f"{_name(c)}: {found[c][1]:.0f}" for c in good)
    bad = "; ".join(_name(c) for c in cells if c not in good)
    return Verdict(
        FINDINGS,
        "On Gaussian data the convergence is linear.",
        verdict_for(len(good), len(cells)),
        f"Iterations per decimal digit of gdnp with step 1/L: {rates or 'linear on no problem'}."
        + (f" Not linear: {bad}." if bad else ""),
        "On every problem with Gaussian samples, the median suboptimality of gdnp gets below 1e-6, "
        "and its logarithm between 1e-2 and 1e-8 is a straight line with R^2 >= 0.98.",
        "runs-gaussian-softplus",
    )


def speeds_up_real_data(analysis: Analysis) -> Verdict:
    """Compare the iterations of gdnp and gd to the suboptimality that both reach."""
    cells = analysis.cells(lambda cell: not is_gaussian(cell))
    speed = {cell: analysis.speed(cell, "gdnp", "gd") for cell in cells}
    good = [cell for cell in cells if speed[cell] > 1]
    data = cells[0][0] if cells else "real data"
    return Verdict(
        FINDINGS,
        "GDNP also speeds up the real data set, which is not Gaussian.",
        verdict_for(len(good), len(cells)),
        f"Ratio of the iterations of tuned gd to those of gdnp on {data}: "
        + "; ".join(f"{_name(c)}: {short(speed[c])}" for c in cells)
        + ".",
        "On every problem with real data, gdnp with step 1/L needs fewer iterations than tuned gd "
        "to reach the lowest suboptimality that both attain and do not exceed again.",
        f"runs-{data}-softplus",
    )


def normalization_comes_close(analysis: Analysis) -> Verdict:
    """Compare the iterations of bn and wn with those of gdnp."""
    cells = list(analysis.runs)
    speed = {c: (analysis.speed(c, "bn", "gdnp"), analysis.speed(c, "wn", "gdnp")) for c in cells}
    good = [c for c in cells if min(speed[c]) >= 0.5]
    bn, wn = (np.median([s[k] for s in speed.values()]) if cells else 0.0 for k in (0, 1))
    return Verdict(
        FINDINGS,
        "BN and WN come close to GDNP: the effect is due to the decoupling itself.",
        verdict_for(len(good), len(cells)),
        f"Both are at least half as fast as gdnp on {_by_data(good, cells) or 'no problem'}. The "
        f"median speed relative to gdnp over all problems is {bn:.2f} for bn and {wn:.2f} for wn.",
        "On every problem, tuned bn and tuned wn each need at most twice the iterations of gdnp "
        "with step 1/L to reach the lowest suboptimality that both attain and do not exceed again.",
        "overview",
    )


# --------------------------------------------------------------------------- the paper's questions


def accelerates_provably(analysis: Analysis) -> Verdict:
    """Compare gdnp and gd, each with the step of its theory, in the exact population."""
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
        verdict_for(len(good), len(pairs)),
        "Final gradient norm of gdnp and of gd with step 1/smoothness, for the penalised sigmoid: "
        + "; ".join(f"kappa {k:g}: {v['gdnp']:.1e} and {v['gd']:.1e}" for k, v in pairs.items())
        + (f". Too few iterations to tell for kappa {too_short}." if too_short else "."),
        "In the Gaussian population with the penalised sigmoid, the final gradient norm of gdnp is "
        "less than a tenth of that of gd with the step that the theory of gd allows, for every "
        "kappa whose runs are long enough for Theorem 2 to promise a factor of 100.",
        "population-gradient",
    )


def decoupling_speeds_up(analysis: Analysis) -> Answer:
    """Check whether normalization is faster where only decoupling can be the reason."""
    rule = (
        "on halfspaces, tuned bn or tuned wn is faster than tuned gd on more than half of the "
        "problems"
    )
    cells = list(analysis.runs)
    if not cells:
        return Answer(
            DECOUPLING, None, "The experiment on halfspaces has not run.", rule, "overview"
        )
    speed = {c: (analysis.speed(c, "bn", "gd"), analysis.speed(c, "wn", "gd")) for c in cells}
    bn, wn = ([c for c in cells if speed[c][k] > 1] for k in (0, 1))
    return Answer(
        DECOUPLING,
        max(len(bn), len(wn)) > 0.5 * len(cells),
        "The inputs of a halfspace are fixed, so that there is no covariate shift. bn is faster "
        f"than equally tuned gd on {_by_data(bn, cells)}; wn is faster on {_by_data(wn, cells)}.",
        rule,
        "overview",
    )


def exponential_on_nonconvex(analysis: Analysis) -> Verdict:
    """Check the bound of Theorem 2 at every iterate, for the bounded losses."""
    found = [pair for pair in analysis.population("gdnp") if pair[0]["length_penalty"] > 0]
    good = [o for _, o in found if o["worst_gradient_ratio"] <= 1 + 1e-9]
    losses = dict.fromkeys(spec["loss"] for spec, _ in found)
    worst = max((o["worst_gradient_ratio"] for _, o in found), default=0.0)
    return Verdict(
        QUESTIONS,
        "Does decoupling lead to exponential rates on a structured non-convex problem?",
        verdict_for(len(good), len(found)),
        f"In the Gaussian population with a length penalty ({', '.join(losses) or 'no loss'}), the "
        f"gradient norm is at most {worst:.3f} times Theorem 2's bound at every iterate of "
        f"{len(found)} runs.",
        "For the bounded losses with a length penalty, Theorem 2's bound holds at every iterate.",
        "population-gradient",
    )


# --------------------------------------------------------------------------- the theory


def direction_bound(analysis: Analysis) -> Verdict:
    """Check the bound of Theorem 1 at every iterate."""
    found = analysis.population("gdnp")
    good = [o for _, o in found if o["worst_gap_ratio"] <= 1 + 1e-9]
    worst = max((o["worst_gap_ratio"] for _, o in found), default=0.0)
    count = sum(o["iterates_checked"] for _, o in found)
    kappas = ", ".join(f"{k:g}" for k in sorted({s["kappa"] for s, _ in found}))
    return Verdict(
        THEORY,
        "Theorem 1: for every loss, the direction gap stays below (1 - mu/L)^(2t) times its "
        "initial value.",
        verdict_for(len(good), len(found)),
        f"The largest ratio of gap to bound after the start is {worst:.3f}, over {count:,} "
        f"iterates of {len(found)} runs (kappa {kappas or 'none'}).",
        "In every population run, the gap is at most the bound at every iterate at which it is "
        "larger than rounding errors.",
        "population-gap",
    )


def same_for_every_loss(analysis: Analysis) -> Verdict:
    """Check that the direction gap is the same for all losses."""
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
        verdict_for(len(good), len(spread)),
        "The largest relative difference of the gap between losses is "
        + ", ".join(f"{s:.0e} for kappa {k:g}" for k, s in sorted(spread.items()))
        + ".",
        "The gaps of all losses agree to a relative 1e-6 at every recorded iterate at which they "
        "are above 1e-16.",
        "population-gap",
    )


# --------------------------------------------------------------------------- beyond the paper


def plateau(analysis: Analysis) -> Verdict:
    """Compare gd with the step of its theory and gd with a tuned step, from a large length."""
    cells = analysis.cells(lambda c: c[1].startswith("sigmoid") and c[2] == "plateau")
    ends = {
        c: (analysis.median(c, "gd 1/smoothness")[-1], analysis.median(c, "gd")[-1]) for c in cells
    }
    good = [c for c in cells if ends[c][0] > 10 * ends[c][1]]
    return Verdict(
        BEYOND,
        "Started at a large length, gd with step 1/smoothness stalls on the sigmoid's plateau, and "
        "a tuned step escapes.",
        verdict_for(len(good), len(cells)),
        "Final suboptimality with step 1/smoothness and with the tuned step: "
        + "; ".join(f"{c[0]}, {c[1]}: {a:.0e} and {b:.0e}" for c, (a, b) in ends.items())
        + ".",
        "The final suboptimality of gd with step 1/smoothness is more than ten times that of gd "
        "with the tuned step.",
        "runs-gaussian-sigmoid-penalty",
    )


def fastest_on_gaussian(analysis: Analysis) -> Verdict:
    """Compare the iterations of five methods to two accuracies on one problem."""
    cell = ("gaussian", "softplus", "length 1")
    claim = (
        "With softplus on Gaussian data, gdnp with step 1.9/L is the fastest of the five methods "
        "to reach a suboptimality of 1e-8, and agd is faster to reach 1e-6."
    )
    rule = (
        "From the start of length 1, gdnp has the smallest median number of iterations to 1e-8 "
        "(first half of the claim), and agd has a smaller one than gdnp to 1e-6 (second half)."
    )
    if cell not in analysis.runs:
        return Verdict(BEYOND, claim, UNKNOWN, "There are no such runs.", rule, None)
    names = ("gdnp 1.9/L", "agd", "gd", "wn", "bn")
    count = {
        target: {name: analysis.iterations_to(cell, name, target) for name in names}
        for target in (1e-6, 1e-8)
    }
    first = all(count[1e-8]["gdnp 1.9/L"] < count[1e-8][name] for name in names[1:])
    second = count[1e-6]["agd"] < count[1e-6]["gdnp 1.9/L"]
    numbers = "; ".join(
        f"to {target:.0e}, {', '.join(f'{name} {_count(k)}' for name, k in by_name.items())}"
        for target, by_name in count.items()
    )
    numbers = f"Median number of iterations: {numbers}."
    verdict = verdict_for(first + second, 2)
    return Verdict(BEYOND, claim, verdict, numbers, rule, "runs-gaussian-softplus")


def not_fastest_on_real(analysis: Analysis) -> Verdict:
    """Compare gdnp with the four other methods on real data."""
    cells = analysis.cells(lambda cell: not is_gaussian(cell))
    ahead = []
    for cell in cells:
        gdnp = max(analysis.speed(cell, "gdnp", "agd"), analysis.speed(cell, "gdnp 1.9/L", "agd"))
        ahead.append(
            gdnp > max(1.0, *(analysis.speed(cell, name, "agd") for name in ("gd", "wn", "bn")))
        )
    data = cells[0][0] if cells else "real data"
    return Verdict(
        BEYOND,
        "On the real data set, gdnp is not the fastest of the five methods.",
        verdict_for(len(cells) - sum(ahead), len(cells)),
        f"gdnp, with the better of its two steps, is the fastest on {sum(ahead)} of {len(cells)} "
        f"problems with {data}.",
        "On no problem with real data is gdnp faster than all of gd, agd, wn and bn. The speed of "
        "every method is measured relative to agd.",
        "overview",
    )


def _count(iterations: float) -> str:
    return "never" if np.isinf(iterations) else f"{iterations:.0f}"


# --------------------------------------------------------------------------- the list of checks


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

"""Verdicts on deep networks, computed from their rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..claims import (
    BEYOND,
    DECOUPLING,
    FINDINGS,
    HOLDS,
    PART,
    QUESTIONS,
    UNKNOWN,
    Answer,
    Verdict,
    verdict_for,
)
from ..formatting import short
from .analysis import CONTROLS, Analysis
from .plan import Network
from .quantities import RIVALS, SCALES, Quantity, cross, own_block

TOO_FEW_RUNS = "There are too few runs of deep networks to tell."
_NORMALIZED = ("batch", "weight")
_CROSS_BLOCKS = cross("raw", "weights")  # the norms that the paper shows
_DECOUPLING = cross("own", "directions")
_LOWER = 0.95  # ratios below this count as lower; ratios closer to one may be rounding errors
_CHANGED = 1.5  # ratios further from one than this factor count as a change


def verdicts(analysis: Analysis) -> list[Verdict | Answer]:
    """Return the verdicts on all claims, and the answer to the question about decoupling."""
    return [
        trains_faster(analysis),
        less_dependent(analysis),
        dependence_falls(analysis),
        decoupling_in_networks(analysis),
        curvature_changes(analysis),
        carries_over(analysis),
        widens_rates(analysis),
    ]


# --------------------------------------------------------------------------- the paper's findings


def trains_faster(analysis: Analysis) -> Verdict:
    """Compare the numbers of iterations at the tuned rates."""
    speed = {n: _speeds(analysis, n) for n in _NORMALIZED}
    good = [a for a, ratio in speed["batch"].items() if ratio > 1]
    numbers = "; ".join(
        f"{a}: batch {short(speed['batch'][a])}"
        + (f", weight {short(speed['weight'][a])}" if a in speed["weight"] else "")
        for a in speed["batch"]
    )
    return Verdict(
        FINDINGS,
        "Batch normalization makes deep networks train faster.",
        verdict_for(len(good), len(speed["batch"])),
        f"Speed in iterations, as a multiple of the plain network's: {numbers}."
        if numbers
        else TOO_FEW_RUNS,
        "With both activations and each network at its tuned learning rate, batch normalization "
        "needs fewer iterations than the plain network to reach the lowest loss that both attain "
        "(median over seeds).",
        "deep-training",
    )


def less_dependent(analysis: Analysis) -> Verdict:
    """Compare the norms that the paper shows under all controls."""
    found = _under_controls(analysis, ["batch"], _CROSS_BLOCKS)
    directions = _under_controls(analysis, ["batch"], cross("raw", "directions"))
    good = [key for key, ratio in found.items() if ratio < _LOWER]
    return Verdict(
        FINDINGS,
        "With batch normalization, the layers of a deep network depend less on one another.",
        verdict_for(len(good), len(found)),
        f"Ratio of the batch-normalized to the plain network, for the mean of {SCALES['raw']} over "
        f"the other layers: {_listed(found)}. For the directions of the units: "
        f"{_listed(directions)}."
        if found
        else TOO_FEW_RUNS,
        f"With both activations, the median ratio for the weights is below {_LOWER:g} at the tuned "
        "rates (early, late and at equal losses) and at equal rates.",
        "deep-controls",
    )


def dependence_falls(analysis: Analysis) -> Verdict:
    """Compare the norms that the paper shows early and late in the training."""
    parts, good, total = [], 0, 0
    for activation in analysis.activations:
        batch, plain = (
            analysis.early_and_late((activation, n), _CROSS_BLOCKS) for n in ("batch", "plain")
        )
        if not np.isfinite([*batch, *plain]).all():
            continue
        falls = batch[1] < 0.5 * batch[0]
        stays = plain[1] >= 0.5 * plain[0] and plain[1] > batch[1]
        good, total = good + falls + stays, total + 2
        trends = [f"{early:.2g} to {late:.2g}" for early, late in (batch, plain)]
        parts.append(f"{activation}: batch {trends[0]}, plain {trends[1]}")
    return Verdict(
        FINDINGS,
        "The dependence between the layers falls over time with batch normalization and stays high "
        "without it.",
        verdict_for(good, total),
        f"Mean of {SCALES['raw']} over the other layers at the tuned rates, from the first tenth "
        f"of the iterations to the second half: {'; '.join(parts)}."
        if parts
        else TOO_FEW_RUNS,
        "There are two conditions for each activation. With batch normalization, the late median "
        "is less than half of the early one. For the plain network, the late median is at least "
        "half of the early one and above that with batch normalization.",
        "deep-coupling-relu",
    )


# --------------------------------------------------------------------------- the paper's questions


def decoupling_in_networks(analysis: Analysis) -> Answer:
    """Decide whether decoupling explains the speed of deep networks better than its rivals."""
    found = _under_controls(analysis, _NORMALIZED, _DECOUPLING)
    correlations = {name: analysis.correlation(name) for name in ("coupling", *RIVALS)}
    if not found or not np.isfinite(list(correlations.values())).all():
        return Answer(DECOUPLING, None, TOO_FEW_RUNS, _DECOUPLING_RULE, "deep-explanations")
    lower = sum(ratio < _LOWER for ratio in found.values())
    ahead = correlations["coupling"] > max(correlations[name] for name in RIVALS)
    listed = ", ".join(f"{name} {value:+.2f}" for name, value in correlations.items())
    runs = sum(len(list(analysis.all_runs(activation))) for activation in analysis.activations)
    return Answer(
        DECOUPLING,
        lower == len(found) and ahead,
        f"In deep networks, {SCALES['own']} for directions is lower than in the plain network in "
        f"{lower} of {len(found)} comparisons ({_listed(found)}). Its rank correlation with the "
        f"final loss over all {runs} runs, beside those of the other explanations: {listed}.",
        _DECOUPLING_RULE,
        "deep-explanations",
    )


_DECOUPLING_RULE = (
    "in deep networks, the coupling of directions relative to the own block is below "
    f"{_LOWER:g} times that of the plain network with batch and with weight normalization, under "
    "all controls and with both activations, and its rank correlation with the final loss, over "
    "all runs at all rates, is above those of all four measures of covariate shift and smoothness"
)


def curvature_changes(analysis: Analysis) -> Verdict:
    """Compare own block, cross blocks and their ratio at equal losses and at equal rates."""
    quantities: dict[str, Quantity] = {
        "own block": own_block("weights"),
        "cross blocks": _CROSS_BLOCKS,
        "cross over own": cross("own", "weights"),
    }
    parts, good, total = [], 0, 0
    for network in _networks(analysis, _NORMALIZED):
        changes = []
        for name, quantity in quantities.items():
            ratios = [_median(analysis.ratios(network, quantity, c)) for c in ("loss", "rate")]
            if np.isfinite(ratios).all():
                changed = max(ratios) < 1 / _CHANGED or min(ratios) > _CHANGED
                good, total = good + changed, total + 1
                changes.append(f"{name} {short(ratios[0])}, {short(ratios[1])}")
        if changes:
            parts.append(f"{_name(network)}: {'; '.join(changes)}")
    return Verdict(
        QUESTIONS,
        "How does normalization change curvature and the dependence between layers?",
        verdict_for(good, total),
        f"Ratios to the plain network, at equal losses and at equal rates: {'. '.join(parts)}."
        if parts
        else TOO_FEW_RUNS,
        "Normalization changes them if the middle layer's own block, its mean block with the other "
        "layers, and the ratio of the two differ from those of the plain network by a factor above "
        f"{_CHANGED:g}, in the same direction at equal losses and at equal rates, with batch and "
        "weight normalization and both activations.",
        "deep-controls",
    )


def carries_over(analysis: Analysis) -> Verdict:
    """Combine the speed and the decoupling of batch normalization."""
    speed = _speeds(analysis, "batch")
    found = _under_controls(analysis, ["batch"], _DECOUPLING)
    lower = {a: [r for (n, _), r in found.items() if n[0] == a] for a in speed}
    good = [a for a in speed if speed[a] > 1 and lower[a] and max(lower[a]) < _LOWER]
    verdict = verdict_for(len(good), len(speed)) if found else UNKNOWN
    data = analysis.rows[0]["spec"]["data"] if analysis.rows else ""
    if verdict == HOLDS and data != "cifar10":
        verdict = PART
    numbers = "; ".join(
        f"{a}: {short(speed[a])} times as fast, decoupled in "
        f"{sum(r < _LOWER for r in lower[a])} of {len(lower[a])} comparisons"
        for a in speed
    )
    return Verdict(
        QUESTIONS,
        "Does it carry over to deep, realistic networks?",
        verdict,
        f"Batch normalization against the plain network on {data}: {numbers}."
        if found
        else TOO_FEW_RUNS,
        "With both activations, batch normalization trains faster at the tuned rates, and the "
        f"coupling of its directions relative to the own block is below {_LOWER:g} times that of "
        "the plain network under all controls. On images other than CIFAR-10, the claim "
        "holds in part at best.",
        "deep-explanations",
    )


# --------------------------------------------------------------------------- beside the paper


def widens_rates(analysis: Analysis) -> Verdict:
    """Compare how many rates of the grid are good."""
    sweeps = analysis.sweeps
    pairs = [
        (sweeps[network], sweeps[network[0], "plain"])
        for network in sweeps
        if network[1] in _NORMALIZED and (network[0], "plain") in sweeps
    ]
    good = [one for one, plain in pairs if one.decades > plain.decades]
    widths = "; ".join(f"{_name(n)} {sweep.decades:g}" for n, sweep in sweeps.items())
    return Verdict(
        BEYOND,
        "Normalization widens the range of good learning rates of deep networks.",
        verdict_for(len(good), len(pairs)),
        f"Decades that the good rates cover: {widths}." if pairs else TOO_FEW_RUNS,
        "With batch and with weight normalization, and with both activations, the good rates of "
        "the grid cover more decades than those of the plain network. The section on deep networks "
        "defines good rates.",
        "deep-rates",
    )


# --------------------------------------------------------------------------- helpers


def _networks(analysis: Analysis, normalizations: Iterable[str]) -> list[Network]:
    return [(a, n) for a in analysis.activations for n in normalizations]


def _speeds(analysis: Analysis, normalization: str) -> dict[str, float]:
    """Return the speed relative to the plain network by activation, where both have run."""
    speed = {a: analysis.speed((a, normalization), (a, "plain")) for a in analysis.activations}
    return {a: ratio for a, ratio in speed.items() if np.isfinite(ratio)}


def _under_controls(
    analysis: Analysis, normalizations: Iterable[str], quantity: Quantity
) -> dict[tuple[Network, str], float]:
    """Return the median ratio to the plain network under every control, where there is one."""
    ratios = {
        (network, control): _median(analysis.ratios(network, quantity, control))
        for network in _networks(analysis, normalizations)
        for control in CONTROLS
    }
    return {key: ratio for key, ratio in ratios.items() if np.isfinite(ratio)}


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _listed(found: dict[tuple[Network, str], float]) -> str:
    """List ratios as in "relu batch: early 0.3, late 0.1, loss 0.5, rate 0.7; ..."."""
    parts = []
    for network in dict.fromkeys(network for network, _ in found):
        ratios = [f"{c} {short(r)}" for (n, c), r in found.items() if n == network]
        parts.append(f"{_name(network)}: {', '.join(ratios)}")
    return "; ".join(parts)


def _name(network: Network) -> str:
    return " ".join(network)

"""Verdicts on deep networks, computed from their rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..claims import (
    BESIDE,
    DECOUPLING,
    FINDINGS,
    HOLDS,
    PART,
    QUESTIONS,
    UNKNOWN,
    Answer,
    Verdict,
    share,
)
from ..experiment import INSTALL_TORCH
from ..formatting import short
from .analysis import CONTROLS, RIVALS, SCALES, Deep, Quantity, cross, own_block
from .plan import Network, Tuning

NOT_MEASURED = (
    "Deep networks are not measured: polarstep reproduce deep does that, with PyTorch. "
    f"{INSTALL_TORCH}."
)
_NORMALIZED = ("batch", "weight")
_PAPERS = cross("raw", "weights")  # the norms that the paper shows
_DECOUPLING = cross("own", "directions")
_LOWER = 0.95  # a ratio above this is none that is lower: it may be rounding
_CHANGED = 1.5  # a ratio further from one than this is a change


def verdicts(deep: Deep) -> list[Verdict | Answer]:
    """Return the verdicts on all claims, and the answer to the question about decoupling."""
    return [
        trains_faster(deep),
        less_dependent(deep),
        dependence_falls(deep),
        decoupling_in_networks(deep),
        curvature_changes(deep),
        carries_over(deep),
        widens_rates(deep),
    ]


# --------------------------------------------------------------------------- the paper's findings


def trains_faster(deep: Deep) -> Verdict:
    """Iterations at the tuned rates."""
    speed = {n: _speeds(deep, n) for n in _NORMALIZED}
    good = [a for a, ratio in speed["batch"].items() if ratio > 1]
    numbers = "; ".join(
        f"{a}: batch {short(speed['batch'][a])}"
        + (f", weight {short(speed['weight'][a])}" if a in speed["weight"] else "")
        for a in speed["batch"]
    )
    return Verdict(
        FINDINGS,
        "Deep networks: batch normalization trains faster.",
        share(len(good), len(speed["batch"])),
        f"Times fewer iterations than the plain network: {numbers}." if numbers else NOT_MEASURED,
        "Each at its tuned learning rate, batch normalization needs fewer iterations than the "
        "plain network to the lowest loss that both reach, median over seeds, with both "
        "activations.",
        "deep-training",
    )


def less_dependent(deep: Deep) -> Verdict:
    """The norms that the paper shows, under the controls."""
    found = _under_controls(deep, ["batch"], _PAPERS)
    directions = _under_controls(deep, ["batch"], cross("raw", "directions"))
    good = [key for key, ratio in found.items() if ratio < _LOWER]
    return Verdict(
        FINDINGS,
        "Deep networks: with batch normalization layers depend less on one another.",
        share(len(good), len(found)),
        f"Mean {SCALES['raw']} over the other layers, batch over plain: {_listed(found)}. The same "
        f"for the units' directions: {_listed(directions)}."
        if found
        else NOT_MEASURED,
        f"The median ratio for the weights is below {_LOWER:g} with both activations: at the tuned "
        "rates early, late and at equal losses, and at equal rates.",
        "deep-controls",
    )


def dependence_falls(deep: Deep) -> Verdict:
    """The norms that the paper shows, early and late."""
    parts, good, total = [], 0, 0
    for activation in deep.activations:
        batch, plain = (deep.over_time((activation, n), _PAPERS) for n in ("batch", "plain"))
        if not np.isfinite([*batch, *plain]).all():
            continue
        falls = batch[1] < 0.5 * batch[0]
        stays = plain[1] >= 0.5 * plain[0] and plain[1] > batch[1]
        good, total = good + falls + stays, total + 2
        ways = [f"{_number(early)} to {_number(late)}" for early, late in (batch, plain)]
        parts.append(f"{activation}: batch {ways[0]}, plain {ways[1]}")
    return Verdict(
        FINDINGS,
        "Deep networks: with batch normalization the dependence falls over time, without it stays "
        "high.",
        share(good, total),
        f"Mean {SCALES['raw']} over the other layers, from the first tenth of the iterations to "
        f"the second half, tuned rates: {'; '.join(parts)}."
        if parts
        else NOT_MEASURED,
        "With batch normalization the later median is less than half of the earlier; the plain "
        "network's is at least half of the earlier and above that with batch normalization. Two "
        "statements for each activation.",
        "deep-coupling-relu",
    )


# --------------------------------------------------------------------------- the paper's questions


def decoupling_in_networks(deep: Deep) -> Answer:
    """Whether decoupling explains the speed of deep networks better than its rivals do."""
    found = _under_controls(deep, _NORMALIZED, _DECOUPLING)
    correlations = {name: deep.correlation(name) for name in ("coupling", *RIVALS)}
    if not found or not np.isfinite(list(correlations.values())).all():
        numbers = NOT_MEASURED if not deep.rows else "Deep networks: too few runs to tell."
        return Answer(DECOUPLING, None, numbers, _DECOUPLING_RULE, "deep-explanations")
    lower = sum(ratio < _LOWER for ratio in found.values())
    ahead = correlations["coupling"] > max(correlations[name] for name in RIVALS)
    listed = ", ".join(f"{name} {value:+.2f}" for name, value in correlations.items())
    runs = sum(len(list(deep.every(activation))) for activation in deep.activations)
    return Answer(
        DECOUPLING,
        lower == len(found) and ahead,
        f"Deep networks: {SCALES['own']} for directions is lower than in the plain network in "
        f"{lower} of {len(found)} comparisons ({_listed(found)}). Rank correlation with the loss "
        f"at the end over all {runs} runs: {listed}.",
        _DECOUPLING_RULE,
        "deep-explanations",
    )


_DECOUPLING_RULE = (
    "in deep networks, the coupling of directions relative to the own block is below "
    f"{_LOWER:g} times that of the plain network with batch and with weight normalization, under "
    "all controls and with both activations, and its rank correlation with the final loss, over "
    "all runs at all rates, is above those of all four measures of covariate shift and smoothness"
)


def curvature_changes(deep: Deep) -> Verdict:
    """Own block, cross blocks and their ratio, at equal losses and at equal rates."""
    quantities: dict[str, Quantity] = {
        "own block": own_block("weights"),
        "cross blocks": _PAPERS,
        "cross over own": cross("own", "weights"),
    }
    parts, good, total = [], 0, 0
    for network in _networks(deep, _NORMALIZED):
        ways = []
        for name, quantity in quantities.items():
            ratios = [_median(deep.ratios(network, quantity, c)) for c in ("loss", "rate")]
            if np.isfinite(ratios).all():
                changed = max(ratios) < 1 / _CHANGED or min(ratios) > _CHANGED
                good, total = good + changed, total + 1
                ways.append(f"{name} {short(ratios[0])}, {short(ratios[1])}")
        if ways:
            parts.append(f"{_name(network)}: {'; '.join(ways)}")
    return Verdict(
        QUESTIONS,
        "How does normalization change curvature and the dependence between layers?",
        share(good, total),
        "Relative to the plain network, at equal losses, at equal rates: " + ". ".join(parts) + "."
        if parts
        else NOT_MEASURED,
        "That it does change them holds if the middle layer's own block, its mean block with the "
        "other layers, and the second over the first differ from the plain network's by a factor "
        f"above {_CHANGED:g}, to the same side at equal losses and at equal rates; for batch and "
        "weight normalization and both activations.",
        "deep-controls",
    )


def carries_over(deep: Deep) -> Verdict:
    """Speed and decoupling together, with batch normalization."""
    speed, found = _speeds(deep, "batch"), _under_controls(deep, ["batch"], _DECOUPLING)
    lower = {a: [r for (n, _), r in found.items() if n[0] == a] for a in speed}
    good = [a for a in speed if speed[a] > 1 and lower[a] and max(lower[a]) < _LOWER]
    verdict = share(len(good), len(speed)) if found else UNKNOWN
    data = deep.rows[0]["spec"]["data"] if deep.rows else ""
    if verdict == HOLDS and data != "cifar10":
        verdict = PART
    numbers = "; ".join(
        f"{a}: {short(speed[a])} times fewer iterations, decoupled in "
        f"{sum(r < _LOWER for r in lower[a])} of {len(lower[a])} comparisons"
        for a in speed
    )
    return Verdict(
        QUESTIONS,
        "Does it carry over to deep, realistic networks?",
        verdict,
        f"{data}, batch normalization against the plain network: {numbers}."
        if found
        else NOT_MEASURED,
        "Batch normalization trains faster at the tuned rates, and its directions are coupled less "
        f"(below {_LOWER:g} times) relative to the own block under all controls, with both "
        "activations. On images smaller than CIFAR-10's it holds in part at best.",
        "deep-explanations",
    )


# --------------------------------------------------------------------------- beside the paper


def widens_rates(deep: Deep) -> Verdict:
    """How many rates of the grid are good."""
    tuned = deep.tunings
    pairs = [
        (tuned[network], tuned[network[0], "plain"])
        for network in tuned
        if network[1] in _NORMALIZED and (network[0], "plain") in tuned
    ]
    good = [one for one, plain in pairs if one.decades > plain.decades]
    return Verdict(
        BESIDE,
        "Normalization widens the range of good learning rates of deep networks.",
        share(len(good), len(pairs)),
        f"Decades of good rates: {'; '.join(f'{_name(n)} {_width(t)}' for n, t in tuned.items())}."
        if pairs
        else NOT_MEASURED,
        "With batch and with weight normalization, and both activations, the good rates of the "
        "grid span more decades than the plain network's. Good: see the rule for learning rates.",
        "deep-rates",
    )


def _width(tuning: Tuning) -> str:
    return f"{tuning.decades:g}"


# --------------------------------------------------------------------------- reading and writing


def _networks(deep: Deep, normalizations: Iterable[str]) -> list[Network]:
    return [(a, n) for a in deep.activations for n in normalizations]


def _speeds(deep: Deep, normalization: str) -> dict[str, float]:
    """activation -> how many times faster than the plain network, where both have run."""
    speed = {a: deep.speed((a, normalization), (a, "plain")) for a in deep.activations}
    return {a: ratio for a, ratio in speed.items() if np.isfinite(ratio)}


def _under_controls(
    deep: Deep, normalizations: Iterable[str], quantity: Quantity
) -> dict[tuple[Network, str], float]:
    """The median ratio to the plain network under every control, where there is one."""
    ratios = {
        (network, control): _median(deep.ratios(network, quantity, control))
        for network in _networks(deep, normalizations)
        for control in CONTROLS
    }
    return {key: ratio for key, ratio in ratios.items() if np.isfinite(ratio)}


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _listed(found: dict[tuple[Network, str], float]) -> str:
    """ "relu batch: early 0.3, late 0.1, loss 0.5, rate 0.7; ..."."""
    parts = []
    for network in dict.fromkeys(network for network, _ in found):
        ways = [f"{c} {short(r)}" for (n, c), r in found.items() if n == network]
        parts.append(f"{_name(network)}: {', '.join(ways)}")
    return "; ".join(parts)


def _name(network: Network) -> str:
    return " ".join(network)


def _number(value: float) -> str:
    return f"{value:.2g}"

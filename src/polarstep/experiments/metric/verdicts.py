"""Verdicts on batch normalization's metric without batch normalization, computed from the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..claims import UNKNOWN, Answer, Group, Verdict, share
from ..experiment import INSTALL_TORCH
from .analysis import Metrics, Numbers, listed, number
from .plan import BATCH, DIRECTIONS

NOT_MEASURED = f"Not measured: polarstep reproduce metric does that, with PyTorch. {INSTALL_TORCH}."
GROUP = Group("Metric", "batch normalization's, without batch normalization")
COVARIANCE = tuple(f"covariance, {direction}" for direction in DIRECTIONS)
_AS_FAST = 1.1  # a ratio up to this is no slower: it may be the mini-batches
_POINT = 0.01  # of accuracy: a difference up to this may be the choice of the images


def _verdict(
    claim: str, numbers: str, good: int, total: int, rule: str, figure: str | None
) -> Verdict:
    """A verdict of this group; one without numbers says what to run."""
    verdict = share(good, total) if numbers else UNKNOWN
    return Verdict(GROUP, claim, verdict, numbers or NOT_MEASURED, rule, figure)


def verdicts(metrics: Metrics) -> list[Verdict | Answer]:
    """Return the verdicts on all claims."""
    return [
        as_fast(metrics),
        as_fast_on_new_images(metrics),
        as_fast_in_time(metrics),
        as_wide(metrics),
        metric_matters(metrics),
        as_accurate(metrics),
    ]


def as_fast(metrics: Metrics) -> Verdict:
    """Steps to the loss that batch normalization has half-way."""
    ratios = metrics.of_all(metrics.steps_ratio)
    good, total = _count(ratios, lambda r: r <= _AS_FAST)
    return _verdict(
        "Without batch normalization, but in its metric, a network trains as fast as with it, step "
        "for step.",
        _listed("Steps to the loss that batch normalization has half-way, over its own", ratios),
        good,
        total,
        f"At its tuned rate, LengthDirection in the metric covariance needs at most {_AS_FAST:g} "
        "times the steps that SGD on the batch-normalized network takes to its loss half-way, "
        "median over seeds; with both direction rules and both activations.",
        "metric-training",
    )


def as_fast_on_new_images(metrics: Metrics) -> Verdict:
    """The same by the loss on the validation images, which nothing is learned by heart from."""
    ratios = metrics.of_all(lambda n: metrics.steps_ratio(n, field="validation_loss"))
    good, total = _count(ratios, lambda r: r <= _AS_FAST)
    return _verdict(
        "In its metric, a network without it is as fast on new images, too, step for step.",
        _listed(
            "Steps to the validation loss that batch normalization has half-way, over its own",
            ratios,
        ),
        good,
        total,
        "The same with the loss on the validation images instead of that of the mini-batches, "
        "which falls from epoch to epoch as images are learned by heart.",
        "metric-training",
    )


def as_fast_in_time(metrics: Metrics) -> Verdict:
    """The same in seconds."""
    ratios = metrics.of_all(metrics.seconds_ratio)
    good, total = _count(ratios, lambda r: r <= _AS_FAST)
    per_step = metrics.of_all(lambda n: 1000 * metrics.seconds_per_step(n))
    numbers = _listed("Seconds to that loss, over batch normalization's", ratios)
    if numbers:
        numbers += " " + _listed("Milliseconds for a step", per_step)
    return _verdict(
        "In its metric, a network without it trains as fast second for second, too.",
        numbers,
        good,
        total,
        "As for steps, with seconds of the processor; those of a step are the median "
        "over all trainings. On these small networks most of them pass in calling operations.",
        "metric-training",
    )


def as_wide(metrics: Metrics) -> Verdict:
    """Decades of good learning rates."""
    sweeps = metrics.sweeps
    widths = metrics.of_all(lambda network: sweeps[network].decades)
    pairs = [(n, (n[0], BATCH)) for n in widths if n[1] in COVARIANCE and (n[0], BATCH) in widths]
    good = sum(widths[n] >= widths[batch] for n, batch in pairs)
    numbers = _listed("Decades of good rates", widths) if pairs else ""
    as_good = metrics.of_all(metrics.decades_as_good)
    if numbers and as_good:
        numbers += " " + _listed("Of rates as good as batch normalization's good ones", as_good)
    return _verdict(
        "In its metric, a network without it tolerates as wide a range of learning rates.",
        numbers,
        good,
        len(pairs),
        "The good rates of LengthDirection in the metric covariance span at least as many decades "
        "as those of SGD on the batch-normalized network, with both direction rules and both "
        "activations. Good is a rate by the method's own best score: see the rule for these "
        "learning rates. Batch normalization's limit for all is counted beside it.",
        "metric-rates",
    )


def metric_matters(metrics: Metrics) -> Verdict:
    """Covariance against Euclidean at the same direction rule."""
    parts, good, total = [], 0, 0
    for activation in metrics.activations:
        for direction in DIRECTIONS:
            networks = [(activation, f"{m}, {direction}") for m in ("covariance", "euclidean")]
            steps = [metrics.steps_ratio(network) for network in networks]
            if np.isnan(steps).any():
                continue
            total += 1
            good += bool(_AS_FAST * steps[0] < steps[1])
            ends = [metrics.sweeps[network].scores.min() for network in networks]
            parts.append(
                f"{activation}, {direction}: {number(steps[0])} against {number(steps[1])}, "
                f"loss at the end {ends[0]:.3g} against {ends[1]:.3g}"
            )
    return _verdict(
        "The metric is what matters: with the same direction rule, a plain network trains faster "
        "in the metric covariance than in the Euclidean one.",
        f"Steps to the loss that batch normalization has half-way, over its own, covariance "
        f"against euclidean: {'; '.join(parts)}."
        if parts
        else "",
        good,
        total,
        "At the tuned rates, the metric covariance takes fewer steps to the loss that batch "
        f"normalization has half-way, by a factor above {_AS_FAST:g}, with both direction rules "
        "and both activations.",
        "metric-training",
    )


def as_accurate(metrics: Metrics) -> Verdict:
    """Accuracy on images for validation."""
    accuracies = metrics.of_all(metrics.accuracy)
    pairs = [
        (accuracies[n], accuracies[n[0], BATCH])
        for n in accuracies
        if n[1] in COVARIANCE and (n[0], BATCH) in accuracies
    ]
    percent = {network: 100 * value for network, value in accuracies.items()}
    highest = metrics.of_all(lambda n: 100 * metrics.best_accuracy(n))
    numbers = [
        _listed("Percent of the validation images, at the end", percent),
        _listed("At the rate where it is highest", highest),
    ]
    return _verdict(
        "In its metric, a network without it classifies new images as well.",
        " ".join(numbers) if pairs else "",
        sum(mine >= batch - _POINT for mine, batch in pairs),
        len(pairs),
        "At the tuned rates, the accuracy at the end in the metric covariance is at most one "
        "percent of the images below that with batch normalization, median over seeds; with both "
        "direction rules and both activations. Rates are tuned for the training loss.",
        "metric-training",
    )


# --------------------------------------------------------------------------- reading and writing


def _count(ratios: Numbers, wanted: Callable[[float], bool]) -> tuple[int, int]:
    """(how many as wanted, of how many) in the metric covariance."""
    ours = [ratio for (_, method), ratio in ratios.items() if method in COVARIANCE]
    return sum(map(wanted, ours)), len(ours)


def _listed(what: str, numbers: Numbers) -> str:
    """A sentence with the numbers of all networks; nothing without one of ours."""
    return f"{what}. {listed(numbers)}." if _count(numbers, lambda _: True)[1] else ""

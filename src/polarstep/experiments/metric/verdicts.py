"""Verdicts on plain networks in the metric of batch normalization, computed from the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..claims import UNKNOWN, Answer, Group, Verdict, verdict_for
from .analysis import Analysis
from .plan import BATCH, DIRECTIONS, Case
from .wording import STEPS_TO_HALF_WAY_LOSS, Numbers, listed, ratio_text

TOO_FEW_RUNS = "There are too few training runs to tell."
GROUP = Group("Metric", "plain networks in the metric of batch normalization")
COVARIANCE = tuple(f"covariance, {direction}" for direction in DIRECTIONS)
_AS_FAST = 1.1  # ratios up to this count as equally fast; mini-batches cause such differences
_POINT = 0.01  # accuracies that are lower by up to this count as equal; images are chosen at random
_PLAIN = "plain network in the metric of batch normalization"
_BOTH = "with both direction rules and both activations"


def verdicts(analysis: Analysis) -> list[Verdict | Answer]:
    """Return the verdicts on all claims."""
    return [
        as_fast(analysis),
        as_fast_on_new_images(analysis),
        as_fast_in_time(analysis),
        as_wide(analysis),
        metric_matters(analysis),
        as_accurate(analysis),
    ]


def as_fast(analysis: Analysis) -> Verdict:
    """Compare the steps to the training loss of batch normalization in mid-training."""
    ratios = analysis.by_case(analysis.steps_ratio)
    return _verdict(
        f"A {_PLAIN} needs no more steps than a batch-normalized one.",
        _sentence(STEPS_TO_HALF_WAY_LOSS, ratios),
        *_count(ratios, lambda r: r <= _AS_FAST),
        "At its tuned rate, LengthDirection in the covariance metric needs at most "
        f"{_AS_FAST:g} times as many steps as SGD on the batch-normalized network to reach the "
        f"loss that the latter has half-way through its training (median over seeds), {_BOTH}.",
        "metric-training",
    )


def as_fast_on_new_images(analysis: Analysis) -> Verdict:
    """Compare the steps to the validation loss of batch normalization in mid-training."""
    ratios = analysis.by_case(lambda case: analysis.steps_ratio(case, field="validation_loss"))
    return _verdict(
        f"On new images, too, a {_PLAIN} needs no more steps than a batch-normalized one.",
        _sentence(
            "Steps to the validation loss of batch normalization half-way through its training, "
            "relative to batch normalization itself",
            ratios,
        ),
        *_count(ratios, lambda r: r <= _AS_FAST),
        "The rule for the training loss applies, with the loss on the validation images instead. "
        "The loss on the mini-batches also falls because the network memorizes the training "
        "images.",
        "metric-training",
    )


def as_fast_in_time(analysis: Analysis) -> Verdict:
    """Compare the processor time to the loss of batch normalization in mid-training."""
    ratios = analysis.by_case(analysis.seconds_ratio)
    per_step = analysis.by_case(lambda case: 1000 * analysis.seconds_per_step(case))
    numbers = _sentence(
        "Seconds to the loss of batch normalization half-way through its training, relative to "
        "batch normalization itself",
        ratios,
    )
    if numbers:
        numbers += " " + _sentence("Milliseconds per step", per_step)
    return _verdict(
        f"A {_PLAIN} needs no more time than a batch-normalized one.",
        numbers,
        *_count(ratios, lambda r: r <= _AS_FAST),
        "The rule for steps applies, with processor time instead. The time of a step is the median "
        "over all runs; in these small networks, it is mostly the overhead of calling "
        "operations.",
        "metric-training",
    )


def as_wide(analysis: Analysis) -> Verdict:
    """Compare the decades of good learning rates."""
    widths = analysis.by_case(lambda case: analysis.sweeps[case].decades)
    pairs = _pairs_with_batch(widths)
    numbers = _sentence("Decades of good rates", widths) if pairs else ""
    as_good = analysis.by_case(analysis.decades_as_good)
    if numbers and as_good:
        numbers += " " + _sentence(
            "Decades of rates that score as well as batch normalization's good ones", as_good
        )
    return _verdict(
        f"A {_PLAIN} tolerates as wide a range of learning rates as a batch-normalized one.",
        numbers,
        sum(mine >= batch for mine, batch in pairs),
        len(pairs),
        "The good rates of LengthDirection in the covariance metric cover at least as many decades "
        f"as those of SGD on the batch-normalized network, {_BOTH}. The section on this "
        "experiment defines good rates by the best score of each recipe. The numbers also count "
        "the rates whose scores would be good for batch normalization.",
        "metric-rates",
    )


def metric_matters(analysis: Analysis) -> Verdict:
    """Compare the covariance metric with the Euclidean one, for each direction rule."""
    parts, good, total = [], 0, 0
    for activation in analysis.activations:
        for direction in DIRECTIONS:
            cases = [(activation, f"{m}, {direction}") for m in ("covariance", "euclidean")]
            steps = [analysis.steps_ratio(case) for case in cases]
            if np.isnan(steps).any():
                continue
            total += 1
            good += bool(_AS_FAST * steps[0] < steps[1])
            ends = [analysis.sweeps[case].scores.min() for case in cases]
            parts.append(
                f"{activation}, {direction}: {ratio_text(steps[0])} against "
                f"{ratio_text(steps[1])}, final loss {ends[0]:.3g} against {ends[1]:.3g}"
            )
    return _verdict(
        "The metric is what matters: with the same direction rule, a plain network trains faster "
        "in the covariance metric than in the Euclidean one.",
        f"{STEPS_TO_HALF_WAY_LOSS}, in the covariance metric against the Euclidean one: "
        f"{'; '.join(parts)}."
        if parts
        else "",
        good,
        total,
        "At the tuned rates, the covariance metric needs fewer steps to reach the loss of "
        f"batch normalization half-way through its training, by a factor above {_AS_FAST:g}, "
        f"{_BOTH}.",
        "metric-training",
    )


def as_accurate(analysis: Analysis) -> Verdict:
    """Compare the accuracies on the validation images."""
    accuracies = analysis.by_case(analysis.accuracy)
    pairs = _pairs_with_batch(accuracies)
    percent = {case: 100 * value for case, value in accuracies.items()}
    highest = analysis.by_case(lambda case: 100 * analysis.best_accuracy(case))
    numbers = [
        _sentence("Final percentage of correctly classified validation images", percent),
        _sentence("This percentage at the rate where it is highest", highest),
    ]
    return _verdict(
        f"A {_PLAIN} classifies new images as well as a batch-normalized one.",
        " ".join(numbers) if pairs else "",
        sum(mine >= batch - _POINT for mine, batch in pairs),
        len(pairs),
        "At the tuned rates, the final accuracy in the covariance metric is at most one percentage "
        f"point below that with batch normalization (median over seeds), {_BOTH}. The rates are "
        "tuned for the training loss.",
        "metric-training",
    )


# --------------------------------------------------------------------------- helpers


def _verdict(
    claim: str, numbers: str, good: int, total: int, rule: str, figure: str | None
) -> Verdict:
    """Return a verdict of this group; without numbers, the claim is not measured."""
    verdict = verdict_for(good, total) if numbers else UNKNOWN
    return Verdict(GROUP, claim, verdict, numbers or TOO_FEW_RUNS, rule, figure)


def _is_covariance(case: Case) -> bool:
    return case[1] in COVARIANCE


def _pairs_with_batch(numbers: Numbers) -> list[tuple[float, float]]:
    """Pair the numbers in the covariance metric with those of batch normalization."""
    return [
        (value, numbers[case[0], BATCH])
        for case, value in numbers.items()
        if _is_covariance(case) and (case[0], BATCH) in numbers
    ]


def _count(ratios: Numbers, wanted: Callable[[float], bool]) -> tuple[int, int]:
    """Return how many ratios in the covariance metric are as wanted, and how many there are."""
    found = [ratio for case, ratio in ratios.items() if _is_covariance(case)]
    return sum(map(wanted, found)), len(found)


def _sentence(what: str, numbers: Numbers) -> str:
    """List the numbers of all cases, or nothing if none is in the covariance metric."""
    return f"{what}: {listed(numbers)}." if any(map(_is_covariance, numbers)) else ""

"""The paper's findings and questions, each with a verdict that is computed from the rows.

A verdict is "holds", "holds in part", "does not hold" or "not measured", by the rule that stands
beside it in the report. The findings are those of section 5 of Kohler et al. 2019; a second group
checks what the theory implies, a third what is known besides or to go differently, and a fourth
whether an optimizer in batch normalization's metric does what batch normalization does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..claims import FAILS, HOLDS, PART, UNKNOWN, Verdict
from ..deep import verdicts as deep
from ..halfspaces import verdicts as halfspaces
from ..metric import verdicts as metric
from .rows import Rows


def verdicts(rows: Rows) -> list[Verdict]:
    """All verdicts, in the report's order."""
    return [_answer(check, rows) for check in _CHECKS]


def _answer(check: Callable[[Rows], Verdict], rows: Rows) -> Verdict:
    """A verdict; where its experiment was not run, what to run in place of empty numbers."""
    verdict = check(rows)
    name = "network" if check in _ON_THE_NETWORK else "halfspaces"
    if check.__module__ != halfspaces.__name__ or getattr(rows, name):
        return verdict
    return replace(verdict, numbers=f"Not run: polarstep reproduce {name} does that.")


def _decoupling_explains(rows: Rows) -> Verdict:
    """The one question that halfspaces and deep networks answer together."""
    answers = [halfspaces.decoupling_speeds_up(rows), deep.decoupling_in_networks(rows)]
    known = [yes for yes, _ in answers if yes is not None]
    verdict = PART if any(known) else FAILS if known else UNKNOWN
    return Verdict(
        "Questions",
        "Is the effect length-direction decoupling, rather than less covariate shift or a smoother "
        "loss?",
        HOLDS if known == [True, True] else verdict,
        " ".join(numbers for _, numbers in answers),
        "Two halves, and it holds in part if one of them does: on halfspaces, bn or wn is faster "
        f"than gd, all tuned, in more than half of the problems; {deep.DECOUPLING_RULE}.",
        "deep-explanations" if answers[1][0] is not None else "overview",
    )


_ON_THE_NETWORK = (
    halfspaces.unit_directions,
    halfspaces.sweeps_mend,
    halfspaces.second_unit_is_idle,
)
_CHECKS: list[Callable[[Rows], Verdict]] = [
    halfspaces.linear_on_gaussian_samples,
    halfspaces.speeds_up_real_data,
    halfspaces.normalization_comes_close,
    deep.trains_faster,
    deep.less_dependent,
    deep.dependence_falls,
    halfspaces.accelerates_provably,
    _decoupling_explains,
    halfspaces.exponential_on_nonconvex,
    deep.curvature_changes,
    deep.carries_over,
    halfspaces.direction_bound,
    halfspaces.same_for_every_loss,
    halfspaces.unit_directions,
    halfspaces.sweeps_mend,
    halfspaces.second_unit_is_idle,
    halfspaces.plateau,
    halfspaces.fastest_on_gaussian,
    halfspaces.not_fastest_on_real,
    deep.widens_rates,
    metric.as_fast,
    metric.as_fast_on_new_images,
    metric.as_fast_in_time,
    metric.as_wide,
    metric.metric_matters,
    metric.as_accurate,
]

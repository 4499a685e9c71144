"""A grid search for the step sizes of the constant-step methods, which rejects unstable steps.

`RULE` describes it for the report.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...methods.objective import Objective
from ...result import Progress, Status
from .starts import run_from

FACTORS = tuple(4.0**k for k in range(-2, 6))
SMALLER_FACTORS = tuple(4.0**k for k in range(-6, -2))  # for wn and bn, whose w starts at norm 1
LENGTH_FACTORS = tuple(4.0**k for k in range(7))
_STRETCHES = 16
_FLOOR = 1e-12  # a smaller suboptimality counts as this
_TIE = 0.01
_FINE_MOVES = 6

RULE = """
A factor multiplies the default step 1/(C L), where C bounds the curvature of the objective in the
metric S. A factor is stable if, from both tuning starts (which no run uses), the objective stays
finite, never exceeds its initial value, and never rises after the first tenth of the iterations.
The last condition does not apply to agd, whose momentum overshoots by design. The stable factor
with the lowest score is chosen. The score is the mean over 16 equal stretches of the iterations of
log10 of the largest suboptimality in the stretch; if scores differ by less than 0.01, the smaller
step is chosen. The factors 4^-2 ... 4^5 are tried first (4^-6 ... 4^5 for wn and bn). wn and bn
also have a step size for the length, for which the factors 4^0 ... 4^6 are tried next. Then one
factor or both are doubled or halved as long as that lowers the score, at most six times. gdnp is
not tuned.
"""


def tune(
    objective: Objective,
    method: str,
    starts: list[np.ndarray],
    length: float,
    iterations: int,
    reference: float,
) -> dict[str, Any]:
    """Find the best stable constant steps of one method on one problem.

    Returns
    -------
    dict
        steps: the options for `minimize`. factor, length_factor: the steps in units of the default
        steps. stable: whether any factor was stable. edge: whether the factor is an end of the
        grid. attempts: (factor, length factor, score) in the order tried, with an infinite score
        for an unstable step.
    """
    default = 1.0 / (objective.curvature * objective.moments.L)
    default_length = default * (objective.moments.L if method == "bn" else 1.0)
    has_length = method in ("wn", "bn")
    scores: dict[tuple[float, float], float] = {}

    def options(factor: float, length_factor: float) -> dict[str, float]:
        steps = {"step_size": factor * default}
        if has_length:
            steps["length_step_size"] = length_factor * default_length
        return steps

    def winner(pairs: list[tuple[float, float]]) -> tuple[float, float]:
        """Return the pair with the lowest score; on a tie, the smaller one."""
        pairs = sorted(pairs)
        for pair in pairs:
            if pair not in scores:
                steps = options(*pair)
                scores[pair] = _score(
                    objective, method, starts, length, iterations, steps, reference
                )
        best = pairs[0]
        for pair in pairs[1:]:
            if scores[pair] < scores[best] - _TIE:
                best = pair
        return best

    factors = [*SMALLER_FACTORS, *FACTORS] if has_length else FACTORS
    best = winner([(factor, 1.0) for factor in factors])
    edge = best[0] in (factors[0], factors[-1])
    if has_length:
        best = winner([(best[0], factor) for factor in LENGTH_FACTORS])
    for _ in range(_FINE_MOVES):
        challenger = winner([(best[0] * i, best[1] * j) for i, j in _moves(has_length)])
        if not scores[challenger] < scores[best] - _TIE:
            break
        best = challenger
    factor, length_factor = best
    return {
        "steps": options(factor, length_factor),
        "factor": factor,
        "length_factor": length_factor if has_length else None,
        "stable": bool(np.isfinite(scores[factor, length_factor])),
        "edge": edge,
        "attempts": [[*pair, score] for pair, score in scores.items()],
    }


def _moves(has_length: bool) -> list[tuple[float, float]]:
    """Return the multipliers of (factor, length factor) that the fine search tries."""
    if not has_length:
        return [(0.5, 1.0), (2.0, 1.0)]
    return [(i, j) for i in (0.5, 1.0, 2.0) for j in (0.5, 1.0, 2.0) if (i, j) != (1.0, 1.0)]


def _score(
    objective: Objective,
    method: str,
    starts: list[np.ndarray],
    length: float,
    iterations: int,
    steps: dict[str, float],
    reference: float,
) -> float:
    """Return the score that `RULE` defines; it is infinite for unstable steps."""
    total = 0.0
    for w0 in starts:
        watch = _Watch(iterations if method == "agd" else iterations // 10)
        result = run_from(objective, method, w0, length, iterations, callback=watch, **steps)
        if result.status is Status.interrupted and not watch.unstable:
            raise KeyboardInterrupt
        if watch.unstable or result.n_iter < iterations:
            return float("inf")
        gaps = np.maximum(result.trace.fun[1:] - reference, _FLOOR)
        total += float(
            np.mean([np.log10(s.max()) for s in np.array_split(gaps, min(_STRETCHES, len(gaps)))])
        )
    return total / len(starts)


class _Watch:
    """A callback that stops a run as soon as f rises where a stable step would lower it."""

    def __init__(self, transient: int) -> None:
        self.transient = transient  # until this iteration f may rise, but not above its start
        self.ceiling = np.inf
        self.unstable = False

    def __call__(self, progress: Progress) -> None:
        if progress.fun > self.ceiling + 1e-12:
            self.unstable = True
            raise StopIteration
        if progress.iteration == 0 or progress.iteration >= self.transient:
            self.ceiling = progress.fun

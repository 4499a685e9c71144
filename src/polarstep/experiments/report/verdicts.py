"""The verdicts of all experiments, in the report's order.

A verdict is "holds", "holds in part", "does not hold" or "not measured", by the rule that the
report prints beside it.
"""

from __future__ import annotations

from dataclasses import replace

from ..claims import Answer, Question, Verdict, combine
from ..experiment import INSTALL_TORCH, Experiment
from ..registry import EXPERIMENTS
from .rows import Rows


def verdicts(rows: Rows) -> list[Verdict]:
    """Return all verdicts: by the rank of their group, then in the order of the experiments."""
    found: list[Verdict | Answer] = []
    for name, experiment in EXPERIMENTS.items():
        own = experiment.verdicts(rows.analyses[name])
        if not rows.of(name):
            own = [replace(one, numbers=_what_to_run(experiment)) for one in own]
        found += own
    answers: dict[Question, list[Answer]] = {}
    for one in found:
        if isinstance(one, Answer):
            answers.setdefault(one.question, []).append(one)
    lines: list[Verdict] = []
    for one in found:
        if isinstance(one, Verdict):
            lines.append(one)
        elif one is answers[one.question][0]:
            lines.append(combine(answers[one.question]))
    groups = list(dict.fromkeys(line.group for line in lines))
    groups.sort(key=lambda group: group.rank)
    return sorted(lines, key=lambda line: groups.index(line.group))


def _what_to_run(experiment: Experiment) -> str:
    command = f"Not run yet. Run: polarstep reproduce {experiment.name}"
    if not experiment.requires_torch:
        return f"{command}."
    return f"{command}. It needs PyTorch. {INSTALL_TORCH}."

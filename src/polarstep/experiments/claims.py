"""Verdicts on claims, and answers to questions that several experiments answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


@dataclass(frozen=True)
class Group:
    """A group of claims in the report, which lists groups by rank and then by first appearance."""

    name: str
    description: str = ""
    rank: int = 9


FINDINGS = Group("Findings", "what the paper found", 0)
QUESTIONS = Group("Questions", "what the paper asks", 1)
THEORY = Group("Theory", "what the theorems imply", 2)
BEYOND = Group("Beyond the paper", "what the paper leaves open, or finds differently", 3)


@dataclass(frozen=True)
class Verdict:
    """One line of the report's first table."""

    group: Group
    claim: str
    verdict: str
    numbers: str
    rule: str
    figure: str | None  # the id of the figure that shows it


@dataclass(frozen=True)
class Question:
    """A question that several experiments answer together."""

    group: Group
    claim: str


@dataclass(frozen=True)
class Answer:
    """The answer of one experiment to a shared question; `holds` is None without measurements."""

    question: Question
    holds: bool | None
    numbers: str
    rule: str  # without a period: the rules of all answers are joined into one sentence
    figure: str | None


DECOUPLING = Question(
    QUESTIONS,
    "Is the effect length-direction decoupling, rather than less covariate shift or a smoother "
    "loss?",
)


def combine(answers: Sequence[Answer]) -> Verdict:
    """Return the verdict on a question from the answers of all experiments that have one."""
    known = [answer for answer in answers if answer.holds is not None]
    holding = sum(bool(answer.holds) for answer in known)
    verdict = FAILS if known else UNKNOWN
    if holding:
        verdict = HOLDS if holding == len(answers) else PART
    return Verdict(
        answers[0].question.group,
        answers[0].question.claim,
        verdict,
        " ".join(answer.numbers for answer in answers),
        "It holds if all of the following are true, and in part if some are: "
        + "; ".join(answer.rule for answer in answers)
        + ".",
        known[-1].figure if known else answers[0].figure,
    )


def verdict_for(good: int, total: int) -> str:
    """Return the verdict for a claim that holds in `good` of `total` cases."""
    if total == 0:
        return UNKNOWN
    return HOLDS if good == total else PART if good else FAILS

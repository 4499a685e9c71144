"""Verdicts from counts, and one verdict from the answers of several experiments."""

import pytest

from polarstep.experiments.claims import QUESTIONS, Answer, Question, combine, verdict_for

QUESTION = Question(QUESTIONS, "Does it?")


@pytest.mark.parametrize(
    ("good", "total", "expected"),
    [
        (3, 3, "holds"),
        (1, 3, "holds in part"),
        (0, 3, "does not hold"),
        (0, 0, "not measured"),
    ],
)
def test_a_share_of_cases(good, total, expected):
    assert verdict_for(good, total) == expected


@pytest.mark.parametrize(
    ("holds", "expected", "figure"),
    [
        ([True, True], "holds", "figure-1"),
        ([True, False], "holds in part", "figure-1"),
        ([None, True], "holds in part", "figure-1"),
        ([True, None], "holds in part", "figure-0"),
        ([False, None], "does not hold", "figure-0"),
        ([False, False], "does not hold", "figure-1"),
        ([None, None], "not measured", "figure-0"),
        ([True], "holds", "figure-0"),
    ],
)
def test_answers_are_combined(holds, expected, figure):
    answers = [
        Answer(QUESTION, held, f"Numbers {k}.", f"rule {k}", f"figure-{k}")
        for k, held in enumerate(holds)
    ]
    found = combine(answers)
    assert (found.group, found.claim, found.verdict) == (QUESTIONS, "Does it?", expected)
    assert found.numbers == " ".join(answer.numbers for answer in answers)
    assert found.rule.endswith("; ".join(answer.rule for answer in answers) + ".")
    assert found.figure == figure

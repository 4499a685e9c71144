"""How numbers are written."""

import pytest

from polarstep.experiments.formatting import short, six_digits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"),
        (1.0, "1"),
        (5e-8, "5e-8"),
        (1e-13, "1e-13"),
        (2e10, "2e10"),
        (150.0, "150"),
        (99.6, "100"),
        (0.0, "0"),
        (-0.25, "-0.25"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text


@pytest.mark.parametrize("value", [0.0, 1 / 3, -2e9 / 7, 1e-300 / 7])
def test_six_digits_are_kept(value):
    assert six_digits(value) == pytest.approx(value, rel=1e-5)
    assert len(repr(six_digits(value)).strip("-").split("e")[0].replace(".", "")) <= 10

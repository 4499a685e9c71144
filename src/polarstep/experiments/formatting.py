"""Numbers formatted for the report, and rounded for the rows."""

from __future__ import annotations

import re


def short(value: float) -> str:
    """Write a number with at most two significant digits, such as 0.2, 150 or 5e-8."""
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"
    return re.sub(r"e([+-])0*", lambda m: "e-" if m[1] == "-" else "e", f"{value:.0e}")


def six_digits(value: float) -> float:
    """Round to six significant digits, which is enough for a figure and keeps the rows small."""
    return float(f"{value:.6g}")

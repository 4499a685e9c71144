"""How sure the coefficients of a logistic regression are: standard errors, tests and intervals."""

from .results import Summary
from .summarizing import summary

__all__ = ["Summary", "summary"]

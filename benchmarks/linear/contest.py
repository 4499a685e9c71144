"""A contest: one problem, its contestants, and how their results are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OURS = "polarstep"
Make = Callable[[float], Any]  # a tolerance -> an unfitted estimator
Outcome = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Contest:
    """One problem on (X, y).

    Each peer has variants, of which the fastest that reaches the target runs. `ours` maps the names
    of polarstep's estimators to (make, tolerance); without a tolerance it is searched for as well.
    `outcome` reads the arrays from a fitted estimator that `error` compares with the optimum.
    """

    name: str
    label: str
    key: str
    X: Any
    y: np.ndarray
    target: float
    peers: dict[str, list[Make]]
    ours: dict[str, tuple[Make, float | None]]
    outcome: Callable[[Any], Outcome]
    error: Callable[..., float]
    facts: dict[str, Any] = field(default_factory=dict)  # what the tables say of the problem

    def fit(self, estimator: Any) -> Any:
        return estimator.fit(self.X, self.y)

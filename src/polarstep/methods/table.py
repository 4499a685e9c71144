"""The methods: a parameterization, a direction rule and a length rule each.

======  ===============  ========================  ============================================
method  parameterization direction rule            length rule
======  ===============  ========================  ============================================
gd      plain            constant step             none
agd     plain            Nesterov                  none
wn      metric I         constant step             constant step
bn      metric S         constant step             constant step
gdnp    metric S         the theorem's step        bisection (a formula for least squares)
whitened metric S        S^-1 u; on data L-BFGS    Newton on cached margins
======  ===============  ========================  ============================================
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..validation import look_up, number, unknown
from . import steps
from .objectives import Objective
from .parameterization import Parameterization, batch_norm, plain, weight_norm


@dataclass(frozen=True)
class Method:
    """A row of the table above."""

    name: str
    parameterization: Parameterization
    direction: Callable[..., steps.DirectionRule]
    length: Callable[..., steps.LengthRule]

    @property
    def has_length(self) -> bool:
        """Whether the method has a length of its own, which starts at the option `length`."""
        return self.parameterization is not plain

    @property
    def option_names(self) -> set[str]:
        """The keyword arguments of its two rules, and `length` where it has one."""
        names = set(keywords(self.direction)) | set(keywords(self.length))
        return names | {"length"} if self.has_length else names

    def rules(
        self, objective: Objective, options: dict[str, Any]
    ) -> tuple[steps.DirectionRule, steps.LengthRule, float]:
        """(direction rule, length rule, starting length) with the options filled in."""
        for name in options:
            if name not in self.option_names:
                raise TypeError(
                    unknown(name, self.option_names, f"minimize ({self.name})", "options")
                )
        length = number(options.get("length", 1.0), "minimize", "length")

        def made(rule: Callable[..., Any]) -> Any:
            chosen = {k: options[k] for k in keywords(rule) if k in options}
            return rule(objective, self.parameterization, **chosen)

        return made(self.direction), made(self.length), length


def keywords(rule: Callable[..., Any]) -> list[str]:
    """The names of a function's keyword-only arguments."""
    parameters = inspect.signature(rule).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gd", plain, steps.constant_step, steps.fixed_length),
        Method("agd", plain, steps.nesterov, steps.fixed_length),
        Method("wn", weight_norm, steps.constant_step, steps.constant_length_step),
        Method("bn", batch_norm, steps.constant_step, steps.constant_length_step),
        Method("gdnp", batch_norm, steps.theorem_step, steps.length_search),
        Method("whitened", batch_norm, steps.whitened_direction, steps.length_search),
    )
}


def find_method(method: str | Method) -> Method:
    """A method by its name, or the given Method itself."""
    if isinstance(method, Method):
        return method
    return look_up(method, METHODS, "minimize", "method")

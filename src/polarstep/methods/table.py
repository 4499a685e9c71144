"""The table of methods; each has a parameterization, a direction rule and a length rule.

========  ================  ===================  ========================================
method    parameterization  direction rule       length rule
========  ================  ===================  ========================================
gd        plain             constant step        none
agd       plain             Nesterov             none
wn        metric I          constant step        constant step
bn        metric S          constant step        constant step
gdnp      metric S          the theorem's step   bisection (a formula for least squares)
whitened  metric S          S^-1 u               bisection (a formula for least squares)
========  ================  ===================  ========================================

The row "whitened" is for objectives that depend on the data through their moments alone. For
samples, `polarstep.minimize` runs the solver of the linear models under this name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..validation import look_up, number, unknown
from . import lengths, steps
from .objective import Objective
from .parameterization import Parameterization, batch_norm, plain, weight_norm


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    Parameters
    ----------
    name : str
        The name of the method.
    parameterization : Parameterization
        The parameterization of wt by w and g.
    direction : callable
        The function that makes the direction rule, one of `polarstep.methods.steps` or your own.
    length : callable
        The function that makes the length rule, one of `polarstep.methods.lengths` or your own.

    Examples
    --------
    A method of your own is passed to `polarstep.minimize` in place of a name. This one takes the
    constant direction step of batch normalization, and searches the length as gdnp does:

    >>> import polarstep as ps
    >>> from polarstep.methods import lengths, steps
    >>> from polarstep.methods.parameterization import batch_norm
    >>> mine = Method("mine", batch_norm, steps.constant_step, lengths.length_search)
    >>> f = ps.GaussianHalfspace([0.5, 0.1], [[1.0, 0.0], [0.0, 0.1]])
    >>> ps.minimize(f, mine, max_iter=1000).status.name
    'converged'
    """

    name: str
    parameterization: Parameterization
    direction: Callable[..., steps.DirectionRule]
    length: Callable[..., lengths.LengthRule]

    @property
    def has_length(self) -> bool:
        """Whether the method has a separate length g; the option `length` is its initial value."""
        return self.parameterization is not plain

    @property
    def option_names(self) -> set[str]:
        """The options of the two rules, and `length` for a method with a length."""
        names = set(keywords(self.direction)) | set(keywords(self.length))
        return names | {"length"} if self.has_length else names

    def rules(
        self, objective: Objective, options: dict[str, Any]
    ) -> tuple[steps.DirectionRule, lengths.LengthRule, float]:
        """Return the two rules for an objective, and the initial length.

        Parameters
        ----------
        objective : Objective
            The objective.
        options : dict
            The options by name.

        Returns
        -------
        tuple of (callable, callable, float)
            The direction rule, the length rule and the initial length.

        Raises
        ------
        TypeError
            If an option is unknown; the message lists the known ones.
        """
        check_options(options, self.option_names, self.name)
        length = number(options.get("length", 1.0), "minimize", "length")

        def make(rule: Callable[..., Any]) -> Any:
            chosen = {k: options[k] for k in keywords(rule) if k in options}
            return rule(objective, self.parameterization, **chosen)

        return make(self.direction), make(self.length), length


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gd", plain, steps.constant_step, lengths.fixed_length),
        Method("agd", plain, steps.nesterov, lengths.fixed_length),
        Method("wn", weight_norm, steps.constant_step, lengths.constant_length_step),
        Method("bn", batch_norm, steps.constant_step, lengths.constant_length_step),
        Method("gdnp", batch_norm, steps.theorem_step, lengths.length_search),
        Method("whitened", batch_norm, steps.whitened_direction, lengths.length_search),
    )
}
"""The methods by name. This table is the only list of methods."""


def find_method(method: str | Method) -> Method:
    """Return a method by its name, or the given `Method` itself.

    Parameters
    ----------
    method : str or Method
        A name in `METHODS`, or an object.

    Returns
    -------
    Method
        The method.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known names.
    """
    if isinstance(method, Method):
        return method
    return look_up(method, METHODS, "minimize", "method")


def keywords(rule: Callable[..., Any]) -> list[str]:
    """Return the names of the keyword-only arguments of a function.

    Parameters
    ----------
    rule : callable
        The function.

    Returns
    -------
    list of str
        The names, in the order of the signature.
    """
    parameters = inspect.signature(rule).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def check_options(options: dict[str, Any], known: set[str], method: str) -> None:
    """Raise a TypeError if an option is unknown.

    Parameters
    ----------
    options : dict
        The options by name.
    known : set of str
        The names of the options of the method.
    method : str
        The name of the method.

    Raises
    ------
    TypeError
        If an option is unknown; the message lists the known ones.
    """
    for name in options:
        if name not in known:
            raise TypeError(unknown(name, known, f"minimize ({method})", "options"))

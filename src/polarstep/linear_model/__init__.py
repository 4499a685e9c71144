"""Linear models with scikit-learn's interface, and the solver behind them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .halfspace import HalfspaceClassifier
    from .logistic import LogisticRegression

__all__ = ["HalfspaceClassifier", "LogisticRegression"]

_HOMES = {"HalfspaceClassifier": "halfspace", "LogisticRegression": "logistic"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

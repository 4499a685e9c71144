"""Linear models with scikit-learn's interface, and the solver behind them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import inference
    from .cross_validation import LogisticRegressionCV
    from .halfspace import HalfspaceClassifier
    from .logistic import LogisticRegression

__all__ = ["HalfspaceClassifier", "LogisticRegression", "LogisticRegressionCV", "inference"]

_HOMES = {
    "HalfspaceClassifier": "halfspace",
    "LogisticRegression": "logistic",
    "LogisticRegressionCV": "cross_validation",
}
_MODULES = {"inference"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays fast."""
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""polarstep: optimise the length and the direction of weight vectors separately."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import curvature, design, linear_model, losses, methods, nn, optim
    from .design import Design
    from .linear_model.cross_validation import LogisticRegressionCV
    from .linear_model.halfspace import HalfspaceClassifier
    from .linear_model.logistic import LogisticRegression
    from .losses import MarginLoss
    from .methods import theory
    from .methods.halfspace import Halfspace
    from .methods.least_squares import LeastSquares
    from .methods.population import GaussianHalfspace
    from .methods.tanh_network import TanhNetwork
    from .minimization import minimize
    from .moments import Moments
    from .result import Result, Status, Trace

__version__ = "0.1.0"

_HOMES = {
    "Design": "design",
    "MarginLoss": "losses",
    "Moments": "moments",
    "LeastSquares": "methods.least_squares",
    "Halfspace": "methods.halfspace",
    "GaussianHalfspace": "methods.population",
    "TanhNetwork": "methods.tanh_network",
    "minimize": "minimization",
    "HalfspaceClassifier": "linear_model.halfspace",
    "LogisticRegression": "linear_model.logistic",
    "LogisticRegressionCV": "linear_model.cross_validation",
    "Result": "result",
    "Status": "result",
    "Trace": "result",
}
_MODULES = {
    "design": "design",
    "linear_model": "linear_model",
    "losses": "losses",
    "methods": "methods",
    "theory": "methods.theory",
}
_NEED_TORCH = {"curvature", "nn", "optim"}  # `from polarstep import *` leaves them out
_MOVED = {
    "objectives": "polarstep.methods (the modules objective, least_squares, halfspace, population)",
    "parameterization": "polarstep.methods.parameterization",
    "solvers": "polarstep.methods.table",
    "steps": "polarstep.methods.steps and polarstep.methods.lengths",
}

__all__ = [*_HOMES, *sorted(_MODULES), "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import polarstep` is instant."""
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{_MODULES[name]}", __name__)
    elif name in _NEED_TORCH:
        value = import_module(f".{name}", __name__)
    elif name in _MOVED:
        raise AttributeError(f"polarstep.{name} has moved: use {_MOVED[name]}.")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_NEED_TORCH])

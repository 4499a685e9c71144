"""polarstep: optimise the length and the direction of weight vectors separately."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import curvature, design, losses, nn, optim
    from .design import Design
    from .linear_model.halfspace import HalfspaceClassifier
    from .losses import MarginLoss
    from .methods import objectives, parameterization, steps, theory
    from .methods import table as solvers
    from .methods.objectives import GaussianHalfspace, Halfspace, LeastSquares
    from .methods.tanh_network import TanhNetwork
    from .minimization import minimize
    from .moments import Moments
    from .result import Result, Status, Trace

__version__ = "0.1.0"

_HOMES = {
    "Design": "design",
    "MarginLoss": "losses",
    "Moments": "moments",
    "LeastSquares": "methods.objectives",
    "Halfspace": "methods.objectives",
    "GaussianHalfspace": "methods.objectives",
    "TanhNetwork": "methods.tanh_network",
    "minimize": "minimization",
    "HalfspaceClassifier": "linear_model.halfspace",
    "Result": "result",
    "Status": "result",
    "Trace": "result",
}
_MODULES = {
    "design": "design",
    "losses": "losses",
    "methods": "methods",
    "theory": "methods.theory",
}
_NEED_TORCH = {"curvature", "nn", "optim"}  # `from polarstep import *` leaves them out

__all__ = [*_HOMES, *sorted(_MODULES), "__version__"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `import polarstep` is instant."""
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{_MODULES[name]}", __name__)
    elif name in _NEED_TORCH:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_NEED_TORCH])

"""The methods of the paper, in the order of its equations.

Every method combines a parameterization, a direction rule and a length rule, and one loop runs them
all. An objective supplies its restriction to rays, a parameterization supplies the chain rule, and
the table lists the combinations.
"""

from . import (
    assumptions,
    halfspace,
    least_squares,
    lengths,
    loop,
    objective,
    parameterization,
    population,
    roots,
    steps,
    table,
    tanh_network,
    tanh_unit,
    theory,
)
from .halfspace import Halfspace
from .least_squares import LeastSquares
from .network_result import NetworkResult
from .objective import Objective, Ray
from .parameterization import Parameterization
from .population import GaussianHalfspace
from .table import METHODS, Method
from .tanh_network import TanhNetwork

__all__ = [
    "METHODS",
    "GaussianHalfspace",
    "Halfspace",
    "LeastSquares",
    "Method",
    "NetworkResult",
    "Objective",
    "Parameterization",
    "Ray",
    "TanhNetwork",
    "assumptions",
    "halfspace",
    "least_squares",
    "lengths",
    "loop",
    "objective",
    "parameterization",
    "population",
    "roots",
    "steps",
    "table",
    "tanh_network",
    "tanh_unit",
    "theory",
]

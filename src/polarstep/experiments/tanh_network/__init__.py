"""The experiment on a network with one hidden layer, trained unit by unit (Theorem 3)."""

from ..experiment import Experiment
from . import plan, verdicts
from .sizes import SIZES

EXPERIMENT = Experiment(
    package=__name__,
    name="network",
    title="One hidden layer",
    sizes=SIZES,
    stages=plan.stages,
    run_module="execution",
    analyse=tuple,
    verdicts=verdicts.verdicts,
)

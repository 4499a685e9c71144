"""Experiment I of the paper: learning halfspaces."""

from ..experiment import Experiment
from . import plan, verdicts
from .analysis import Analysis
from .sizes import SIZES

EXPERIMENT = Experiment(
    package=__name__,
    name="halfspaces",
    title="Halfspaces",
    sizes=SIZES,
    stages=plan.stages,
    run_module="execution",
    analyse=Analysis,
    verdicts=verdicts.verdicts,
)

"""Experiment II of the paper: deep networks with and without normalization."""

from ..experiment import Experiment
from . import plan, verdicts
from .analysis import Analysis
from .sizes import SIZES

EXPERIMENT = Experiment(
    package=__name__,
    name="deep",
    title="Deep networks",
    sizes=SIZES,
    stages=plan.stages,
    run_module="training",
    analyse=Analysis,
    verdicts=verdicts.verdicts,
    requires_torch=True,
)

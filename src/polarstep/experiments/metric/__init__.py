"""The experiment on plain networks in the metric of batch normalization."""

from ..experiment import Experiment
from . import plan, verdicts
from .analysis import Analysis
from .sizes import SIZES

EXPERIMENT = Experiment(
    package=__name__,
    name="metric",
    title="Plain networks in the metric of batch normalization",
    sizes=SIZES,
    stages=plan.stages,
    run_module="training",
    analyse=Analysis,
    verdicts=verdicts.verdicts,
    requires_torch=True,
)

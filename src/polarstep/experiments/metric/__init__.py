"""The experiment on plain networks in the metric of batch normalization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..claims import Answer, Verdict
from ..experiment import Experiment
from ..records import Row
from ..running import Spec, Stage
from . import plan, verdicts
from .analysis import Analysis
from .sizes import SIZES, Sizes

if TYPE_CHECKING:
    from ..drawing import Figure


class BatchNormMetric(Experiment[Sizes, Analysis]):
    """The experiment on plain networks in the metric of batch normalization."""

    name = "metric"
    title = "Plain networks in the metric of batch normalization"
    sizes = SIZES
    requires_torch = True

    def stages(self, sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
        return plan.stages(sizes, data, seeds)

    def execute(self, spec: Spec, data: Path | None) -> dict[str, Any]:
        from .training import execute

        return execute(spec, data)

    def analyse(self, rows: Sequence[Row]) -> Analysis:
        return Analysis(tuple(rows))

    def verdicts(self, analysis: Analysis) -> list[Verdict | Answer]:
        return verdicts.verdicts(analysis)

    def figures(self, analysis: Analysis) -> Iterator[Figure]:
        from .figures import figures

        return figures(analysis)

    def section(self, analysis: Analysis) -> dict[str, Any]:
        from .section import section

        return section(analysis)


EXPERIMENT = BatchNormMetric()

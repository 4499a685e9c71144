"""The experiment on a network with one hidden layer, trained unit by unit (Theorem 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..claims import Answer, Verdict
from ..experiment import Experiment
from ..records import Row
from ..running import Spec, Stage
from . import plan, verdicts
from .sizes import SIZES, Sizes
from .verdicts import Rows

if TYPE_CHECKING:
    from ..drawing import Figure


class OneHiddenLayer(Experiment[Sizes, Rows]):
    """The experiment on a network with one hidden layer, trained unit by unit (Theorem 3)."""

    name = "network"
    title = "One hidden layer"
    sizes = SIZES

    def stages(self, sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
        return plan.stages(sizes, data, seeds)

    def execute(self, spec: Spec, data: Path | None) -> dict[str, Any]:
        return plan.execute(spec, data)

    def analyse(self, rows: Sequence[Row]) -> Rows:
        return rows

    def verdicts(self, analysis: Rows) -> list[Verdict | Answer]:
        return verdicts.verdicts(analysis)

    def figures(self, analysis: Rows) -> Iterator[Figure]:
        from .figures import figures

        return figures(analysis)

    def section(self, analysis: Rows) -> dict[str, Any]:
        from .section import section

        return section(analysis)


EXPERIMENT = OneHiddenLayer()

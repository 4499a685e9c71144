"""The contract that every experiment keeps with the commands and the report.

An experiment is a folder whose package exports ``EXPERIMENT``, an instance of `Experiment`, and one
line in `registry`. The folder also holds ``section.html.j2``, a template for the experiment's
section of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .claims import Answer, Verdict
from .records import Row
from .running import Spec, Stage

if TYPE_CHECKING:
    from .drawing import Figure

PRESETS = ("quick", "paper")
INSTALL_TORCH = "Run: pip install 'polarstep[reproduce,torch]'"


class Sizes(Protocol):
    """How large an experiment is; every experiment has a dataclass of its own with more fields."""

    @property
    def seeds(self) -> int | None:
        """The number of random starts; None if the experiment has none."""


SizesT = TypeVar("SizesT", bound=Sizes)
AnalysisT = TypeVar("AnalysisT")


@dataclass(frozen=True)
class Experiment(Generic[SizesT, AnalysisT]):
    """One experiment, from its runs to its section of the report.

    The functions that need PyTorch or matplotlib are imported when they are first called, so that
    ``polarstep --help`` stays fast.

    Attributes
    ----------
    package : str
        The package in the experiment's folder. Its module ``figures`` has a function of this name
        that draws the figures, and its module ``section`` has one for the section.
    name : str
        Its name on the command line, and that of its file of rows.
    title : str
        The heading of its section in the report.
    sizes : mapping of str to Sizes
        The sizes for each preset in `PRESETS`.
    stages : callable
        Function of (sizes, data folder or None, number of random starts or None) that returns the
        stages in the order in which they run. Without a number of starts, that of the sizes counts.
    run_module : str
        The module of the package whose function ``execute`` runs what one spec describes.
    analyse : callable
        Function of the rows that returns an analysis for the verdicts, the figures and the section.
    verdicts : callable
        Function of the analysis that returns the verdicts on the experiment's claims, and its
        answers to shared questions.
    requires_torch : bool
        Whether running it (not reading its rows) needs PyTorch.
    """

    package: str
    name: str
    title: str
    sizes: Mapping[str, SizesT]
    stages: Callable[[SizesT, Path | None, int | None], list[Stage]]
    run_module: str
    analyse: Callable[[tuple[Row, ...]], AnalysisT]
    verdicts: Callable[[AnalysisT], list[Verdict | Answer]]
    requires_torch: bool = False

    def execute(self, spec: Spec, data: Path | None) -> dict[str, Any]:
        """Run what one spec describes and return its outcome."""
        outcome: dict[str, Any] = self._module(self.run_module).execute(spec, data)
        return outcome

    def figures(self, analysis: AnalysisT) -> Iterator[Figure]:
        """Draw every figure for which there are rows."""
        drawn: Iterator[Figure] = self._module("figures").figures(analysis)
        return drawn

    def section(self, analysis: AnalysisT) -> dict[str, Any]:
        """Return the variables of the template ``section.html.j2`` in the experiment's folder."""
        variables: dict[str, Any] = self._module("section").section(analysis)
        return variables

    def _module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")

"""The interface through which the commands and the report use every experiment.

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
    """The size of an experiment; each experiment has its own dataclass with more fields."""

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
        The name of the experiment's package. Its module ``figures`` must have a function
        ``figures``, and its module ``section`` a function ``section``.
    name : str
        The name of the experiment on the command line and of its file of rows.
    title : str
        The heading of the experiment's section in the report.
    sizes : mapping of str to Sizes
        The sizes for each preset in `PRESETS`.
    stages : callable
        Function of (sizes, data folder or None, number of random starts or None) that returns the
        stages in the order in which they run. If the number of starts is None, that of the sizes
        is used.
    run_module : str
        The name of the module of the package whose function ``execute`` executes one spec.
    analyse : callable
        Function of the rows that returns an analysis for the verdicts, the figures and the section.
    verdicts : callable
        Function of the analysis that returns the verdicts on the experiment's claims, and its
        answers to shared questions.
    requires_torch : bool
        Whether the runs of the experiment need PyTorch. Reading its rows never does.
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
        """Execute one spec and return its outcome."""
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

"""The contract that every experiment keeps with the commands and the report.

An experiment is a folder whose package exports ``EXPERIMENT``, an instance of a subclass of
`Experiment`, and one line in `registry`. The folder also holds ``section.html.j2``, a template for
the experiment's section of the report.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

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


class Experiment(ABC, Generic[SizesT, AnalysisT]):
    """One experiment, from its runs to its section of the report.

    A subclass imports what is expensive to import (PyTorch, matplotlib) inside its methods, so that
    ``polarstep --help`` stays fast.

    Attributes
    ----------
    name : str
        Its name on the command line, and that of its file of rows.
    title : str
        The heading of its section in the report.
    sizes : dict of str to Sizes
        The sizes for each preset in `PRESETS`.
    requires_torch : bool
        Whether running it (not reading its rows) needs PyTorch.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    sizes: dict[str, SizesT]
    requires_torch: ClassVar[bool] = False

    @abstractmethod
    def stages(self, sizes: SizesT, data: Path | None, seeds: int | None = None) -> list[Stage]:
        """Return the stages in the order in which they run.

        Parameters
        ----------
        sizes
            How large the experiment is.
        data
            The folder with data sets, or None.
        seeds
            The number of random starts, if not that of `sizes`.
        """

    @abstractmethod
    def execute(self, spec: Spec, data: Path | None) -> dict[str, Any]:
        """Run what one spec describes and return its outcome."""

    @abstractmethod
    def analyse(self, rows: Sequence[Row]) -> AnalysisT:
        """Return an analysis of the rows for the verdicts, the figures and the section."""

    @abstractmethod
    def verdicts(self, analysis: AnalysisT) -> list[Verdict | Answer]:
        """Return the verdicts on the experiment's claims, and its answers to shared questions."""

    @abstractmethod
    def figures(self, analysis: AnalysisT) -> Iterator[Figure]:
        """Draw every figure for which there are rows."""

    @abstractmethod
    def section(self, analysis: AnalysisT) -> dict[str, Any]:
        """Return the variables of the template ``section.html.j2`` in the experiment's folder."""

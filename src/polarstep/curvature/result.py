"""The result of `coupling`: a table of norms by the names of parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..validation import complaint, look_up, unknown

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

SCALES = {
    "raw": "‖∂²f/∂Wᵢ∂Wⱼ‖",
    "relative": "‖Wᵢ‖ ‖Wⱼ‖ ‖∂²f/∂Wᵢ∂Wⱼ‖",
    "own": "‖∂²f/∂Wᵢ∂Wⱼ‖ / ‖∂²f/∂Wᵢ∂Wᵢ‖",
}


@dataclass(frozen=True, eq=False)
class Coupling:
    """Norms of Hessian blocks between parameters: ``c["linear4.weight", "linear2.weight"]``.

    Attributes
    ----------
    rows, columns : tuple of str
        Names of parameters.
    values : ndarray, shape (rows, columns)
        The norms, in `scale`.
    stderr : ndarray, shape (rows, columns)
        Their standard errors; zero where a norm is exact.
    scale : str
        "raw": ||d2f/dW_i dW_j||_F. "relative": times ||W_i|| ||W_j||. "own": divided by the row's
        own diagonal block ||d2f/dW_i dW_i||_F.
    directions : bool
        Whether the blocks are those of the units' directions on their spheres.
    raw, raw_stderr : ndarray
        `values` and `stderr` without a scale.
    sizes : dict of str to float
        ||W|| of every parameter involved; with `directions`, the square root of its number of
        units, which is the norm of their directions.
    own : dict of str to float
        The norm of every row's diagonal block.
    how : str
        How the norms were computed.
    n_products : int
        Hessian-vector products spent; 0 where Jacobians did.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    raw: np.ndarray
    raw_stderr: np.ndarray
    sizes: dict[str, float]
    own: dict[str, float]
    scale: str = "raw"
    directions: bool = False
    how: str = ""
    n_products: int = 0

    @property
    def values(self) -> np.ndarray:
        """The norms in this result's scale."""
        return self.raw * self._factors()

    @property
    def stderr(self) -> np.ndarray:
        """The standard errors in this result's scale, the own block's taken as exact."""
        return self.raw_stderr * self._factors()

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter involved, rows first."""
        return tuple(dict.fromkeys([*self.rows, *self.columns]))

    def scaled(self, scale: str) -> Coupling:
        """The same norms in another scale: "raw", "relative" or "own"."""
        look_up(scale, SCALES, "Coupling.scaled", "scale")
        if scale == "own" and (missing := set(self.rows) - self.own.keys()):
            must = "be 'raw' or 'relative' where a row's own block is not known"
            got = f"'own', without the block of {min(missing)}"
            advice = "Ask for it: coupling(..., scale='own')."
            raise ValueError(complaint("Coupling.scaled", "scale", must, got, advice))
        return replace(self, scale=scale)

    def __getitem__(self, pair: tuple[str, str]) -> float:
        if not isinstance(pair, tuple) or len(pair) != 2:
            must = "be a pair of names, as in c['linear4.weight', 'linear2.weight']"
            raise KeyError(complaint("Coupling", "key", must, repr(pair)))
        row, column = pair
        if row in self.rows and column in self.columns:
            return float(self.values[self.rows.index(row), self.columns.index(column)])
        if self.scale != "own" and column in self.rows and row in self.columns:  # symmetric
            return float(self.values[self.rows.index(column), self.columns.index(row)])
        wrong, known = (row, self.rows) if row not in self.rows else (column, self.columns)
        raise KeyError(unknown(wrong, known, "Coupling", "key"))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((row, column) for row in self.rows for column in self.columns)

    def __len__(self) -> int:
        return self.raw.size

    def __str__(self) -> str:
        """A table, one line for every column and one column for every row's parameter.

        The names of a network's parameters are long and its rows asked for often one.
        """
        approximate = bool(self.raw_stderr.any())
        cells = [
            [
                f"{value:.4g}" + (f" ± {error:.1g}" if approximate else "")
                for value, error in zip(line, errors, strict=True)
            ]
            for line, errors in zip(self.values.T, self.stderr.T, strict=True)
        ]
        first = max(len(name) for name in ("", *self.columns))
        widths = [
            max(len(row), *(len(line[k]) for line in cells)) for k, row in enumerate(self.rows)
        ]
        head = " " * first + "".join(
            f"  {row:>{width}}" for row, width in zip(self.rows, widths, strict=True)
        )
        lines = [
            f"{column:{first}}"
            + "".join(f"  {cell:>{width}}" for cell, width in zip(line, widths, strict=True))
            for column, line in zip(self.columns, cells, strict=True)
        ]
        of = "directions" if self.directions else "weights"
        return "\n".join([f"{SCALES[self.scale]}, {of}; {self.how}", head, *lines])

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame of the norms, rows and columns by name."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "Coupling.to_frame needs pandas, which is not installed. Run: pip install pandas"
            ) from None
        return pandas.DataFrame(self.values, index=list(self.rows), columns=list(self.columns))

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The result as JSON text, written to `path` if one is given; see `from_json`."""
        fields = {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "raw": self.raw.tolist(),
            "raw_stderr": self.raw_stderr.tolist(),
            "sizes": self.sizes,
            "own": self.own,
            "scale": self.scale,
            "directions": self.directions,
            "how": self.how,
            "n_products": self.n_products,
        }
        text = json.dumps(fields, indent=1)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, text: str) -> Coupling:
        """The result that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("rows", "columns"):
            fields[name] = tuple(fields[name])
        for name in ("raw", "raw_stderr"):
            fields[name] = np.array(fields[name], float)
        return cls(**fields)

    def plot(self, axes: Axes | None = None, **options: Any) -> Axes:
        """A heat map of the norms on a logarithmic colour scale.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            Where to draw; a new figure otherwise.
        **options
            For `Axes.imshow`, for instance cmap.
        """
        try:
            from matplotlib import pyplot
            from matplotlib.colors import LogNorm
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "Coupling.plot needs matplotlib, which is not installed. "
                "Run: pip install 'polarstep[reproduce]'"
            ) from None
        values = np.where(self.values > 0, self.values, np.nan)
        if axes is None:
            size = (2.5 + 0.55 * len(self.columns), 1.8 + 0.4 * len(self.rows))
            axes = pyplot.subplots(figsize=size, layout="constrained")[1]
        defaults: dict[str, Any] = {"cmap": "viridis", "aspect": "auto"}
        if np.isfinite(values).any():
            defaults["norm"] = LogNorm()
        image = axes.imshow(values, **{**defaults, **options})
        axes.set_xticks(range(len(self.columns)), self.columns, rotation=45, ha="right")
        axes.set_yticks(range(len(self.rows)), self.rows)
        axes.set_title(SCALES[self.scale] + (", directions" if self.directions else ""))
        shades = np.ma.filled(image.norm(values), 1.0)
        for i, j in np.ndindex(*values.shape):
            color = "w" if shades[i, j] < 0.6 else "k"
            text = _short(float(self.values[i, j]))
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
        axes.figure.colorbar(image, ax=axes)
        return axes

    def _factors(self) -> np.ndarray | float:
        if self.scale == "relative":
            sizes = self.sizes
            return np.outer([sizes[r] for r in self.rows], [sizes[c] for c in self.columns])
        if self.scale == "own":
            own = np.array([self.own[row] for row in self.rows])
            return np.divide(1.0, own, out=np.full_like(own, np.nan), where=own > 0)[:, None]
        return 1.0


def _short(value: float) -> str:
    """Two digits, without an exponent where that is as short."""
    return f"{value:.0f}" if 100 <= value < 10_000 else f"{value:.2g}"

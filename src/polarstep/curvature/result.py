"""The result of `coupling`: a table of norms, indexed by the names of parameters."""

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
    """Norms of the Hessian blocks between the parameters of a network.

    Indexing by two names, as in ``c["linear4.weight", "linear2.weight"]``, returns one norm.
    Iteration yields all pairs (row, column), and ``print(c)`` shows a table.

    Attributes
    ----------
    rows, columns : tuple of str
        Names of parameters.
    raw : ndarray of shape (n_rows, n_columns)
        The norms ||d2f/dW_i dW_j||_F.
    raw_stderr : ndarray of shape (n_rows, n_columns)
        Standard errors of `raw`; zero for norms that are exact.
    sizes : dict of str to float
        The norm ||W|| of each parameter. If `directions` is true, the square root of the number of
        units, which is the norm of their stacked directions.
    own : dict of str to float
        The norm of the diagonal block ||d2f/dW_i dW_i||_F of each row for which it was computed.
    scale : {"raw", "relative", "own"}
        The scale of `values` and `stderr`. "raw" is ||d2f/dW_i dW_j||_F, "relative" multiplies it
        by ||W_i|| ||W_j||, and "own" divides it by the norm of the row's diagonal block.
    directions : bool
        Whether derivatives are with respect to the directions of the units, on their spheres.
    how : str
        A description of how the norms were computed.
    n_products : int
        The number of Hessian-vector products spent; 0 if Jacobians were used instead.
    values : ndarray of shape (n_rows, n_columns)
        The norms, in the scale of this result.
    stderr : ndarray of shape (n_rows, n_columns)
        Standard errors of `values`.
    names : tuple of str
        The names of all parameters, rows first.

    See Also
    --------
    coupling : Compute the norms.
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
        """The norms, in the scale of this result."""
        return self.raw * self._factors()

    @property
    def stderr(self) -> np.ndarray:
        """Standard errors of `values`; the errors of the scale itself are neglected."""
        return self.raw_stderr * self._factors()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parameters, rows first."""
        return tuple(dict.fromkeys([*self.rows, *self.columns]))

    def scaled(self, scale: str) -> Coupling:
        """Convert the norms to another scale.

        Parameters
        ----------
        scale : {"raw", "relative", "own"}
            The new scale; see the attribute `scale`.

        Returns
        -------
        Coupling
            A result with the same norms in the new scale.

        Raises
        ------
        ValueError
            If the scale is unknown, or if it is "own" and a diagonal block was not computed.
        """
        look_up(scale, SCALES, "Coupling.scaled", "scale")
        if scale == "own" and (missing := set(self.rows) - self.own.keys()):
            must = "be 'raw' or 'relative' if a diagonal block was not computed"
            got = f"'own', without the diagonal block of {min(missing)}"
            advice = "Call coupling(..., scale='own') to compute it."
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
        # The table is transposed: names are long, and most results have a single row.
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
        coordinates = "directions" if self.directions else "weights"
        return "\n".join([f"{SCALES[self.scale]}, {coordinates}; {self.how}", head, *lines])

    def to_frame(self) -> pandas.DataFrame:
        """Convert the norms to a data frame.

        Returns
        -------
        pandas.DataFrame
            The attribute `values`, with the names of the parameters as index and columns.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "Coupling.to_frame needs pandas, which is not installed. Run: pip install pandas"
            ) from None
        return pandas.DataFrame(self.values, index=list(self.rows), columns=list(self.columns))

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Convert the result to JSON.

        Parameters
        ----------
        path : str or path-like, optional
            File to which the text is written.

        Returns
        -------
        str
            The text, which `from_json` reads.
        """
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
        """Read a result that `to_json` has written.

        Parameters
        ----------
        text : str
            The text returned by `to_json`.

        Returns
        -------
        Coupling
            The same result.
        """
        fields: dict[str, Any] = json.loads(text)
        for name in ("rows", "columns"):
            fields[name] = tuple(fields[name])
        for name in ("raw", "raw_stderr"):
            fields[name] = np.array(fields[name], float)
        return cls(**fields)

    def plot(self, axes: Axes | None = None, **options: Any) -> Axes:
        """Draw a heat map of the norms on a logarithmic colour scale.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            The axes to draw on. By default, a new figure is created.
        **options : dict
            Keyword arguments of `matplotlib.axes.Axes.imshow`, for instance `cmap`.

        Returns
        -------
        matplotlib.axes.Axes
            The axes with the heat map.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
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
    """Format a number with two significant digits, and numbers from 100 to 9999 as integers."""
    return f"{value:.0f}" if 100 <= value < 10_000 else f"{value:.2g}"

"""Coupling: indexing by names, scales, table, frame, JSON and heat map."""

import json
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from curvature_cases import BY_NAME, norms, solved  # noqa: E402
from polarstep.curvature import Coupling, coupling  # noqa: E402
from polarstep.curvature.result import SCALES  # noqa: E402

L1, L2, L3 = (f"linear{k}.weight" for k in (1, 2, 3))


def made(**changes):
    """Make a result with two rows and three columns, one of which is also a row."""
    fields = {
        "rows": ("a.weight", "b.weight"),
        "columns": ("c.weight", "a.weight", "d.bias"),
        "raw": np.array([[1.0, 4.0, 0.0], [2.0, 3.0, 0.25]]),
        "raw_stderr": np.array([[0.1, 0.2, 0.0], [0.0, 0.0, 0.01]]),
        "sizes": {"a.weight": 2.0, "b.weight": 3.0, "c.weight": 5.0, "d.bias": 0.5},
        "own": {"a.weight": 4.0, "b.weight": 8.0},
        "how": "sketch",
        "n_products": 40,
    }
    return Coupling(**{**fields, **changes})


@pytest.fixture(scope="module")
def computed():
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh, deep"])
    return coupling(model, loss_fn, batch)


# --- access ------------------------------------------------------------------------------------


def test_either_order_of_names():
    c = made()
    assert c["b.weight", "c.weight"] == c["c.weight", "b.weight"] == 2.0
    assert c["b.weight", "a.weight"] == c["a.weight", "b.weight"] == 3.0
    assert c["a.weight", "a.weight"] == 4.0
    assert type(c["b.weight", "d.bias"]) is float


def test_symmetry(computed):
    np.testing.assert_array_equal(computed.values, computed.values.T)
    assert computed.rows == computed.columns == computed.names
    assert computed[L3, L1] == computed[L1, L3] > 0


def test_unknown_names_are_refused():
    c = made()
    with pytest.raises(KeyError, match=r"must be one of 'a.weight', 'b.weight'; got 'e.weight'"):
        c["e.weight", "c.weight"]
    with pytest.raises(KeyError, match=r"must be one of 'a.weight', 'c.weight', 'd.bias'; got 'd."):
        c["a.weight", "d.bais"]
    with pytest.raises(KeyError, match=r"Did you mean 'd.bias'\?"):
        c["a.weight", "d.bais"]
    with pytest.raises(KeyError, match=r"got 'd\.bias'"):
        c["d.bias", "c.weight"]
    for key in ("a.weight", ("a.weight",), ("a.weight", "b.weight", "c.weight"), 0):
        with pytest.raises(KeyError, match="must be a pair of names, as in c"):
            c[key]


def test_iteration_length_and_names():
    c = made()
    assert list(c) == [(row, column) for row in c.rows for column in c.columns]
    assert len(c) == len(list(c)) == 6
    assert [c[pair] for pair in c] == c.values.ravel().tolist()
    assert c.names == ("a.weight", "b.weight", "c.weight", "d.bias")


# --- scales ------------------------------------------------------------------------------------


def test_scales_by_their_formulas():
    c = made()
    sizes = np.outer([2.0, 3.0], [5.0, 2.0, 0.5])
    own = np.array([[4.0], [8.0]])
    for scale, factor in (("raw", 1.0), ("relative", sizes), ("own", 1 / own)):
        other = c.scaled(scale)
        assert other.scale == scale
        np.testing.assert_allclose(other.values, c.raw * factor, rtol=1e-15)
        np.testing.assert_allclose(other.stderr, c.raw_stderr * factor, rtol=1e-15)
        np.testing.assert_array_equal(other.scaled("raw").values, c.values)
    assert c.scale == "raw"


def test_own_is_not_symmetric():
    c = made(scale="own")
    assert c["b.weight", "a.weight"] == 3.0 / 8.0
    with pytest.raises(KeyError, match=r"`key` must be one of 'a\.weight', .*; got 'b\.weight'"):
        c["a.weight", "b.weight"]


def test_own_of_a_block_that_is_zero_is_not_a_number():
    c = made(own={"a.weight": 0.0, "b.weight": 8.0}, scale="own")
    assert np.isnan(c.values[0]).all()
    assert not np.isnan(c.values[1]).any()
    assert "nan" in str(c)


@pytest.mark.parametrize("name", ["tanh, deep", "2 norms, wide, no shift", "lstm"])
@pytest.mark.parametrize("directions", [False, True])
def test_scales_of_a_network(name, directions):
    model, loss_fn, batch, _, blocks = solved(BY_NAME[name])
    raw = coupling(model, loss_fn, batch, directions=directions)
    relative = coupling(model, loss_fn, batch, directions=directions, scale="relative")
    own = coupling(model, loss_fn, batch, directions=directions, scale="own")
    weights = dict(model.named_parameters())
    for i, j in raw:
        if directions:
            sizes = [len(weights[i]) ** 0.5, len(weights[j]) ** 0.5]
        else:
            sizes = [float(weights[i].detach().norm()), float(weights[j].detach().norm())]
            assert raw[i, j] == pytest.approx(norms(blocks)[i, j], rel=1e-10)
        assert relative[i, j] == pytest.approx(raw[i, j] * sizes[0] * sizes[1], rel=1e-12)
        assert own[i, j] == pytest.approx(raw[i, j] / raw[i, i], rel=1e-12)


def test_own_needs_the_rows_own_block():
    """Products compute a diagonal block on request only; Jacobians provide it for free."""
    model, loss_fn, batch, _, blocks = solved(BY_NAME["lstm"])
    row, column = "last.weight", "lstm.weight_hh_l0"
    c = coupling(model, loss_fn, batch, row=row, columns=column)
    says = (
        r"Coupling\.scaled: `scale` must be 'raw' or 'relative' if a diagonal block was not "
        r"computed; got 'own', without the diagonal block of last\.weight\. "
        r"Call coupling\(\.\.\., scale='own'\) to compute it\."
    )
    with pytest.raises(ValueError, match=says):
        c.scaled("own")
    asked = coupling(model, loss_fn, batch, row=row, columns=column, scale="own")
    expected = norms(blocks)
    assert asked[row, column] == pytest.approx(expected[row, column] / expected[row, row], rel=1e-9)
    assert asked.scaled("raw")[row, column] == pytest.approx(expected[row, column], rel=1e-9)
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh, deep"])
    coupling(model, loss_fn, batch, row=L1, columns=L2).scaled("own")


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match=r"Coupling.scaled: `scale` must be one of .*; got 'rel'"):
        made().scaled("rel")


# --- forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["raw", "relative", "own"])
def test_a_table_holds_every_name_and_number(scale):
    c = made(scale=scale)
    head, names, *lines = str(c).splitlines()
    assert head == f"{SCALES[scale]}, weights; sketch"
    assert names.split() == list(c.rows)
    assert len(lines) == len(c.columns)
    for line, column, values in zip(lines, c.columns, c.values.T, strict=True):
        label, *cells = line.replace(" ± ", "±").split()
        assert label == column
        assert [float(cell.split("±")[0]) for cell in cells] == pytest.approx(values, rel=1e-3)
    assert len({len(line) for line in (names, *lines)}) == 1


def test_a_table_shows_errors_only_where_there_are_some(computed):
    assert "±" in str(made())
    assert "±" not in str(computed)
    assert "exact, by per-sample Jacobians" in str(computed)
    assert ", directions;" in str(made(directions=True))


@pytest.mark.parametrize("scale", ["raw", "relative", "own"])
def test_json_and_back(tmp_path, scale):
    for c in (made(scale=scale, directions=True), made()):
        text = c.to_json(tmp_path / "coupling.json")
        assert (tmp_path / "coupling.json").read_text(encoding="utf-8") == text == c.to_json()
        again = Coupling.from_json(text)
        for name in ("rows", "columns", "sizes", "own", "scale", "directions", "how", "n_products"):
            assert getattr(again, name) == getattr(c, name)
            assert type(getattr(again, name)) is type(getattr(c, name))
        for name in ("raw", "raw_stderr", "values", "stderr"):
            np.testing.assert_array_equal(getattr(again, name), getattr(c, name))
        assert str(again) == str(c)


def test_json_of_a_computed_result(computed):
    text = computed.to_json()
    assert json.loads(text)["rows"] == list(computed.rows)
    np.testing.assert_array_equal(Coupling.from_json(text).raw, computed.raw)


def test_a_frame_holds_the_values_by_name(monkeypatch):
    """A fake module takes the place of pandas, which need not be installed."""
    calls = []
    fake = types.ModuleType("pandas")
    fake.DataFrame = lambda values, index, columns: calls.append((values, index, columns))
    monkeypatch.setitem(sys.modules, "pandas", fake)
    c = made(scale="relative")
    c.to_frame()
    ((values, index, columns),) = calls
    np.testing.assert_array_equal(values, c.values)
    assert index == list(c.rows)
    assert columns == list(c.columns)


def test_a_frame_of_pandas():
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = made().to_frame()
    assert frame.loc["b.weight", "d.bias"] == 0.25
    assert list(frame.columns) == list(made().columns)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    says = r"^Coupling\.to_frame needs pandas, which is not installed\. Run: pip install pandas$"
    with pytest.raises(ModuleNotFoundError, match=says):
        made().to_frame()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    says = (
        r"^Coupling\.plot needs matplotlib, which is not installed\. "
        r"Run: pip install 'polarstep\[reproduce\]'$"
    )
    with pytest.raises(ModuleNotFoundError, match=says):
        made().plot()


# --- heat map ----------------------------------------------------------------------------------


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize("scale", ["raw", "relative", "own"])
def test_a_heat_map_has_the_names_and_numbers(pyplot, scale):
    c = made(scale=scale)
    axes = c.plot()
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == list(c.columns)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(c.rows)
    shown = [text.get_text() for text in axes.texts]
    assert shown == [f"{value:.2g}" for value in c.values.ravel()]
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array().mask, c.values == 0)
    # The image has the columns of the table as columns.
    assert image.get_array().shape == c.values.shape
    assert axes.get_title() == SCALES[scale]


def test_a_heat_map_of_directions_says_so(pyplot):
    assert made(directions=True).plot().get_title().endswith(", directions")


def test_axes_and_options_of_the_heat_map(pyplot):
    figure, axes = pyplot.subplots()
    assert made().plot(axes, cmap="magma") is axes
    assert axes.images[0].get_cmap().name == "magma"
    assert pyplot.get_fignums() == [figure.number]


@pytest.mark.parametrize("scale", ["raw", "own"])
@pytest.mark.parametrize("raw", [[[0.0]], [[1.0]], [[0.0, 0.0, 0.0]], [[0.0, 2.0, 1e-300]]])
def test_zeros_and_single_values_are_drawn(pyplot, raw, scale):
    names = tuple("abc"[: len(raw[0])])
    c = Coupling(
        rows=("r",),
        columns=names,
        raw=np.array(raw),
        raw_stderr=np.zeros_like(raw),
        sizes=dict.fromkeys(("r", *names), 1.0),
        own={"r": raw[0][0]},
        scale=scale,
    )
    axes = c.plot()
    axes.figure.canvas.draw()
    assert len(axes.texts) == len(names)

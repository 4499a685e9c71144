"""What all figures share: styles, bands of curves, legends, and images."""

import matplotlib
import numpy as np
import pytest

from polarstep.experiments.drawing import PALETTE, RC, Figure, band, canvas, legend, styles


@pytest.mark.parametrize("count", [1, 6, 20])
def test_every_name_has_a_style_of_its_own(count):
    made = styles(f"name {k}" for k in range(count))
    assert len({tuple(sorted(style.items())) for style in made.values()}) == count
    assert [style["color"] for style in made.values()][: len(PALETTE)] == list(PALETTE)[:count]


def test_a_band_is_the_median_between_two_quantiles():
    _, (axes,) = canvas(1, 1, 5, 4)
    curves = np.array([[1.0, 2.0, 5.0], [3.0, 4.0, np.nan], [5.0, 9.0, 7.0]])
    band(axes, np.arange(3), curves, label="some", style={"color": "k"}, quantiles=(0.0, 1.0))
    (line,) = axes.lines
    assert line.get_ydata().tolist() == [3.0, 4.0, 6.0]
    (shaded,) = axes.collections
    limits = shaded.get_datalim(axes.transData)
    assert (limits.y0, limits.y1) == (1.0, 9.0)


def lines_in(count):
    drawn, (axes,) = canvas(1, 1, 6, 4)
    for k in range(count):
        axes.plot([0, 1], [1, 10 + k], label=f"line {k}")
        axes.plot([0, 1], [1, 10 + k], label=f"line {k}")
    axes.set_yscale("log")
    legend(drawn, axes, columns=3)
    return Figure("some", "Some lines", "A caption.", drawn)


def test_a_legend_names_each_line_once_and_makes_room_for_all():
    top = {}
    for count in (3, 8):
        drawn = lines_in(count).drawn
        (made,) = drawn.legends
        assert [text.get_text() for text in made.get_texts()] == [f"line {k}" for k in range(count)]
        top[count] = drawn.subplotpars.top
    assert top[8] < top[3]


def test_a_figure_is_an_image_in_two_formats_and_the_same_every_time():
    one, other = lines_in(3), lines_in(3)
    assert one.svg.startswith("<svg")
    assert one.svg == other.svg
    assert one.png().startswith(b"\x89PNG")
    assert one.png() == other.png() != lines_in(4).png()


def test_images_do_not_depend_on_the_settings_of_the_process():
    plain = lines_in(3).svg
    with matplotlib.rc_context({"svg.fonttype": "path"}):
        assert RC["svg.fonttype"] == "none"
        assert lines_in(3).svg == plain

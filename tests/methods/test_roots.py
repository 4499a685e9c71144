"""Roots of the slope along a ray."""

import numpy as np
import pytest

from polarstep import Status
from polarstep.methods.iterate import Stopped
from polarstep.methods.roots import LARGEST_LENGTH, bisect, bracket, brent, newton


class Slope:
    """A ray with a given slope."""

    def __init__(self, slope, curvature=lambda g: 1.0):
        self.slope, self.curvature = slope, curvature


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("start", [1e-3, 1.0, 50.0])
def test_all_searches_find_the_root(side, start):
    ray = Slope(lambda g: np.sinh(g - 3 * side), lambda g: np.cosh(g - 3 * side))
    a, b = bracket(ray, side, start)
    assert ray.slope(a) * ray.slope(b) <= 0
    assert brent(ray, a, b) == pytest.approx(3 * side, rel=1e-12)
    assert abs(bisect(ray, a, b, 20) - 3 * side) <= 2.0**-21 * abs(b - a) * (1 + 1e-6)
    assert newton(ray, 3.5 * side, np.inf) == pytest.approx(3 * side, rel=1e-12)


def test_a_root_beyond_the_limit_is_the_limit():
    ray = Slope(lambda g: g - 10.0)
    assert bracket(ray, 1.0, 1.0, limit=7.0) == (7.0, 7.0)
    assert newton(ray, 1.0, 7.0) is None


def test_searches_that_cannot_go_on_say_why():
    with pytest.raises(Stopped, match="no finite length") as caught:
        bracket(Slope(lambda g: -1.0), 1.0)
    assert caught.value.status is Status.no_length_root
    with pytest.raises(Stopped) as caught:
        bracket(Slope(lambda g: np.nan), 1.0)
    assert caught.value.status is Status.diverged


def test_newton_gives_up_where_it_cannot_help():
    assert newton(Slope(lambda g: g - 1.0, lambda g: -1.0), 2.0, np.inf) is None  # concave
    assert newton(Slope(lambda g: g + 1.0), 2.0, np.inf) is None  # the root is on the other side
    assert newton(Slope(lambda g: 1.0 / g - 1e-9, lambda g: 1e-6), 2.0, np.inf) is None
    assert newton(Slope(lambda g: g - 2 * LARGEST_LENGTH), 1.0, np.inf) is None

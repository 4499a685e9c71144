"""How the rows of a subsample are drawn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polarstep.linear_model.solver.sampling import class_shares, draw_in_order, rows_of_classes


@given(st.integers(2, 5000), st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_no_class_is_left_without_a_fair_share(m, sizes):
    counts = class_shares(m, sizes)
    for count, size in zip(counts, sizes, strict=True):
        assert 0 <= count <= size
        assert count >= min(size, m // (2 * len(sizes)))


@given(st.integers(1, 500), st.integers(0, 1000))
def test_rows_are_drawn_in_order_and_once(count, seed):
    rows = np.arange(1000)[::2]
    chosen = draw_in_order(rows, count, np.random.default_rng(seed))
    assert (np.diff(chosen) > 0).all()
    assert np.isin(chosen, rows).all()
    assert count - len(chosen) <= count // 2
    if count == len(rows):
        np.testing.assert_array_equal(chosen, rows)


def test_rows_without_weight_belong_to_no_class():
    y = np.array([1.0, -1.0, 1.0, -1.0])
    negative, positive = rows_of_classes(y, np.array([1.0, 0.0, 2.0, 3.0]), np.array([-1.0, 1.0]))
    assert negative.tolist() == [3]
    assert positive.tolist() == [0, 2]

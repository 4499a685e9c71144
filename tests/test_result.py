"""A result is built from its iterates, and says how the run ended."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.result import Progress, Result, Separation, Status, Trace, add_row, columns_of
from problems import two_class

X, Y = two_class(n=200)
SUCCESSES = {Status.converged, Status.length_capped, Status.rounding}


def row(iteration, x, length=2.0):
    return Progress(
        iteration,
        np.array(x),
        1.0 / (iteration + 1),
        0.1**iteration,
        length,
        0.5,
        2 * iteration,
        0.1,
    )


def test_the_last_row_is_the_solution():
    rows = [row(0, [1.0, 0.0]), row(1, [0.0, 2.0])]
    result = Result.from_rows(rows, status=Status.converged, method="gdnp")
    np.testing.assert_array_equal(result.x, [0.0, 2.0])
    np.testing.assert_array_equal(result.direction, [0.0, 1.0])
    assert (result.length, result.fun, result.grad_norm) == (2.0, 0.5, 0.1)
    assert (result.n_iter, result.n_passes, result.method) == (1, 2, "gdnp")
    assert np.isnan(result.gap)
    assert len(result.trace) == 2
    for name in Trace.__annotations__:
        np.testing.assert_array_equal(
            getattr(result.trace, name), [getattr(r, name) for r in rows], err_msg=name
        )


def test_passes_of_a_failed_step_may_be_added():
    result = Result.from_rows(
        [row(3, [1.0])], status=Status.stalled, method="whitened", n_passes=9, gap=1e-3
    )
    assert (result.n_passes, result.gap, result.trace.passes[-1]) == (9, 1e-3, 6)


def test_a_weight_of_length_zero_has_no_direction():
    result = Result.from_rows([row(0, [0.0], length=0.0)], status=Status.converged, method="gd")
    np.testing.assert_array_equal(result.direction, [0.0])


@pytest.mark.parametrize("status", Status)
def test_success_and_message(status):
    result = Result.from_rows([row(0, [1.0])], status=status, method="bn")
    assert result.success == (status in SUCCESSES)
    assert result.message == f"bn: {status.value}"
    assert status.name in repr(result)
    assert status.value.endswith(".")


def test_columns_of_rows():
    columns = columns_of([{"a": 1, "b": 2.0}, {"a": 3, "b": 4.0}])
    assert {name: values.tolist() for name, values in columns.items()} == {
        "a": [1, 3],
        "b": [2.0, 4.0],
    }
    assert columns_of([]) == {}


def test_a_result_is_made_of_plain_numbers():
    seen = []
    result = ps.minimize(ps.Halfspace(X, Y), "gdnp", max_iter=4, tol=0.0, callback=seen.append)
    for name in ("length", "fun", "grad_norm"):
        assert type(getattr(result, name)) is float
    for name in ("n_iter", "n_passes"):
        assert type(getattr(result, name)) is int
    assert type(result.success) is bool
    assert isinstance(result.message, str)
    assert repr(result).startswith("Result(gdnp: max_iter after 4 iterations, 10 passes; fun=0.")
    assert list(result.trace.as_dict()) == list(ps.Trace.__annotations__)
    assert result.trace.iteration.dtype.kind == result.trace.passes.dtype.kind == "i"
    assert (np.diff(result.trace.seconds) >= 0).all()
    for row in seen:
        for name in ("fun", "grad_norm", "length", "direction_gap", "seconds"):
            assert type(getattr(row, name)) is float
        assert row.fun == result.trace.fun[row.iteration]
        assert row.passes == result.trace.passes[row.iteration]
        moments = ps.Moments.from_data(X, Y)
        assert row.length == pytest.approx(moments.norm(row.x))
        assert row.direction_gap == pytest.approx(moments.direction_gap(row.x), abs=1e-14)
    np.testing.assert_array_equal(seen[-1].x, result.x)


def test_statuses_are_advice_in_whole_sentences():
    assert len({status.value for status in Status}) == len(Status)
    for status in Status:
        assert status.value[0].isupper() or status.value.startswith("f ")
        assert status.value.endswith(".")


def test_a_separation_is_described_by_its_leading_features():
    direction = np.array([[1.0, -1e-3, 0.01, 0.5, 0.2, 9.0]])
    many = Separation(direction, np.array([0, 1, 3, 4]))
    assert many.describe() == "+x0, -x1, +x3 and 1 more"
    assert many.describe(["a", "b", "c", "d", "e"]) == "+a, -b, +d and 1 more"
    assert Separation(direction, np.array([3])).describe() == "x3"
    assert Separation(np.vstack([direction, direction]), np.array([1, 0])).describe() == "x1, x0"


def test_a_run_keeps_the_weight_of_its_last_iterate_alone():
    rows, given_ = [], [row(k, [float(k), 1.0]) for k in range(3)]
    for one in given_:
        add_row(rows, one)
    assert [kept.x.size for kept in rows] == [0, 0, 2]
    assert [kept.fun for kept in rows] == [one.fun for one in given_]
    assert given_[0].x.size == 2  # what a callback has received is unchanged
    result = Result.from_rows(rows, status=Status.converged, method="gd")
    np.testing.assert_array_equal(result.x, [2.0, 1.0])
    assert len(result.trace) == 3

"""Sums of a loss by compiled kernels and by NumPy: both give the same numbers."""

from dataclasses import replace

import numpy as np
import pytest

from polarstep.linear_model.solver.loss_sums import CompiledSums, NumpySums, loss_sums
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN
from weighted_samples import KINDS, samples_of

COMPILED = [*LOSSES.values(), smooth_hinge(0.1)]


def test_losses_without_a_kernel_are_summed_by_numpy():
    for loss in COMPILED:
        assert isinstance(loss_sums(loss), CompiledSums)
        assert isinstance(loss_sums(replace(loss, kernel=None)), NumpySums)
    assert isinstance(loss_sums(ARCTAN), NumpySums)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", COMPILED, ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_evaluate(kind, loss, known):
    samples, _ = samples_of(kind)
    matrix, y, s = samples.matrix, samples.y, samples.weight
    w = np.random.default_rng(0).standard_normal(6)
    margins = -y * (matrix.project(w, 0.3 + matrix.offset(w)))  # as the kernels see X
    found = []
    for sums in (CompiledSums(loss.kernel), NumpySums(loss)):
        a = margins.copy() if known else np.full(samples.n, np.nan)
        found.append(sums.evaluate(matrix, matrix.blocks[0][1], y, s, w, 0.3, a, known))
        np.testing.assert_allclose(a, margins, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", COMPILED, ids=str)
def test_planes_and_curvatures(loss):
    rng = np.random.default_rng(0)
    a, p, s = rng.standard_normal(100), rng.standard_normal(100), rng.exponential(size=100)
    y = np.where(rng.random(100) < 0.5, 1.0, -1.0)
    compiled, by_numpy = CompiledSums(loss.kernel), NumpySums(loss)
    before = a.copy()
    np.testing.assert_allclose(
        compiled.plane(a, p, y, s, 0.7, -0.2), by_numpy.plane(a, p, y, s, 0.7, -0.2), rtol=1e-10
    )
    one, two = np.empty(100), np.empty(100)
    sums = compiled.curvatures(a, s, 0.3, one), by_numpy.curvatures(a, s, 0.3, two)
    np.testing.assert_allclose(one, two, rtol=1e-10)
    np.testing.assert_allclose(*sums, rtol=1e-10)
    np.testing.assert_array_equal(a, before)

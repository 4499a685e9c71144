"""Batch normalization whose statistics have no gradient, or no layer before them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import BATCH, assert_exact, spread  # noqa: E402
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402


class OneNorm(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        self.way = way

    def forward(self, x):
        h = torch.tanh(self.a(x))
        if self.way == "dropped":
            self.norm(h)
            return self.b(h)
        return self.b(self.norm(h.detach()))


@pytest.mark.parametrize("way", ["dropped", "detached"])
def test_statistics_without_a_gradient(way):
    found = assert_exact(spread(OneNorm(way)), cross_entropy)
    assert "Jacobians" in found.how or "does not depend" in found.how


def test_batch_normalization_of_the_data():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    found = assert_exact(spread(model), cross_entropy)
    assert "Jacobians" in found.how


def test_a_loss_in_double_precision_of_normalized_layers_in_single():
    model = mlp((4, 5, 3), "tanh", "batch", seed=0)
    batch = BATCH[0].float(), BATCH[1]
    found = coupling(model, lambda o, y: cross_entropy(o.double(), y), batch)
    np.testing.assert_allclose(found.raw, coupling(model, cross_entropy, batch).raw, rtol=1e-5)

"""The architecture of the networks."""

import pytest

from polarstep.experiments.networks.architecture import LAYERS, layer_sizes

nn = pytest.importorskip("polarstep.nn", reason="networks need PyTorch")


def test_layers_are_the_weights_of_a_network_with_six_hidden_layers():
    sizes = layer_sizes(5, 3)
    assert sizes == [5, 3, 3, 3, 3, 3, 3, 10]
    parameters = dict(nn.mlp(sizes).named_parameters())
    assert tuple(name for name in parameters if name.endswith("weight")) == LAYERS

"""Hessian-vector products against full Hessians, and how many are needed."""

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from curvature_cases import BY_NAME, assert_norms, draw, norms, solved  # noqa: E402
from polarstep.curvature import coupling  # noqa: E402
from polarstep.curvature.batch_loss import BatchLoss  # noqa: E402
from polarstep.curvature.products import Products  # noqa: E402


def test_products_multiply_by_the_blocks():
    model, loss_fn, batch, _, blocks = solved(BY_NAME["lstm"])
    first, second = "last.weight", "lstm.bias_hh_l0"
    batch_loss = BatchLoss(model, loss_fn, batch)
    products = Products(batch_loss, [first, second], directions=False, memory=2**30)
    V = draw(3, *batch_loss.parameters[first].shape)
    (found,) = products.from_one(first, V, [second])
    block = blocks[second, first].flatten(1)
    torch.testing.assert_close(found, V.flatten(1) @ block.T)
    (single,) = products.from_one(first, V[:1], [second])
    torch.testing.assert_close(single, found[:1])
    torch.testing.assert_close(products.to_one(second, [V], [first]), found)
    assert products.count == 7


def test_a_product_for_every_number_of_the_smaller_side():
    model, loss_fn, batch, _, blocks = solved(BY_NAME["lstm"])
    row, column = "last.bias", "lstm.weight_hh_l0"
    for a, b in ((row, column), (column, row)):
        c = coupling(model, loss_fn, batch, row=a, columns=b)
        assert c.n_products == model.last.bias.numel()
        assert c.own == {}
        assert_norms(c, {(a, b): norms(blocks)[a, b]})

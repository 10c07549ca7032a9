"""The written-out gradient against PyTorch's own, and the sets' invariance."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.predictor.set_convolution import SLOPE, GraphBranch, SetConvolution

HEADS, CHANNELS, INPUTS = 3, 4, 5


def written_out(layer: SetConvolution, vertices: Tensor, gather: Tensor) -> Tensor:
    """The docstring's formula, one head pair at a time, with recorded gradients."""
    members = HEADS * CHANNELS
    own = (vertices @ layer.weight[:members].T).unflatten(-1, (HEADS, CHANNELS))
    offered = F.leaky_relu(layer.scale * own + layer.shift, SLOPE)
    summed = torch.einsum("bij,bjtc->bitc", gather, offered)
    mixed = F.leaky_relu(torch.einsum("bitc,tsc->bisc", summed, layer.mix) + layer.bias, SLOPE)
    mixed = mixed * layer.gain
    mixed = mixed.flatten(-2) if layer.concatenate else mixed.sum(-2)
    result = mixed + vertices @ layer.weight[members:].T + layer.skip_bias
    return F.elu(result) if layer.elu else result


@pytest.mark.parametrize("concatenate", [False, True])
@pytest.mark.parametrize("elu", [False, True])
def test_values_and_gradients(concatenate: bool, elu: bool) -> None:
    torch.manual_seed(0)
    layer = SetConvolution(INPUTS, CHANNELS, HEADS, concatenate, elu).double()
    with torch.no_grad():
        layer.shift.normal_()
        layer.bias.normal_()
    vertices = torch.randn(2, 6, INPUTS, dtype=torch.double, requires_grad=True)
    gather = torch.randint(0, 2, (2, 6, 6)).double()
    found, expected = layer(vertices, gather), written_out(layer, vertices, gather)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    inputs = [vertices, *layer.parameters()]
    gradients = torch.autograd.grad((found * weight).sum(), inputs)
    for mine, theirs in zip(
        gradients, torch.autograd.grad((expected * weight).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_order_of_vertices_is_carried_through() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, HEADS, 7)
    vertices = torch.randn(2, 6, INPUTS)
    gather = torch.randint(0, 2, (2, 6, 6)).float()
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    found = branch(vertices[:, order], gather[:, order][:, :, order])
    torch.testing.assert_close(found, branch(vertices, gather)[:, order])


def test_isolated_vertices_change_nothing() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, HEADS, 7)
    vertices = torch.randn(2, 6, INPUTS)
    gather = torch.eye(6).repeat(2, 1, 1)
    gather[:, 1, 0] = gather[:, 2, 1] = 1
    alone = branch(vertices[:, :3], gather[:, :3, :3])
    torch.testing.assert_close(branch(vertices, gather)[:, :3], alone)

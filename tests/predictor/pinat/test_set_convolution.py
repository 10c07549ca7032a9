"""The written-out gradient against PyTorch's own, and the sets' invariance."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.predictor.pinat import set_convolution
from nasp_lightning.predictor.pinat.set_convolution import (
    SLOPE,
    GraphBranch,
    SetConvolution,
    Weights,
    split_weights,
)

CHANNELS, INPUTS = 4, 5


def written_out(
    layer: SetConvolution, weights: Weights, vertices: Tensor, gather: Tensor
) -> Tensor:
    """The docstring's formula, one head pair at a time, with recorded gradients."""
    members = layer.heads * layer.channels
    own = (vertices @ weights.project[:members].T).unflatten(-1, (layer.heads, layer.channels))
    offered = F.leaky_relu(weights.scale * own + weights.shift, SLOPE)
    summed = torch.einsum("bij,bjtc->bitc", gather, offered)
    mixed = torch.einsum("bitc,tsc->bisc", summed, weights.mix) + weights.bias
    mixed = F.leaky_relu(mixed, SLOPE) * weights.gain.view(layer.heads, -1)
    mixed = mixed.flatten(-2) if layer.concatenate else mixed.sum(-2)
    result = mixed + vertices @ weights.project[members:].T + weights.skip_bias
    return F.elu(result) if layer.elu else result


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_values_and_gradients(heads: int) -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, heads, 7).double()
    with torch.no_grad():  # shifts and biases start at zero
        branch.weights.add_(0.3 * torch.randn_like(branch.weights))
    vertices = torch.randn(2, 6, INPUTS, dtype=torch.double, requires_grad=True)
    gather = torch.randint(0, 2, (2, 6, 6)).double()
    expected = vertices
    pieces = split_weights(branch.weights, branch.convolutions)
    for layer, weights in zip(branch.convolutions, pieces, strict=True):
        expected = written_out(layer, weights, expected, gather)
    found = branch(vertices, gather)
    torch.testing.assert_close(found, expected)
    factor = torch.randn_like(found)
    inputs = [vertices, branch.weights]
    gradients = torch.autograd.grad((found * factor).sum(), inputs)
    for mine, theirs in zip(
        gradients, torch.autograd.grad((expected * factor).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_published_size_in_single_precision() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, 16, 6, 80)
    vertices, gather = torch.randn(2, 6, INPUTS), torch.randint(0, 2, (2, 6, 6)).float()
    expected = vertices
    pieces = split_weights(branch.weights, branch.convolutions)
    for layer, weights in zip(branch.convolutions, pieces, strict=True):
        expected = written_out(layer, weights, expected, gather)
    found = branch(vertices, gather)
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=1e-4 * float(expected.detach().abs().max())
    )
    gradients = [torch.autograd.grad(form.sum(), branch.weights)[0] for form in (found, expected)]
    size = float(gradients[1].abs().max())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4 * size)


def test_many_rows_are_mixed_head_by_head(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, 3, 7)
    vertices, gather = torch.randn(2, 6, INPUTS), torch.randint(0, 2, (2, 6, 6)).float()
    at_once = branch(vertices, gather)
    monkeypatch.setattr(set_convolution, "AT_ONCE", 0)
    torch.testing.assert_close(branch(vertices, gather), at_once)


def test_weights_may_move() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, 3, 7)
    vertices, gather = torch.randn(2, 6, INPUTS), torch.randint(0, 2, (2, 6, 6)).float()
    with torch.inference_mode():
        before = branch(vertices, gather).clone()
    twin = copy.deepcopy(branch)
    with torch.no_grad():
        twin.weights.mul_(2)  # as an optimizer does
    changed = twin(vertices, gather)
    assert not torch.allclose(changed, before)
    torch.testing.assert_close(branch(vertices, gather), before)
    torch.testing.assert_close(
        twin.double()(vertices.double(), gather.double()), changed.double(), rtol=1e-4, atol=1e-3
    )
    branch.load_state_dict(twin.float().state_dict())
    torch.testing.assert_close(branch(vertices, gather), changed)


def test_start_is_the_published_one() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(80, 16, 2, 128)
    for layer, weights in zip(
        branch.convolutions,
        split_weights(branch.weights.detach(), branch.convolutions),
        strict=True,
    ):
        members = layer.heads * layer.channels
        bounds = {
            "project": (6 / (layer.inputs + members)) ** 0.5,
            "skip": layer.inputs**-0.5,
            "skip_bias": layer.inputs**-0.5,
            "scale": 3**0.5,
            "mix": (6 / (1 + layer.heads)) ** 0.5,
            "gain": (6 / (layer.channels + layer.heads)) ** 0.5,
        }
        parts = weights._asdict()
        parts["skip"], parts["project"] = weights.project[members:], weights.project[:members]
        for name, bound in bounds.items():
            assert 0.7 * bound < float(parts[name].abs().max()) <= bound, name
        assert not weights.shift.any()
        assert not weights.bias.any()


def test_order_of_vertices_is_carried_through() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, 3, 7)
    vertices = torch.randn(2, 6, INPUTS)
    gather = torch.randint(0, 2, (2, 6, 6)).float()
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    found = branch(vertices[:, order], gather[:, order][:, :, order])
    torch.testing.assert_close(found, branch(vertices, gather)[:, order])


def test_isolated_vertices_change_nothing() -> None:
    torch.manual_seed(0)
    branch = GraphBranch(INPUTS, CHANNELS, 3, 7)
    vertices = torch.randn(2, 6, INPUTS)
    gather = torch.eye(6).repeat(2, 1, 1)
    gather[:, 1, 0] = gather[:, 2, 1] = 1
    alone = branch(vertices[:, :3], gather[:, :3, :3])
    torch.testing.assert_close(branch(vertices, gather)[:, :3], alone)

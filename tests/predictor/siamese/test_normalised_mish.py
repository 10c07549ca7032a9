"""Batch normalisation and mish in one step, against PyTorch's two."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.siamese.normalised_mish import folded, mish_, normalised_mish


def make(width: int, momentum: float | None = 0.1) -> nn.BatchNorm1d:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(width, 1e-4, momentum)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def test_mish_at_all_sizes() -> None:
    value = torch.cat([torch.linspace(-120, 120, 1001), torch.linspace(-3, 3, 101)])
    torch.testing.assert_close(mish_(value.clone()), F.mish(value), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("compiling", [False, True])
def test_equals_the_two_operators(
    momentum: float | None, masked: bool, compiling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    ours, theirs = make(6, momentum), make(6, momentum)
    real = torch.tensor([True, True, False, True, True, False, True]) if masked else None
    for step in range(3):
        value = torch.randn(7, 6, generator=torch.Generator().manual_seed(step)) * 3 + 1
        left, right = value.clone().requires_grad_(), value.clone().requires_grad_()
        found = normalised_mish(ours, left, real)
        kept = slice(None) if real is None else real
        expected = F.mish(theirs(right[kept]))
        torch.testing.assert_close(found[kept], expected, atol=1e-5, rtol=1e-5)
        assert real is None or not found[~real].any()
        weight = torch.randn_like(value)
        torch.autograd.backward([(found * weight).sum()])
        torch.autograd.backward([(expected * weight[kept]).sum()])
        torch.testing.assert_close(left.grad, right.grad, atol=1e-5, rtol=1e-4)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, atol=1e-5, rtol=1e-5)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-5, rtol=1e-4)
    ours.eval()
    theirs.eval()
    value = torch.randn(5, 6)
    torch.testing.assert_close(normalised_mish(ours, value), F.mish(theirs(value)))
    factor, shift = folded(ours, (1, 6))
    torch.testing.assert_close(value * factor + shift, theirs(value))


def test_directions_and_runs_are_normalised_apart() -> None:
    value = torch.randn(4, 2, 9, 3, dtype=torch.float32)  # runs, directions, tokens, features
    norms = [make(6) for _ in range(4)]
    alone = torch.stack(
        [normalised_mish(norm, own) for norm, own in zip(norms, value, strict=True)]
    )
    for direction in range(2):
        part = slice(3 * direction, 3 * direction + 3)
        single = make(6)
        one = F.batch_norm(
            value[1, direction],
            None,
            None,
            single.weight[part],
            single.bias[part],
            training=True,
            eps=1e-4,
        )
        torch.testing.assert_close(alone[1, direction], F.mish(one), atol=1e-5, rtol=1e-5)
    together = make(6)
    state = {name: item.expand(4, *item.shape).clone() for name, item in _floats(together).items()}
    shared = {"num_batches_tracked": torch.tensor(0)}

    def call(tensors: dict[str, Tensor], own: Tensor) -> Tensor:
        module = _Call(together)
        named = {f"norm.{name}": item for name, item in {**tensors, **shared}.items()}
        found: Tensor = torch.func.functional_call(module, named, (own,))
        return found

    at_once = torch.vmap(call)(state, value)
    torch.testing.assert_close(at_once, alone)
    for run, norm in enumerate(norms):
        torch.testing.assert_close(state["running_var"][run], norm.running_var)
    assert int(shared["num_batches_tracked"]) == 1


class _Call(nn.Module):
    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, value: Tensor) -> Tensor:
        return normalised_mish(self.norm, value)


def _floats(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: item.detach()
        for name, item in module.state_dict().items()
        if item.is_floating_point()
    }

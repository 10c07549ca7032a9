"""The product by oneDNN against the ordinary one, with its gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nasp_lightning.predictor.part import dense
from nasp_lightning.predictor.part.dense import linear, product


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", [(6,), (4, 5), (2, 3)])
def test_values_and_gradients_are_those_of_linear(
    shape: tuple[int, ...], with_bias: bool, relu: bool
) -> None:
    torch.manual_seed(0)
    value = torch.randn(*shape, 8, requires_grad=True)
    weight = torch.randn(5, 8, requires_grad=True)
    bias = torch.randn(5, requires_grad=True) if with_bias else None
    inputs = [tensor for tensor in (value, weight, bias) if tensor is not None]
    expected = F.linear(value, weight, bias)
    expected = F.relu(expected) if relu else expected
    found = linear(value, weight, bias, relu)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn_like(expected)
    for mine, theirs in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
        assert mine.is_contiguous()


def test_strided_values_and_frozen_weights() -> None:
    value = torch.randn(8, 6).t().requires_grad_()
    weight = torch.randn(5, 8)
    linear(value, weight).sum().backward()
    torch.testing.assert_close(value.grad, weight.sum(0).expand(6, 8), atol=1e-5, rtol=1e-5)
    assert weight.grad is None


def test_without_onednn_the_ordinary_product_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_onednn", lambda dtype=None: None)
    value, weight, bias = torch.randn(3, 8), torch.randn(5, 8), torch.randn(5)
    torch.testing.assert_close(
        linear(value, weight, bias, relu=True), F.relu(F.linear(value, weight, bias))
    )


@pytest.mark.parametrize("rows", [1, 70])
@pytest.mark.parametrize(("outputs", "inputs"), [(5, 8), (256, 96)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product(rows: int, outputs: int, inputs: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    value = torch.randn(rows, inputs, dtype=dtype)
    weight = torch.randn(outputs, inputs, dtype=dtype)
    with torch.no_grad():
        for form in (weight, weight.t().contiguous().t()):
            expected = F.linear(value, form)
            torch.testing.assert_close(product(value, form), expected, atol=1e-4, rtol=1e-4)

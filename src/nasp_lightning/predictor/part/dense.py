"""Matrix products of a predictor's size, by the faster of the two libraries in PyTorch.

PyTorch computes float32 products on a CPU with MKL, which takes its AVX2 code on processors that
are not Intel's. oneDNN, in the same wheel, chooses by instruction set: with AVX-512 it is 1.5 to
2.5 times as fast at these sizes. Where the operator is missing, ``F.linear`` does the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.predictor.part.autograd import Context
from nasp_lightning.predictor.part.batching import is_batching

# Weights from which on oneDNN gains more than it takes to start.
LARGE = 1 << 14


@functools.cache
def _onednn(dtype: torch.dtype = torch.float32) -> Callable[..., Tensor] | None:
    """oneDNN's linear operator, or None where this PyTorch or processor does without it.

    A processor may have it for one type alone: without AVX-512 there is none of bfloat16.
    """
    try:
        operator = torch.ops.mkldnn._linear_pointwise
        value, weight = torch.ones(2, 2, dtype=dtype), torch.eye(2, dtype=dtype)
        with torch.inference_mode():
            right = torch.equal(operator(value, weight, None, "relu", [], ""), value)
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return None
    return operator if right else None


def linear(value: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """``value @ weight.T + bias``, then ReLU if asked.

    Args:
        value: ``[..., K]``.
        weight: ``[N, K]``.
        bias: ``[N]`` or None.
        relu: whether negative results become zero.

    Returns:
        ``[..., N]``.
    """
    if (
        value.device.type != "cpu"
        or torch.is_autocast_enabled("cpu")
        or is_batching()
        or _onednn(value.dtype) is None
    ):
        result = F.linear(value, weight, bias)
        return F.relu(result) if relu else result
    if torch.is_grad_enabled():
        recorded: Tensor = _Linear.apply(value.contiguous(), weight, bias, relu)
        return recorded
    return _product(value, weight, bias, relu)


def _product(value: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    operator = _onednn(value.dtype)
    assert operator is not None
    return operator(value, weight, bias, "relu" if relu else "none", [], "")


def product(value: Tensor, weight: Tensor) -> Tensor:
    """``value @ weight.T`` of ``[N, K]`` and ``[M, K]``, without a gradient.

    A small weight is left to the library that starts sooner.
    """
    if (
        weight.numel() < LARGE
        or value.device.type != "cpu"
        or value.dtype is not torch.float32
        or torch.is_autocast_enabled("cpu")
        or _onednn() is None
    ):
        return value @ weight.t()
    return _product(value, weight, None, False)


class _LinearContext(Context, Protocol):
    has_bias: bool


class _Linear(torch.autograd.Function):
    """The same with a gradient; it comes back in the weight's own layout, not transposed."""

    @staticmethod
    def forward(
        ctx: _LinearContext, value: Tensor, weight: Tensor, bias: Tensor | None, relu: bool
    ) -> Tensor:
        result = _product(value, weight, bias, relu)
        ctx.save_for_backward(value, weight, result if relu else None)
        ctx.has_bias = bias is not None
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: _LinearContext, gradient: Tensor) -> tuple[Tensor | None, ...]:
        value, weight, result = ctx.saved_tensors
        if result is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, result, 0)
        gradient = gradient.contiguous()
        to_value = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_value = _product(gradient, weight.t(), None, False)
        rows = gradient.view(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            to_weight = _product(rows.t(), value.view(-1, value.shape[-1]).t(), None, False)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            to_bias = rows.sum(0)
        return to_value, to_weight, to_bias, None

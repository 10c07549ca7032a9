"""Set convolutions: permutation-invariant functions of a vertex and those that feed it.

The "permutation invariance modules" of PINAT (Lu et al., AAAI 2023) after its published code. A
training step has some seventy vertices of width 16: its time is the number of operations, so
the gradient is written out, which takes a third of what recording each step takes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs


class SetConvolution(nn.Module):
    """A set function with a linear skip.

    With heads t and channels c, every vertex j offers ``a_tc = leaky(u_c · (A x_j)_tc + v_c)``;
    a vertex sums what it and those that feed it offer, and its output is
    ``leaky(Σ_t w_tsc ā_tc + b_sc) · p_sc`` for heads s, concatenated or summed, plus ``S x + d``.

    Args:
        inputs: input width E.
        channels: number of channels C.
        heads: number of heads H.
        concatenate: whether the output is ``H · C`` wide, or the sum over heads, C wide.
        elu: whether an ELU follows.
    """

    def __init__(
        self, inputs: int, channels: int, heads: int, concatenate: bool = True, elu: bool = False
    ) -> None:
        super().__init__()
        self.concatenate, self.elu = concatenate, elu
        members = channels * heads
        outputs = members if concatenate else channels
        self.weight = nn.Parameter(torch.empty(members + outputs, inputs))  # A, then S
        self.skip_bias = nn.Parameter(torch.empty(outputs))
        self.scale = nn.Parameter(torch.empty(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.mix = nn.Parameter(torch.empty(heads, heads, channels))
        self.bias = nn.Parameter(torch.zeros(heads, channels))
        self.gain = nn.Parameter(torch.empty(heads, channels))
        with torch.no_grad():
            glorot = math.sqrt(6 / (inputs + members))
            self.weight[:members].uniform_(-glorot, glorot)
            usual = 1 / math.sqrt(inputs)  # PyTorch's own for a linear layer
            self.weight[members:].uniform_(-usual, usual)
            self.skip_bias.uniform_(-usual, usual)
        # Glorot over the last two dimensions of the published parameters.
        for parameter, fans in (
            (self.scale, 2),
            (self.mix, 1 + heads),
            (self.gain, channels + heads),
        ):
            nn.init.uniform_(parameter, -math.sqrt(6 / fans), math.sqrt(6 / fans))

    def forward(self, vertices: Tensor, gather: Tensor) -> Tensor:
        """One convolution.

        Args:
            vertices: ``[B, T, E]``.
            gather: ``[B, T, T]``, Aᵀ + I: what a vertex (row) sums over.

        Returns:
            ``[B, T, H · C]``, or ``[B, T, C]`` where heads are summed.
        """
        result: Tensor = _SetConvolution.apply(
            vertices,
            gather,
            self.weight,
            self.skip_bias,
            self.scale,
            self.shift,
            self.mix,
            self.bias,
            self.gain,
            self.concatenate,
            self.elu,
        )
        return result


class GraphBranch(nn.Module):
    """Three set convolutions with ELU between them.

    Args:
        inputs: input width E.
        channels: channels of the first two convolutions.
        heads: heads of each.
        outputs: output width O.
    """

    def __init__(self, inputs: int, channels: int, heads: int, outputs: int) -> None:
        super().__init__()
        inner = channels * heads
        self.first = SetConvolution(inputs, channels, heads, elu=True)
        self.second = SetConvolution(inner, channels, heads, elu=True)
        self.third = SetConvolution(inner, outputs, heads, concatenate=False)

    def forward(self, vertices: Tensor, gather: Tensor) -> Tensor:
        """``[B, T, E]`` vertices and ``[B, T, T]`` Aᵀ + I to ``[B, T, O]``."""
        hidden = self.second(self.first(vertices, gather), gather)
        result: Tensor = self.third(hidden, gather)
        return result


class _SetConvolution(torch.autograd.Function):
    """N = B·T vertices in ``[N, H, C]``: channels last, so that every step runs along them."""

    @staticmethod
    def forward(
        ctx: Any,
        vertices: Tensor,
        gather: Tensor,
        weight: Tensor,
        skip_bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        mix: Tensor,
        bias: Tensor,
        gain: Tensor,
        concatenate: bool,
        elu: bool,
    ) -> Tensor:
        batch, length, inputs = vertices.shape
        heads, _, channels = mix.shape
        rows, members = batch * length, heads * channels
        flat = vertices.reshape(rows, inputs)
        projected = flat @ weight.t()
        own = projected[:, :members].view(rows, heads, channels)
        offered = F.leaky_relu(torch.addcmul(shift, own, scale), SLOPE)
        summed = torch.bmm(gather, offered.view(batch, length, members)).view_as(offered)
        mixed = bias
        for head in range(heads):
            mixed = torch.addcmul(mixed, summed[:, head : head + 1], mix[head])
        mixed = F.leaky_relu(mixed, SLOPE)
        result = projected[:, members:] + skip_bias
        if concatenate:
            result = torch.addcmul(result, mixed.view(rows, members), gain.view(-1))
        else:
            result += (mixed * gain).sum(1)
        if elu:
            result = F.elu(result)
        ctx.save_for_backward(
            flat, gather, weight, scale, mix, gain, projected, offered, summed, mixed, result
        )
        ctx.concatenate, ctx.elu = concatenate, elu
        return result.view(batch, length, -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (flat, gather, weight, scale, mix, gain, projected, offered, summed, mixed, result) = (
            ctx.saved_tensors
        )
        batch, length = gather.shape[:2]
        rows, heads, channels = mixed.shape
        members = heads * channels
        gradient = gradient.reshape(rows, -1)
        if ctx.elu:
            gradient = torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, result)
        by_head = gradient.view(rows, -1, channels)  # one for all heads where they are summed
        to_gain = (by_head * mixed).sum(0)
        to_mixed = torch.ops.aten.leaky_relu_backward(by_head * gain, mixed, SLOPE, True)
        to_mix = (summed.unsqueeze(2) * to_mixed.unsqueeze(1)).sum(0)
        to_summed = (to_mixed.unsqueeze(1) * mix).sum(2).view(batch, length, members)
        to_offered = torch.bmm(gather.transpose(1, 2), to_summed).view_as(offered)
        to_own = torch.ops.aten.leaky_relu_backward(to_offered, offered, SLOPE, True)
        own = projected[:, :members].view(rows, heads, channels)
        to_scale = (to_own * own).view(-1, channels).sum(0)
        to_shift = to_own.view(-1, channels).sum(0)
        to_projected = torch.cat([(to_own * scale).view(rows, members), gradient], 1)
        to_flat = None
        if ctx.needs_input_grad[0]:
            to_flat = (to_projected @ weight).view(batch, length, -1)
        return (
            *(to_flat, None, to_projected.t() @ flat, gradient.sum(0), to_scale, to_shift),
            *(to_mix, to_mixed.sum(0), to_gain, None, None),
        )

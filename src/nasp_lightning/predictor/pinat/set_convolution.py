"""Set convolutions: permutation-invariant functions of a vertex and those that feed it.

The "permutation invariance modules" of PINAT (Lu et al., AAAI 2023) after its published code. A
training step has some seventy vertices of width 16: its time is the number of operations, so
a branch keeps all its weights in one parameter, and its gradient is written out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.predictor.part.autograd import Context
from nasp_lightning.predictor.part.dense import product

SLOPE = 0.2  # of the leaky ReLUs
AT_ONCE = 1 << 18  # products of all pairs of heads that stay in the cache


class Weights(NamedTuple):
    """One convolution's weights, or their gradients; they share the branch's memory.

    Attributes:
        project: ``[H · C + O, E]``: A, then S.
        skip_bias: ``[O]`` d.
        scale: ``[C]`` u.
        shift: ``[C]`` v.
        mix: ``[H, H, C]`` w.
        bias: ``[H, C]`` b.
        gain: ``[H · C]`` p.
    """

    project: Tensor
    skip_bias: Tensor
    scale: Tensor
    shift: Tensor
    mix: Tensor
    bias: Tensor
    gain: Tensor


class SetConvolution:
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

    Attributes:
        members: what a vertex offers, H · C.
        sizes: numbers of weights, in the order of :class:`Weights`.
    """

    def __init__(
        self, inputs: int, channels: int, heads: int, concatenate: bool = True, elu: bool = False
    ) -> None:
        self.inputs, self.channels, self.heads = inputs, channels, heads
        self.concatenate, self.elu = concatenate, elu
        self.members = members = channels * heads
        outputs = members if concatenate else channels
        project = (members + outputs) * inputs
        self.sizes = [project, outputs, channels, channels, heads * members, members, members]

    def shaped(self, pieces: Sequence[Tensor]) -> Weights:
        """Views of flat pieces of these sizes."""
        project, skip_bias, scale, shift, mix, bias, gain = pieces
        heads, channels = self.heads, self.channels
        return Weights(
            project.view(-1, self.inputs),
            *(skip_bias, scale, shift),
            mix.view(heads, heads, channels),
            bias.view(heads, channels),
            gain,
        )

    def start(self, weights: Weights) -> None:
        """The published start: Glorot's, and PyTorch's own for the skip's linear layer."""
        members, usual = self.members, 1 / math.sqrt(self.inputs)
        glorot = math.sqrt(6 / (self.inputs + members))
        weights.project[:members].uniform_(-glorot, glorot)
        weights.project[members:].uniform_(-usual, usual)
        weights.skip_bias.uniform_(-usual, usual)
        weights.shift.zero_()
        weights.bias.zero_()
        # Glorot over the last two dimensions of the published parameters.
        for weight, fans in (
            (weights.scale, 2),
            (weights.mix, 1 + self.heads),
            (weights.gain, self.channels + self.heads),
        ):
            weight.uniform_(-math.sqrt(6 / fans), math.sqrt(6 / fans))

    def forward(self, flat: Tensor, gather: Tensor, weights: Weights) -> tuple[Tensor, ...]:
        """The output ``[N, O]``, and what the gradient needs.

        Vertices are in ``[N, H, C]``: channels last, so that every step runs along them.

        Args:
            flat: ``[N, E]`` vertices, N = B · T.
            gather: ``[B, T, T]``, Aᵀ + I: what a vertex (row) sums over.
            weights: of this convolution.
        """
        batch, length, _ = gather.shape
        rows, members, heads, channels = batch * length, self.members, self.heads, self.channels
        projected = product(flat, weights.project)
        own = projected[:, :members].view(rows, heads, channels)
        offered = F.leaky_relu_(torch.addcmul(weights.shift, own, weights.scale), SLOPE)
        summed = torch.bmm(gather, offered.view(batch, length, members))
        summed = summed.view(rows, heads, 1, channels)
        mixed = F.leaky_relu_(_mix(summed, weights.mix, weights.bias), SLOPE)
        mixed = mixed.view(rows, members)
        result = projected[:, members:] + weights.skip_bias
        if self.concatenate:
            result.addcmul_(mixed, weights.gain)
        else:
            result += (mixed * weights.gain).view(rows, heads, channels).sum(1)
        if self.elu:
            result = F.elu_(result)
        return result, flat, own, offered, summed, mixed

    def backward(
        self,
        gradient: Tensor,
        kept: Sequence[Tensor],
        gather: Tensor,
        weights: Weights,
        to_inputs: bool,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The vertices' gradient ``[N, E]`` if asked, and the weights' ones, flat, in order.

        Args:
            gradient: ``[N, O]``.
            kept: what :meth:`forward` returned.
            gather: as there.
            weights: as there.
            to_inputs: whether the vertices have a gradient.
        """
        result, flat, own, offered, summed, mixed = kept
        batch, length, _ = gather.shape
        rows, members, heads, channels = batch * length, self.members, self.heads, self.channels
        if self.elu:
            gradient = torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, result)
        wide = gradient if self.concatenate else gradient.repeat(1, heads)
        to_gain = (wide * mixed).sum(0)
        to_mixed = torch.ops.aten.leaky_relu_backward(wide * weights.gain, mixed, SLOPE, True)
        to_bias = to_mixed.sum(0)
        to_mixed = to_mixed.view(rows, 1, heads, channels)
        to_mix = (summed * to_mixed).sum(0)
        to_summed = (to_mixed * weights.mix).sum(2).view(batch, length, members)
        to_offered = torch.bmm(gather.mT, to_summed).view(rows, heads, channels)
        to_own = torch.ops.aten.leaky_relu_backward(to_offered, offered, SLOPE, True)
        to_scale, to_shift = (to_own * own).sum((0, 1)), to_own.sum((0, 1))
        to_projected = torch.cat([(to_own * weights.scale).view(rows, members), gradient], 1)
        to_project = torch.mm(to_projected.t(), flat)
        found = [to_project.view(-1), gradient.sum(0), to_scale, to_shift, to_mix.view(-1)]
        to_flat = product(to_projected, weights.project.t()) if to_inputs else None
        return to_flat, [*found, to_bias, to_gain]


def _mix(summed: Tensor, mix: Tensor, bias: Tensor) -> Tensor:
    """``Σ_t w_tsc ā_tc + b_sc``, ``[N, H, C]``, of ā ``[N, H, 1, C]``."""
    if summed.numel() * len(mix) <= AT_ONCE:
        return (summed * mix).sum(1).add_(bias)
    mixed = bias
    for one, own in zip(summed.unbind(1), mix.unbind(), strict=True):
        mixed = torch.addcmul(mixed, one, own)
    return mixed


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
        self.convolutions = (
            SetConvolution(inputs, channels, heads, elu=True),
            SetConvolution(inner, channels, heads, elu=True),
            SetConvolution(inner, outputs, heads, concatenate=False),
        )
        self._cached: tuple[int, list[Weights]] | None = None
        count = sum(sum(convolution.sizes) for convolution in self.convolutions)
        self.weights = nn.Parameter(torch.empty(count))
        with torch.no_grad():
            pieces = split_weights(self.weights, self.convolutions)
            for convolution, weights in zip(self.convolutions, pieces, strict=True):
                convolution.start(weights)

    def forward(self, vertices: Tensor, gather: Tensor) -> Tensor:
        """``[B, T, E]`` vertices and ``[B, T, T]`` Aᵀ + I to ``[B, T, O]``."""
        result: Tensor = _Branch.apply(
            vertices, gather, self.weights, self.convolutions, self._views()
        )
        return result

    def _views(self) -> list[Weights]:
        """Each convolution's weights; made anew only where the parameter has moved."""
        place = self.weights.data_ptr()
        if self._cached is None or self._cached[0] != place:
            self._cached = place, split_weights(self.weights.detach(), self.convolutions)
        return self._cached[1]

    def __getstate__(self) -> dict[str, object]:
        """Without the views: a copy of them would not follow the copy's parameter."""
        return {**self.__dict__, "_cached": None}


def split_weights(flat: Tensor, convolutions: Sequence[SetConvolution]) -> list[Weights]:
    """Each convolution's views of a branch's weights ``[P]``."""
    sizes = [size for convolution in convolutions for size in convolution.sizes]
    pieces = torch.split_with_sizes(flat, sizes)
    width = len(Weights._fields)
    return [
        convolution.shaped(pieces[place * width : (place + 1) * width])
        for place, convolution in enumerate(convolutions)
    ]


class _BranchContext(Context, Protocol):
    convolutions: tuple[SetConvolution, ...]
    weights: list[Weights]


class _Branch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _BranchContext,
        vertices: Tensor,
        gather: Tensor,
        flat: Tensor,
        convolutions: tuple[SetConvolution, ...],
        weights: list[Weights],
    ) -> Tensor:
        value = vertices.reshape(-1, vertices.shape[-1])
        kept: list[Tensor] = []
        for convolution, own in zip(convolutions, weights, strict=True):
            found = convolution.forward(value, gather, own)
            value = found[0]
            kept += found
        ctx.save_for_backward(gather, flat, *kept)  # flat: whether it is still the same is checked
        ctx.convolutions, ctx.weights = convolutions, weights
        return value.view(*vertices.shape[:2], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: _BranchContext, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gather, _, *kept = ctx.saved_tensors
        length, each = gradient.shape[1], len(kept) // len(ctx.convolutions)
        current: Tensor | None = gradient.reshape(-1, gradient.shape[-1])
        found: list[Tensor] = []
        for place in reversed(range(len(ctx.convolutions))):
            assert current is not None
            current, own = ctx.convolutions[place].backward(
                current,
                kept[place * each : (place + 1) * each],
                gather,
                ctx.weights[place],
                place > 0 or ctx.needs_input_grad[0],
            )
            found = own + found
        if current is not None:
            current = current.view(-1, length, current.shape[-1])
        return current, None, torch.cat(found), None, None

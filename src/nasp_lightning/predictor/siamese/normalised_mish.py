"""Batch normalisation and mish in one step, for features with any leading dimensions.

``mish(z) = z · tanh(log(1 + eᶻ)) = z − 2 z / u`` with ``u = (1 + eᶻ)² + 1``: one exponential, and
a derivative of products. PyTorch's two operators take three times as long on a CPU, and its
batch normalisation has one leading dimension; here several normalisations (the two directions of
a graph convolution, the runs of a repeated training) stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nasp_lightning.predictor.part.autograd import Context

BLOCK = 1 << 17  # numbers of a tensor that are done at a time
RUNS = 3  # dimensions of one run's features: directions, tokens, features
LARGEST = 30.0  # above, mish(z) is z to the precision of float32, and u does not overflow


def mish_(value: Tensor) -> Tensor:
    """Mish in place, without a gradient."""
    raised = value.clamp_max(LARGEST).exp_().add_(1)
    below = torch.addcmul(value.new_ones(()), raised, raised, out=raised)
    return value.addcdiv_(value, below, value=-2)


def folded(norm: nn.BatchNorm1d, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Factor and shift, viewed as ``shape``, that the normalisation is in evaluation mode."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    factor = norm.weight * (variance + norm.eps).rsqrt()
    return factor.view(shape), (norm.bias - mean * factor).view(shape)


def normalised_mish(norm: nn.BatchNorm1d, value: Tensor, real: Tensor | None = None) -> Tensor:
    """``mish(norm(value))``, the statistics being those over the last dimension but one.

    In training the running statistics follow, as those of ``nn.BatchNorm1d``.

    Args:
        norm: of all features: of C, or of D · C where ``value`` has a dimension D of directions.
        value: ``[N, C]`` or ``[D, N, C]``.
        real: ``[N]`` bool: the others take no part and come out as zero; None: all.
    """
    directions, width = value.shape[:-2], value.shape[-1]
    shape = (*directions, 1, width)
    mask = None
    if real is not None:
        mask = real.to(value.dtype).view(*[1] * len(directions), -1, 1)
    if not norm.training:
        factor, shift = folded(norm, shape)
        activated = nn.functional.mish(torch.addcmul(shift, value, factor))
        return activated if mask is None else activated * mask
    scale, shift = norm.weight.view(shape), norm.bias.view(shape)
    found: Tensor
    if torch.compiler.is_compiling():
        found, mean, variance = _composed(value, scale, shift, mask, norm.eps)
    else:
        found, mean, variance, *_ = _NormalisedMish.apply(value, scale, shift, mask, norm.eps)
    count = value.shape[-2] if mask is None else mask.sum()
    _follow(norm, mean.flatten(), variance.flatten(), count)
    return found


def _composed(
    value: Tensor, scale: Tensor, shift: Tensor, mask: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same of plain operators, which a compiler fuses: mish by one exponential here too."""
    if mask is None:
        mask = value.new_ones(value.shape[-2], 1)
    count = mask.sum(-2, keepdim=True)
    mean = (value * mask).sum(-2, keepdim=True) / count
    centred = (value - mean) * mask
    variance = centred.square().sum(-2, keepdim=True) / count
    inner = centred * (torch.rsqrt(variance + epsilon) * scale) + shift
    raised = inner.clamp_max(LARGEST).exp() + 1
    return (inner - 2 * inner / (raised * raised + 1)) * mask, mean, variance


def _follow(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: Tensor | int) -> None:
    """Running statistics of a step, as PyTorch has them: with the unbiased variance."""
    seen, past_mean, past_variance = norm.num_batches_tracked, norm.running_mean, norm.running_var
    assert seen is not None
    assert past_mean is not None
    assert past_variance is not None
    with torch.no_grad():
        seen.add_(1)
        weight = 1.0 / float(seen) if norm.momentum is None else norm.momentum
        more = torch.as_tensor(count, dtype=variance.dtype, device=variance.device)
        past_mean.mul_(1 - weight).add_(mean * weight)
        past_variance.mul_(1 - weight).add_(variance * (more / (more - 1).clamp(min=1) * weight))


class _NormalisedMish(torch.autograd.Function):
    """Several normalisations at once: value ``[..., N, C]``, scale and shift ``[..., 1, C]``.

    Many runs are done a block at a time, so that the dozen steps find it in the cache.
    """

    @staticmethod
    def forward(
        value: Tensor, scale: Tensor, shift: Tensor, mask: Tensor | None, epsilon: float
    ) -> tuple[Tensor, ...]:
        found, centred, slope = (torch.empty_like(value) for _ in range(3))
        mean, inverse = torch.empty_like(scale), torch.empty_like(scale)
        variance, one = torch.empty_like(scale), value.new_ones(())
        for part in _blocks(value):
            own, real = value[part], None if mask is None else mask[part]
            count = own.shape[-2] if real is None else real.sum(-2, keepdim=True)
            own = own if real is None else own * real
            middle = torch.div(own.sum(-2, keepdim=True), count, out=mean[part])
            around = torch.sub(own, middle, out=centred[part])
            if real is not None:
                around.mul_(real)
            torch.div(around.square().sum(-2, keepdim=True), count, out=variance[part])
            factor = torch.rsqrt(variance[part] + epsilon, out=inverse[part]) * scale[part]
            inner = torch.addcmul(shift[part], around, factor)
            raised = inner.clamp_max(LARGEST).exp_().add_(1)
            below = torch.addcmul(one, raised, raised).reciprocal_()
            torch.addcmul(inner, inner, below, value=-2, out=found[part])
            # mish' = 1 + 1/u · (4 z (1 − (2 + eᶻ) / u) − 2)
            raised.add_(1).mul_(below)
            torch.addcmul(inner, inner, raised, value=-1, out=raised)
            torch.addcmul(one, raised.mul_(4).sub_(2), below, out=slope[part])
            if real is not None:
                found[part].mul_(real)
                slope[part].mul_(real)
        return found, mean, variance, centred, inverse, slope

    @staticmethod
    def setup_context(
        ctx: Context,
        inputs: tuple[Tensor, Tensor, Tensor, Tensor | None, float],
        output: tuple[Tensor, ...],
    ) -> None:
        _, scale, _, mask, _ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(scale, mask, *output[3:])

    @staticmethod
    def backward(
        ctx: Context, gradient: Tensor, *others: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        scale, mask, centred, inverse, slope = ctx.saved_tensors
        to_value = torch.empty_like(centred)
        to_scale, to_shift = torch.empty_like(scale), torch.empty_like(scale)
        for part in _blocks(centred):
            around, rate, real = centred[part], inverse[part], None if mask is None else mask[part]
            count = around.shape[-2] if real is None else real.sum(-2, keepdim=True)
            back = slope[part] * gradient[part]
            total = torch.sum(back, -2, keepdim=True, out=to_shift[part])
            along = torch.mul((back * around).sum(-2, keepdim=True), rate, out=to_scale[part])
            back.addcmul_(around, along * rate / -count).sub_(total / count)
            torch.mul(back, scale[part] * rate, out=to_value[part])
            if real is not None:
                to_value[part].mul_(real)
        return to_value, to_scale, to_shift, None, None

    @staticmethod
    def vmap(
        info: object,
        in_dims: tuple[int | None, ...],
        value: Tensor,
        scale: Tensor,
        shift: Tensor,
        mask: Tensor | None,
        epsilon: float,
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """All of a vectorised dimension are further normalisations side by side."""

        def first(tensor: Tensor, dim: int | None) -> Tensor:
            return tensor.unsqueeze(0) if dim is None else tensor.movedim(dim, 0)

        moved = [
            first(item, dim) for item, dim in zip((value, scale, shift), in_dims, strict=False)
        ]
        hidden = None if mask is None else first(mask, in_dims[3])
        found: tuple[Tensor, ...] = _NormalisedMish.apply(*moved, hidden, epsilon)
        return found, (0,) * len(found)


def _blocks(value: Tensor) -> Iterator[slice]:
    """Parts of the first dimension that fit into the caches, where it is one of runs."""
    size = len(value)
    if value.ndim > RUNS and value.device.type == "cpu":
        size = max(1, BLOCK * size // value.numel())
    for start in range(0, len(value), size):
        yield slice(start, start + size)

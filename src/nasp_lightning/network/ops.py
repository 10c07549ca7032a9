"""Operations of the networks' cells, and how they are normalised, activated and started.

Tensors are images ``[B, C, H, W]``. No convolution has a bias: a normalisation follows it, or,
in the attention's, the published code has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_lightning.error import NaspError
from nasp_lightning.space.tinynano_cost import EXPANSION, attention_width

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "swish": nn.SiLU,
}
INITIALISATIONS = ("torch", "glorot", "he", "proxyless")


@dataclass(frozen=True)
class Norm:
    """Options of every batch normalisation of a network.

    Attributes:
        eps: added to the variance.
        momentum: share of a batch in the running statistics (Keras' momentum is 1 minus this).
        affine: learn a scale and a shift for each channel.
        track: keep running statistics for evaluation; False: a batch's own at all times.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    track: bool = True

    def layer(self, channels: int) -> nn.BatchNorm2d:
        """A normalisation of ``channels``."""
        return nn.BatchNorm2d(channels, self.eps, self.momentum, self.affine, self.track)


PLAIN = Norm()


class NormOptions(TypedDict, total=False):
    """Options that networks pass on to :class:`Norm`, by the names that they have there."""

    norm_eps: float
    norm_momentum: float
    norm_affine: bool
    norm_track: bool


def activation(name: str) -> nn.Module:
    """An activation by name.

    Raises:
        NaspError: if there is none of that name.
    """
    if name not in ACTIVATIONS:
        raise NaspError(f"network.activation={name}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def initialise(network: nn.Module, how: str) -> None:
    """Draw the weights of all convolutions and linear layers anew, from torch's own generator.

    Args:
        network: changed in place. Its normalisations stay as they are (scale 1, shift 0).
        how: ``torch`` (as the layers were made), ``glorot`` (uniform, biases 0; Keras' default),
            ``he`` (normal by the outputs of a layer, biases 0), or ``proxyless`` (ProxylessNAS':
            convolutions as ``he``, linear layers as they were made, biases 0).

    Raises:
        NaspError: if there is no such initialisation.
    """
    if how not in INITIALISATIONS:
        raise NaspError(f"network.initialisation={how}: choose one of {', '.join(INITIALISATIONS)}")
    for layer in network.modules() if how != "torch" else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if how == "glorot":
                nn.init.xavier_uniform_(layer.weight)
            elif how == "he" or isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution, normalisation: NAS-Bench-201's convolution."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, norm: Norm = PLAIN
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            norm.layer(outputs),
        )


class ConvNorm(nn.Sequential):
    """Convolution, normalisation, activation.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: height and width.
        norm: options of the normalisation.
        active: name of the activation, or None.
        depthwise: each channel by itself (``outputs`` must be ``inputs``).
        stride: in both directions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        norm: Norm = PLAIN,
        active: str | None = "mish",
        depthwise: bool = False,
        stride: int = 1,
    ) -> None:
        half, groups = kernel // 2, inputs if depthwise else 1
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, half, groups=groups, bias=False),
            norm.layer(outputs),
        ]
        super().__init__(*layers, *([] if active is None else [activation(active)]))


class Attention(nn.Module):
    """A gate for each channel, from self-attention among an image's mean channels.

    The means give a query, key and value of a quarter of the channels each; ``softmax(q kᵀ) v``,
    not scaled, gives the gates through a hard sigmoid (Siamese-NAS' ``SelfAttention``).
    """

    def __init__(self, channels: int, active: str = "mish") -> None:
        super().__init__()
        width = attention_width(channels)
        self.query = nn.Linear(channels, width, bias=False)
        self.key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, width, bias=False)
        self.gate = nn.Linear(width, channels, bias=False)
        self.active = activation(active)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same."""
        means = images.mean((2, 3))
        query = self.active(self.query(means)).unsqueeze(2)
        key = self.active(self.key(means)).unsqueeze(1)
        value = self.active(self.value(means)).unsqueeze(2)
        mixed = torch.bmm(torch.bmm(query, key).softmax(2), value).squeeze(2)
        gates: Tensor = functional.hardsigmoid(self.gate(mixed))
        return images * gates[:, :, None, None]


class Expand(nn.Module):
    """Three times the channels: x_i = dwconv(x_{i−1}) + x_0, all three concatenated."""

    def __init__(self, channels: int, norm: Norm = PLAIN, active: str = "mish") -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            ConvNorm(channels, channels, 3, norm, active, depthwise=True) for _ in range(EXPANSION)
        )

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, 3 C, H, W]``."""
        parts, last = [], images
        for step in self.steps:
            last = step(last) + images
            parts.append(last)
        return torch.cat(parts, 1)


class Split(nn.Module):
    """The channels in two halves; an odd number is first made even by a 1×1 convolution."""

    def __init__(self, channels: int, norm: Norm = PLAIN) -> None:
        super().__init__()
        odd = channels % 2 == 1
        self.even = ConvNorm(channels, channels + 1, 1, norm, None) if odd else nn.Identity()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` to two of ``[B, ⌈C / 2⌉, H, W]``."""
        first, second = self.even(images).chunk(2, 1)
        return first, second


class Reduction(nn.Module):
    """Half the pixels: NAS-Bench-201's residual block between its stages."""

    def __init__(self, inputs: int, outputs: int, norm: Norm = PLAIN) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReLUConvNorm(inputs, outputs, 3, 2, norm), ReLUConvNorm(outputs, outputs, 3, 1, norm)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', ⌈H / 2⌉, ⌈W / 2⌉]`` (H and W must be even)."""
        reduced: Tensor = self.shortcut(images) + self.body(images)
        return reduced


def check_positive(**sizes: int) -> None:
    """Raise :class:`NaspError` for the first size that is not a positive whole number."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not math.isfinite(size) or size != int(size) or size < 1:
            raise NaspError(f"network.{name}={size}: give a positive whole number")

"""The network of one architecture of the MobileNet-like space, and what architectures cost.

As in the public code of RLNAS and ABS (CVPR 2021, ECCV 2020), whose sizes are ProxylessNAS-GPU's:
a 3×3 convolution, a depthwise separable block, the chosen inverted residual blocks (MobileNetV2),
a 1×1 convolution, the mean over pixels, a linear classifier; ReLU6 everywhere.

Example:
    >>> network = MobileNetNetwork.from_string("206220240442424200022")  # RLNAS' searched network
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.nasbench201 import check_images
from nasp_lightning.network.ops import ConvNorm, Norm, NormOptions, check_positive, initialise
from nasp_lightning.space.base import Space
from nasp_lightning.space.mobilenet import BLOCKS, IDENTITY, Block, MobileNet, Place


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise convolution, 1×1 projection; added to the input where shapes agree.

    Args:
        inputs: channels.
        outputs: channels.
        block: kernel of the depthwise convolution, and how many channels it has for each input;
            1: without the 1×1 expansion.
        stride: of the depthwise convolution.
        norm: options of the normalisations.
        active: name of the activation.
    """

    def __init__(
        self, inputs: int, outputs: int, block: Block, stride: int, norm: Norm, active: str
    ) -> None:
        super().__init__()
        hidden = inputs * block.expansion
        layers = [] if block.expansion == 1 else [ConvNorm(inputs, hidden, 1, norm, active)]
        layers += [
            ConvNorm(hidden, hidden, block.kernel, norm, active, depthwise=True, stride=stride),
            ConvNorm(hidden, outputs, 1, norm, None),
        ]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', ⌈H / stride⌉, ⌈W / stride⌉]``."""
        changed: Tensor = self.body(images)
        return images + changed if self.residual else changed


class Stem(nn.Sequential):
    """What stands in front of the searched layers: a convolution and a fixed block."""

    def __init__(self, space: MobileNet, norm: Norm, active: str) -> None:
        super().__init__(
            ConvNorm(3, space.stem_width, 3, norm, active, stride=space.stem_stride),
            InvertedResidual(space.stem_width, space.first_width, Block(3, 1), 1, norm, active),
        )


class Head(nn.Module):
    """What stands behind them: a 1×1 convolution, the mean, dropout, a linear classifier."""

    def __init__(
        self, space: MobileNet, classes: int, dropout: float, norm: Norm, active: str
    ) -> None:
        super().__init__()
        self.last = ConvNorm(space.widths[-1], space.last_width, 1, norm, active)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(space.last_width, classes)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, classes]``."""
        logits: Tensor = self.classifier(self.dropout(self.last(features).mean((2, 3))))
        return logits


class MobileNetOptions(NormOptions, total=False):
    """Options of :class:`MobileNetNetwork`, beside its space."""

    classes: int
    dropout: float
    activation: str
    initialisation: str


class MobileNetNetwork(nn.Module):
    """The network of an architecture.

    Args:
        operations: ``[L]`` codes of the space.
        adjacency: None.
        space: whose sizes the network has; None: the published ones.
        classes: of the data set.
        dropout: of the classifier's inputs.
        activation: ``relu6`` (published), ``relu``, ``swish`` or ``mish``.
        norm_eps: of the batch normalisations.
        norm_momentum: share of a batch in their running statistics.
        norm_affine: learn their scale and shift.
        norm_track: keep running statistics; False: a batch's own in evaluation too.
        initialisation: ``proxyless`` (published), ``torch``, ``glorot`` or ``he``.

    Raises:
        NaspError: if the architecture is none of the space, or an option is out of range.
    """

    def __init__(
        self,
        operations: Array,
        adjacency: Array | None = None,
        *,
        space: Space | None = None,
        classes: int = 1000,
        dropout: float = 0.0,
        activation: str = "relu6",
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
        norm_affine: bool = True,
        norm_track: bool = True,
        initialisation: str = "proxyless",
    ) -> None:
        super().__init__()
        self.space = checked_space(space)
        check_options(classes, dropout)
        codes = np.asarray(operations)
        self.space.validate(codes[None], adjacency)
        norm = Norm(norm_eps, norm_momentum, norm_affine, norm_track)
        self.stem = Stem(self.space, norm, activation)
        self.layers = nn.Sequential(
            *(
                layer(place, int(code), norm, activation)
                for place, code in zip(self.space.places, codes, strict=True)
            )
        )
        self.head = Head(self.space, classes, dropout, norm, activation)
        initialise(self, initialisation)

    @classmethod
    def from_string(
        cls, text: str, space: Space | None = None, **options: Unpack[MobileNetOptions]
    ) -> MobileNetNetwork:
        """The network of an architecture in the space's text.

        Raises:
            NaspError: if the text is no architecture of the space.
        """
        return cls(*checked_space(space).from_string(text), space=space, **options)

    @classmethod
    def costs(
        cls,
        operations: Array,
        adjacency: Array | None = None,
        image: int | None = None,
        *,
        space: Space | None = None,
        classes: int = 1000,
        norm_affine: bool = True,
        **_: object,
    ) -> dict[str, Array]:
        """Parameters and multiply-adds of the networks of ``[N, L]`` operations, not built.

        Args:
            operations: ``[N, L]`` codes of the space.
            adjacency: None.
            image: height and width in pixels; None: the space's.
            space: as of a network, like all other options; most of them change no cost.
            classes: of the data set.
            norm_affine: whether normalisations have parameters.

        Returns:
            ``parameters`` and ``macs``, int64 ``[N]`` each; multiply-adds are those of
            convolutions and of the classifier's weights, for one image.

        Raises:
            NaspError: if an architecture is none of the space, or images are too small.
        """
        sizes = checked_space(space)
        sizes.validate(operations, adjacency)
        side = sizes.image if image is None else image
        check_size(sizes, side, side)
        fixed, table = cost_table(sizes, classes, side, norm_affine)
        codes = np.asarray(operations, dtype=np.int64)
        total = fixed + table[np.arange(sizes.layers), codes].sum(axis=1)
        return {"parameters": total[:, 0], "macs": total[:, 1]}

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` images to ``[B, classes]`` logits.

        Raises:
            NaspError: if they are no colour images, or too small to be reduced by all strides.
        """
        check_fit(self.space, images)
        logits: Tensor = self.head(self.layers(self.stem(images)))
        return logits


def layer(place: Place, code: int, norm: Norm, active: str) -> nn.Module:
    """The module of an operation at a place."""
    if code == IDENTITY:
        return nn.Identity()
    return InvertedResidual(place.inputs, place.outputs, BLOCKS[code], place.stride, norm, active)


# --- what architectures cost


def cost_table(
    space: MobileNet, classes: int, image: int, affine: bool = True
) -> tuple[Array, Array]:
    """Parameters and multiply-adds of a network's parts.

    Args:
        space: whose sizes the networks have.
        classes: of the data set.
        image: height and width in pixels.
        affine: whether normalisations have parameters.

    Returns:
        ``[2]`` int64 of the stem and the head, and ``[L, 7]`` by 2 of each operation in each layer.
    """
    norm = 2 if affine else 0
    side = -(-image // space.stem_stride)
    stem = _convolution(3, space.stem_width, 3, 1, side, norm)
    stem = stem + _block(space.stem_width, space.first_width, Block(3, 1), side, side, norm)
    table = np.zeros((space.layers, IDENTITY + 1, 2), dtype=np.int64)
    for index, place in enumerate(space.places):
        after = -(-side // place.stride)
        for code, block in enumerate(BLOCKS):
            table[index, code] = _block(place.inputs, place.outputs, block, side, after, norm)
        side = after
    head = _convolution(space.widths[-1], space.last_width, 1, 1, side, norm)
    weights = space.last_width * classes
    return stem + head + np.array([weights + classes, weights]), table


def _block(inputs: int, outputs: int, block: Block, before: int, after: int, norm: int) -> Array:
    hidden = inputs * block.expansion
    cost = _convolution(hidden, hidden, block.kernel, hidden, after, norm)
    cost = cost + _convolution(hidden, outputs, 1, 1, after, norm)
    expand = block.expansion != 1
    return cost + _convolution(inputs, hidden, 1, 1, before, norm) if expand else cost


def _convolution(
    inputs: int, outputs: int, kernel: int, groups: int, side: int, norm: int
) -> Array:
    """Parameters (with the normalisation's) and multiply-adds, of an output of ``side``² pixels."""
    weights = inputs // groups * outputs * kernel**2
    return np.array([weights + norm * outputs, weights * side**2], dtype=np.int64)


# --- checks


def checked_space(space: Space | None) -> MobileNet:
    """A space of this kind; None: the published one.

    Raises:
        NaspError: if it is another.
    """
    if space is None:
        return MobileNet()
    if not isinstance(space, MobileNet):
        raise NaspError(
            f"space {space.name}: a MobileNet has architectures of the space mobilenet; "
            "choose space=mobilenet, or another network"
        )
    return space


def check_options(classes: int, dropout: float) -> None:
    """Raise :class:`NaspError` for options that no network can have."""
    check_positive(classes=classes)
    if not 0 <= dropout < 1:
        raise NaspError(f"network.dropout={dropout}: give a number from 0 up to, not including, 1")


def check_size(space: MobileNet, height: int, width: int) -> None:
    """Raise :class:`NaspError` for images that the strides would reduce to less than a pixel."""
    if min(height, width) < space.reduction:
        raise NaspError(
            f"images of {height}×{width} pixels are too small for a network of the space "
            f"{space.name} whose strides reduce them {space.reduction} times: they need at least "
            f"{space.reduction}×{space.reduction}, or smaller space.strides"
        )


def check_fit(space: MobileNet, images: Tensor) -> None:
    """Raise :class:`NaspError` for anything but colour images that are large enough."""
    check_images(images, 1)
    check_size(space, images.shape[2], images.shape[3])

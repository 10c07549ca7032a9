"""The MobileNet-like space: a chain of inverted residual blocks, of any widths and depths.

The space of RLNAS (Zhang et al., "Neural Architecture Search with Random Labels", CVPR 2021) and
of TNASP's appendix A.5, whose sizes are ProxylessNAS-GPU's: a stem, a fixed block, 21 searchable
layers in six stages, a last convolution. Every layer chooses a kernel of 3, 5 or 7 and an
expansion of 3 or 6, or the identity where neither resolution nor width changes: not in the first
layer of a stage. 6⁶ · 7¹⁵ ≈ 2.2e17 architectures.

Codes are those of RLNAS' code, whose identity is −1 instead of 6; as text, one digit for each
layer, such as the published ``206220240442424200022``.

Example:
    >>> space = MobileNet()
    >>> space.layers, space.size == 6**6 * 7**15
    (21, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import ClassVar, NamedTuple

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.space.base import Architecture
from nasp_lightning.space.chain import Box, Chain


class Block(NamedTuple):
    """Kernel and expansion of an operation."""

    kernel: int
    expansion: int


class Place(NamedTuple):
    """What is fixed about a layer.

    Attributes:
        stage: that it is in, from 0.
        inputs: channels.
        outputs: channels.
        stride: 1, or more in the first layer of some stages.
        first: whether it is the first of its stage, where the identity is not allowed.
    """

    stage: int
    inputs: int
    outputs: int
    stride: int
    first: bool


BLOCKS = tuple(Block(kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))
IDENTITY = len(BLOCKS)
OPERATIONS = (*(f"mb{expansion}_k{kernel}" for kernel, expansion in BLOCKS), "identity")


class MobileNet(Chain):
    """Chains of MobileNetV2's blocks. All sizes are settings; the defaults are the published ones.

    Args:
        encoding: ``chain``.
        stem_width: channels of the stem, a 3×3 convolution.
        stem_stride: of the stem.
        first_width: channels of the fixed block after it (3×3, not expanded, stride 1).
        widths: channels of each stage.
        depths: layers of each stage.
        strides: of the first layer of each stage.
        last_width: channels of the last 1×1 convolution.
        image: height and width, in pixels, of the images that costs are counted for.

    Raises:
        NaspError: if the sizes describe no network.
    """

    name: ClassVar[str] = "mobilenet"
    operation_names = OPERATIONS

    def __init__(
        self,
        encoding: str | None = None,
        stem_width: int = 40,
        stem_stride: int = 2,
        first_width: int = 24,
        widths: Sequence[int] = (32, 56, 112, 128, 256, 432),
        depths: Sequence[int] = (4, 4, 4, 4, 4, 1),
        strides: Sequence[int] = (2, 2, 2, 1, 2, 1),
        last_width: int = 1728,
        image: int = 224,
    ) -> None:
        super().__init__(encoding)
        self.widths, self.depths, self.strides = tuple(widths), tuple(depths), tuple(strides)
        if not len(self.widths) == len(self.depths) == len(self.strides) > 0:
            raise NaspError(
                f"space.widths={list(widths)}, space.depths={list(depths)} and "
                f"space.strides={list(strides)}: give one number of each for every stage"
            )
        self.stem_width = check_whole("space.stem_width", stem_width)
        self.stem_stride = check_whole("space.stem_stride", stem_stride)
        self.first_width = check_whole("space.first_width", first_width)
        self.last_width = check_whole("space.last_width", last_width)
        for name, sizes in (("widths", widths), ("depths", depths), ("strides", strides)):
            for size in sizes:
                check_whole(f"space.{name}", size)
        self.layers = sum(self.depths)
        self.reduction = self.stem_stride * prod(self.strides)
        self.image = check_whole("space.image", image, least=self.reduction)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """What is fixed about each layer."""
        found, inputs = [], self.first_width
        sizes = zip(self.widths, self.depths, self.strides, strict=True)
        for stage, (width, depth, stride) in enumerate(sizes):
            for layer in range(depth):
                first = layer == 0
                found.append(Place(stage, inputs, width, stride if first else 1, first))
                inputs = width
        return tuple(found)

    @property
    def stages(self) -> tuple[int, ...]:
        """Of each layer, from 0."""
        return tuple(place.stage for place in self.places)

    @cached_property
    def choices(self) -> Array:
        """``[L]`` int64, how many operations each layer may have: the codes from 0 on."""
        return np.array([IDENTITY + (not place.first) for place in self.places])

    @property
    def size(self) -> int:
        """Number of architectures in the space."""
        return prod(int(count) for count in self.choices)

    def index_of(self, operations: Array) -> Array:
        """``[N]`` canonical index of ``[N, L]`` operations: codes as digits of mixed bases.

        int64; Python's whole numbers where the space is too large for that.
        """
        counts = [int(count) for count in self.choices]
        powers = [prod(counts[layer + 1 :]) for layer in range(self.layers)]
        kind: type = np.int64 if self.size <= np.iinfo(np.int64).max else object
        index: Array = np.asarray(operations).astype(kind) @ np.array(powers, dtype=kind)
        return index

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first row that is no architecture of the space."""
        super().validate(operations, adjacency)
        wrong = np.argwhere(np.asarray(operations) >= self.choices)
        if len(wrong):
            row, layer = wrong[0]
            raise NaspError(
                f"space {self.name}: architecture {row} has the identity ({IDENTITY}) in layer "
                f"{layer}, the first of stage {self.places[layer].stage}, where width or "
                f"resolution change; choose a code from 0 to {IDENTITY - 1} there"
            )

    def from_string(self, text: str) -> Architecture:
        """Operations ``[L]`` of a text; one with blanks, as in RLNAS' scripts, is read as well.

        Raises:
            NaspError: if the text is not one code for each layer, or no architecture.
        """
        codes = [str(IDENTITY) if code == "-1" else code for code in text.split()]
        found = super().from_string("".join(codes))
        self.validate(found.operations[None])
        return found

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, None]:
        """``[count, L]`` architectures drawn independently and uniformly (repeats are possible)."""
        return rng.integers(self.choices, size=(count, self.layers), dtype=np.uint8), None

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """The architecture with another allowed operation in one layer, both drawn uniformly."""
        changed = np.array(operations, dtype=np.uint8)
        layer = rng.integers(self.layers)
        count = int(self.choices[layer])
        changed[layer] = (changed[layer] + rng.integers(1, count)) % count
        return Architecture(changed)

    def boxes(self, operations: Array) -> list[Box]:
        """How one architecture ``[L]`` is drawn: its layers by stage, the fixed parts around them.

        Raises:
            NaspError: if it is no architecture of the space.
        """
        layers, side = super().boxes(operations), -(-self.image // self.stem_stride)
        found = [
            Box("conv 3×3", None, 1 / 6, f"{self.stem_width}\n{side}²"),
            Box("MB1 3×3", None, 1 / 6, f"{self.first_width}\n{side}²"),
        ]
        for place, box in zip(self.places, layers, strict=True):
            side = -(-side // place.stride)
            found.append(box._replace(group=f"{place.outputs}\n{side}²"))
        return [*found, Box("conv 1×1", None, 1 / 6, f"{self.last_width}\n{side}²")]

    def _example(self) -> str:
        return "".join(str(layer % IDENTITY) for layer in range(self.layers))

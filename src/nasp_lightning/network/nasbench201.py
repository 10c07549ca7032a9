"""NAS-Bench-201's network: three stages of five equal cells, for any of the 15,625 architectures.

Dong and Yang (ICLR 2020, arXiv 2001.00326), Fig. 1: stem, stages of 16, 32 and 64 channels with
residual blocks of stride two between them, normalisation, ReLU, mean, linear classifier. Its
parameters and multiply-adds are the benchmark's.

Example:
    >>> network = NASBench201Network.from_string(
    ...     "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    ... )
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.cell import NASBench201Cell
from nasp_lightning.network.ops import Norm, NormOptions, Reduction, check_positive, initialise
from nasp_lightning.space.nasbench201 import NASBench201

_STAGES = 3


class NASBench201Options(NormOptions, total=False):
    """Options of :class:`NASBench201Network`."""

    classes: int
    channels: int
    cells: int
    skip_dead: bool
    initialisation: str


class NASBench201Network(nn.Module):
    """The network of one architecture.

    Args:
        operations: ``[6]`` codes of the space of :mod:`nasp_lightning.space.nasbench201`.
        adjacency: None; the topology is fixed.
        classes: of the data set: 10 (CIFAR-10), 100 (CIFAR-100), 120 (ImageNet16-120).
        channels: of the first stage; each later stage has twice as many.
        cells: in a stage.
        skip_dead: do not compute edges that cannot reach the output, which changes no output.
            False: as the benchmark, whose multiply-adds count them.
        norm_eps: of the batch normalisations.
        norm_momentum: share of a batch in their running statistics.
        norm_affine: learn their scale and shift.
        norm_track: keep running statistics; False: a batch's own in evaluation too.
        initialisation: ``torch`` (the benchmark's), ``glorot`` or ``he``.

    Raises:
        NaspError: if the operations are no architecture of the space, or a size is not positive.
    """

    def __init__(
        self,
        operations: Array,
        adjacency: Array | None = None,
        *,
        classes: int = 10,
        channels: int = 16,
        cells: int = 5,
        skip_dead: bool = True,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
        norm_affine: bool = True,
        norm_track: bool = True,
        initialisation: str = "torch",
    ) -> None:
        super().__init__()
        check_positive(classes=classes, channels=channels, cells=cells)
        NASBench201().validate(np.asarray(operations)[None], adjacency)
        norm = Norm(norm_eps, norm_momentum, norm_affine, norm_track)
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1, bias=False), norm.layer(channels)
        )
        body: list[nn.Module] = []
        width = channels
        for stage in range(_STAGES):
            if stage:
                body.append(Reduction(width, 2 * width, norm))
                width *= 2
            body += [NASBench201Cell(operations, width, norm, skip_dead) for _ in range(cells)]
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(norm.layer(width), nn.ReLU())
        self.classifier = nn.Linear(width, classes)
        initialise(self, initialisation)

    @classmethod
    def from_string(cls, text: str, **options: Unpack[NASBench201Options]) -> NASBench201Network:
        """The network of an architecture in the benchmark's text.

        Raises:
            NaspError: if the text is no architecture.
        """
        return cls(*NASBench201().from_string(text), **options)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` images (H and W divisible by four) to ``[B, classes]`` logits."""
        check_images(images, 2 ** (_STAGES - 1))
        features = self.last(self.body(self.stem(images))).mean((2, 3))
        logits: Tensor = self.classifier(features)
        return logits


def check_images(images: Tensor, divisor: int) -> None:
    """Raise :class:`NaspError` for anything but colour images that can be halved often enough."""
    fits = images.ndim == 4 and images.shape[1] == 3 and images.is_floating_point()
    if not fits or images.shape[2] % divisor or images.shape[3] % divisor:
        raise NaspError(
            f"images of {images.dtype} {list(images.shape)}: expected real numbers [B, 3, H, W], "
            f"H and W divisible by {divisor}"
        )

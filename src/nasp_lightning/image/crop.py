"""Random crops of padded images, flips and Cutout for whole batches, on the device.

The usual augmentation of CIFAR: pad by four black pixels, crop at random, flip half of the images,
normalise, and erase a square (Cutout: DeVries and Taylor, arXiv 1708.04552; its centre is any
pixel, so that it may reach beyond the border).

Every random number of an epoch comes from NumPy on the CPU at once, so a seed gives the same
batches on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.error import NaspError, check_whole


@dataclass(frozen=True)
class Cropping:
    """What is done to a training image.

    Attributes:
        pad: pixels added on each side before a crop of the original size; 0: no crop.
        flip: probability of a horizontal flip.
        cutout: side of the erased square; 0: none.

    Raises:
        NaspError: for a number that cannot be.
    """

    pad: int = 4
    flip: float = 0.5
    cutout: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        check_whole("data.pad", self.pad, 0)
        check_whole("data.cutout", self.cutout, 0)
        if not 0 <= self.flip <= 1:
            raise NaspError(f"data.flip={self.flip}: it must lie between 0 and 1")


class CropDraw(NamedTuple):
    """Random numbers of images: ``[N]`` places of the crop, flips, ``[N, 2]`` Cutout's centres."""

    top: Tensor
    left: Tensor
    flip: Tensor
    centre: Tensor

    def rows(self, part: slice) -> CropDraw:
        """Those of some of the images."""
        return CropDraw(*(item[part] for item in self))

    def to(self, device: torch.device | str) -> CropDraw:
        """The same on another device."""
        return CropDraw(*(item.to(device) for item in self))


def draw_crops(cropping: Cropping, count: int, side: int, rng: np.random.Generator) -> CropDraw:
    """Random numbers for ``count`` images of ``side`` by ``side`` pixels."""
    places = rng.integers(0, 2 * cropping.pad + 1, (2, count))
    return CropDraw(
        torch.from_numpy(places[0]),
        torch.from_numpy(places[1]),
        torch.from_numpy(rng.random(count) < cropping.flip),
        torch.from_numpy(rng.integers(0, side, (count, 2))),
    )


def pad_images(pixels: Tensor, cropping: Cropping) -> Tensor:
    """``[N, 3, S, S]`` with a black border, from which :func:`crop` cuts."""
    return F.pad(pixels, (cropping.pad,) * 4)


def crop(padded: Tensor, rows: Tensor, drawn: CropDraw, cropping: Cropping) -> Tensor:
    """Images ``[B, 3, S, S]`` of the padded ones: cropped and flipped.

    Args:
        padded: ``[N, 3, S + 2 pad, S + 2 pad]`` uint8, from :func:`pad_images`.
        rows: ``[B]`` int64 of them.
        drawn: ``[B]``, from :func:`draw_crops`.
        cropping: what is done.
    """
    if cropping.pad:
        side = padded.shape[-1] - 2 * cropping.pad
        windows = padded.unfold(2, side, 1).unfold(3, side, 1)  # a view: [N, 3, 2p+1, 2p+1, S, S]
        images = windows[rows, :, drawn.top, drawn.left]
    else:
        images = padded[rows]
    return torch.where(drawn.flip[:, None, None, None], images.flip(3), images)


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Float images of bytes; ``mean`` and ``std`` ``[3]`` are those of pixels in [0, 1]."""
    scale = (1 / (255 * std)).view(1, 3, 1, 1)
    shift = (-mean / std).view(1, 3, 1, 1)
    return torch.addcmul(shift, pixels.float(), scale)


def cut_out(images: Tensor, centre: Tensor, size: int) -> Tensor:
    """Normalised images ``[B, 3, S, S]`` with a square of ``size`` pixels set to 0.

    Args:
        images: are changed.
        centre: ``[B, 2]`` row and column.
        size: of the square's side; 0 changes nothing.
    """
    if size == 0:
        return images
    places = torch.arange(images.shape[-1], device=images.device)
    from_centre = places[None, None, :] - centre[:, :, None] + size // 2  # 0 to size - 1 inside
    inside = (from_centre >= 0) & (from_centre < size)
    erased = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images.masked_fill_(erased[:, None], 0.0)

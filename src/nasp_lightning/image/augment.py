"""Augmentation of whole batches on the device: mixup, flips, crops and translations.

Siamese-NAS's published code (``cifar_augment.py``) names the four and their
probabilities. What it leaves open is chosen here: each image draws for itself; a crop cuts up to
``crop_fraction`` of each side and stretches the rest to the whole; a translation shifts by whole
pixels and fills with black; mixup's partner is any other image of the batch.

Every random number comes from NumPy on the CPU, so a seed gives the same batch on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.error import NaspError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a batch, as plain numbers.

    Attributes:
        mixup: probability that an image is mixed with another of its batch.
        mixup_alpha: λ of the mixture is drawn from Beta(alpha, alpha).
        flip: probability of a horizontal flip.
        crop: probability of a crop.
        crop_fraction: most of each side's length that a crop cuts off.
        translate: probability of a translation.
        translate_fraction: farthest that it goes, of the side's length.

    Raises:
        NaspError: for a probability or a fraction outside [0, 1], or alpha of 0 or less.
    """

    mixup: float = 0.5
    mixup_alpha: float = 1.5
    flip: float = 0.5
    crop: float = 0.5
    crop_fraction: float = 0.1
    translate: float = 0.5
    translate_fraction: float = 0.1

    def __post_init__(self) -> None:
        """Refuse numbers that are no probabilities, fractions or exponents."""
        for name, value in vars(self).items():
            if name == "mixup_alpha" and not value > 0:
                raise NaspError(f"{name}={value}: it must be above 0")
            if name != "mixup_alpha" and not 0 <= value <= 1:
                raise NaspError(f"{name}={value}: it must lie between 0 and 1")


NO_AUGMENTATION = Augmentation(mixup=0.0, flip=0.0, crop=0.0, translate=0.0)


@dataclass(frozen=True)
class Draw:
    """Random numbers of one batch.

    Attributes:
        grid: ``[B, 2, 4]``: for x and y the flip's sign, the translation, the crop's scale and
            its centre, in units where the image reaches from -1 to 1.
        partner: ``[B]`` int64 place in the batch of the image that each is mixed with.
        weight: ``[B]`` λ, the share of the image itself; 1 where it is not mixed.
    """

    grid: Array
    partner: npt.NDArray[np.int64]
    weight: Array


def draw(
    augmentation: Augmentation,
    count: int,
    side: int,
    rng: np.random.Generator,
    batch: int | None = None,
) -> Draw:
    """Random numbers for ``count`` images of ``side`` by ``side`` pixels.

    Args:
        augmentation: what is done.
        count: number of images, a multiple of ``batch``.
        side: pixels of a side.
        rng: source of all of them.
        batch: images are mixed with others of the same ``batch`` in a row; None: with any.
    """
    batch = batch or count
    sign = np.ones((count, 2))
    sign[:, 0] = np.where(rng.random(count) < augmentation.flip, -1.0, 1.0)
    reach = int(augmentation.translate_fraction * side)
    moved = (rng.random(count) < augmentation.translate)[:, None]
    shift = np.where(moved, rng.integers(-reach, reach + 1, (count, 2)) * 2.0 / side, 0.0)
    cropped = (rng.random(count) < augmentation.crop)[:, None]
    cut = np.where(cropped, augmentation.crop_fraction * rng.random((count, 2)), 0.0)
    centre = cut * rng.uniform(-1.0, 1.0, (count, 2))
    grid = np.stack([sign, shift, 1.0 - cut, centre], axis=2)
    mixed = rng.random(count) < augmentation.mixup
    weight = np.where(mixed, rng.beta(augmentation.mixup_alpha, augmentation.mixup_alpha, count), 1)
    first, place = np.divmod(np.arange(count), batch)
    partner = first * batch + (place + rng.integers(1, max(2, batch), count)) % batch
    return Draw(grid, partner, weight)


def augment(pixels: Tensor, labels: Tensor, classes: int, drawn: Draw) -> tuple[Tensor, Tensor]:
    """Augmented images and their soft labels.

    Args:
        pixels: ``[B, C, S, S]`` uint8.
        labels: ``[B]`` int64.
        classes: number of classes.
        drawn: from :func:`draw`.

    Returns:
        ``[B, C, S, S]`` float32 in [0, 1], and ``[B, classes]`` float32 that sum to 1.
    """
    images = pixels.float() / 255
    device = pixels.device
    if not _identity(drawn.grid):
        images = _warp(images, torch.from_numpy(drawn.grid).float().to(device))
    targets = F.one_hot(labels, classes).float()
    if (drawn.weight < 1).any():
        partner = torch.from_numpy(drawn.partner).to(device)
        weight = torch.from_numpy(drawn.weight).float().to(device)
        share = weight[:, None, None, None]
        images = share * images + (1 - share) * images[partner]
        targets = weight[:, None] * targets + (1 - weight[:, None]) * targets[partner]
    return images, targets


def _identity(grid: Array) -> bool:
    return bool((grid == np.array([1.0, 0.0, 1.0, 0.0])).all())


def _warp(images: Tensor, grid: Tensor) -> Tensor:
    """Flip, crop and translate by one bilinear resampling; black where nothing is."""
    side = images.shape[-1]
    places = (torch.arange(side, device=images.device).float() * 2 + 1) / side - 1
    sign, shift, scale, centre = grid.unbind(2)  # each [B, 2]
    inside = sign[:, :, None] * places - shift[:, :, None]  # [B, 2, S] in the cropped image
    source = scale[:, :, None] * inside + centre[:, :, None]
    columns, rows = source[:, 0, None, :], source[:, 1, :, None]
    points = torch.stack([columns.expand(-1, side, -1), rows.expand(-1, -1, side)], dim=3)
    warped = F.grid_sample(images, points, padding_mode="border", align_corners=False)
    seen = (inside.abs() < 1).float()
    return warped * seen[:, None, 1, :, None] * seen[:, None, 0, None, :]

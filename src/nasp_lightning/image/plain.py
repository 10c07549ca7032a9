"""Images as arrays, for other processes."""

from __future__ import annotations

from dataclasses import dataclass

from nasp_lightning.array import Array
from nasp_lightning.image.cifar import Images


@dataclass(frozen=True)
class PlainImages:
    """Images as arrays, to be sent to another process.

    Attributes:
        pixels: ``[N, 3, 32, 32]`` uint8.
        labels: ``[N]`` int64.
        classes: number of classes.
        data_hash: of the whole data set.
    """

    pixels: Array
    labels: Array
    classes: int
    data_hash: str

    @classmethod
    def of(cls, images: Images) -> PlainImages:
        """The arrays of images."""
        pixels, labels = images.pixels.cpu().numpy(), images.labels.cpu().numpy()
        return cls(pixels, labels, images.classes, images.data_hash)

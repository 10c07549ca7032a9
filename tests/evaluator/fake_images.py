"""Images made up in memory, and a supernet so small that its tests take no time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from nasp_lightning.data.base import ImageBatch, ImageModule
from nasp_lightning.network.mobilenet_supernet import MobileNetSupernet
from nasp_lightning.network.store import save_network
from nasp_lightning.space.mobilenet import MobileNet

SPACE: dict[str, Any] = {
    "_target_": "nasp_lightning.space.mobilenet.MobileNet",
    "stem_width": 4,
    "stem_stride": 2,
    "first_width": 4,
    "widths": [4, 8],
    "depths": [2, 2],
    "strides": [1, 2],
    "last_width": 8,
    "image": 8,
}


class FakeImages(ImageModule):
    """Squares of noise whose mean colour is their class."""

    def __init__(
        self, held_out: int = 24, train: int = 48, side: int = 8, batch_size: int = 8, seed: int = 0
    ) -> None:
        super().__init__(batch_size, seed)
        self.name, self.classes, self.side = "fake", 3, side
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.data_hash = f"fake{side}"
        self.sizes = {"train": train, "held_out": held_out, "test": 24}
        self.parts = {part: self._made(part, count) for part, count in self.sizes.items()}

    def _made(self, part: str, count: int) -> ImageBatch:
        generator = torch.Generator().manual_seed(len(part))
        labels = torch.arange(count) % 3
        noise = 0.5 * torch.randn(count, 3, self.side, self.side, generator=generator)
        return ImageBatch(noise + F.one_hot(labels, 3)[:, :, None, None], labels)

    def plain_loader(self, part: str, batch_size: int) -> Batches:
        self.check_part(part)
        return Batches(self.parts[part], batch_size)

    def train_dataloader(self) -> Batches:
        return self.plain_loader("train", self.batch_size)


class Batches:
    """Batches of a part, in a fixed order."""

    def __init__(self, part: ImageBatch, batch_size: int) -> None:
        self.part, self.batch_size = part, batch_size

    def __len__(self) -> int:
        return -(-len(self.part.labels) // self.batch_size)

    def __iter__(self) -> Iterator[ImageBatch]:
        for start in range(0, len(self.part.labels), self.batch_size):
            yield ImageBatch(*(tensor[start : start + self.batch_size] for tensor in self.part))


def tiny_supernet(trained: int = 0) -> MobileNetSupernet:
    """A supernet of 4 layers, trained for a few steps."""
    torch.manual_seed(0)
    sizes = {name: item for name, item in SPACE.items() if name != "_target_"}
    supernet = MobileNetSupernet(MobileNet(**sizes), classes=3)
    if trained:
        import numpy as np

        optimizer = torch.optim.Adam(supernet.parameters(), 0.01)
        images, labels = FakeImages().parts["train"]
        rng = np.random.default_rng(0)
        for _ in range(trained):
            logits = supernet(images, supernet.space.sample(rng, 1)[0][0])
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()
            optimizer.step()
    return supernet


def supernet_file(folder: Path, trained: int = 0, **data: Any) -> Path:
    """A file of it, as ``job=train_network`` leaves it."""
    path = folder / "network.safetensors"
    manifest = {
        "kind": "supernet",
        "network": {
            "_target_": "nasp_lightning.network.mobilenet_supernet.MobileNetSupernet",
            "classes": 3,
        },
        "space": SPACE,
        "data": {**FakeImages().describe(), **data},
        "results": {},
    }
    save_network(path, tiny_supernet(trained), manifest)
    return path

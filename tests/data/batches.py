"""What the tests of image batches share."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from nasp_lightning.data.images import ImageData


def at(data: ImageData, epoch: int, rank: int = 0, processes: int = 1) -> ImageData:
    """The data as a trainer would ask for them."""
    trainer = SimpleNamespace(
        current_epoch=epoch,
        global_rank=rank,
        world_size=processes,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.trainer = trainer  # type: ignore[assignment]
    return data

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.macro import Macro


class Scales(Supernet):
    """One weight for each operation of a chain; an architecture multiplies its own."""

    def __init__(self) -> None:
        super().__init__()
        self.space = Macro()
        self.scales = nn.Parameter(torch.rand(8, 3) + 0.5)

    def forward(self, images: Tensor, operations: Array, adjacency: Array | None = None) -> Tensor:
        self.space.validate(np.asarray(operations)[None], adjacency)
        chosen = self.scales[torch.arange(8), torch.as_tensor(operations, dtype=torch.long)]
        return images.mean((2, 3)) * chosen.prod()

    def subnet(self, operations: Array, adjacency: Array | None = None) -> nn.Module:
        raise NotImplementedError

    def costs(
        self, operations: Array, adjacency: Array | None = None, image: int | None = None
    ) -> dict[str, Array]:
        count = np.full(len(operations), 8, dtype=np.int64)
        return {"parameters": count, "macs": count}


def test_a_supernet_is_a_module_that_takes_an_architecture() -> None:
    supernet = Scales()
    images, operations = torch.rand(2, 3, 4, 4), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    supernet(images, operations).sum().backward()
    assert supernet.scales.grad is not None
    assert (supernet.scales.grad != 0).sum() == 8
    assert list(supernet.state_dict()) == ["scales"]


def test_an_unfinished_supernet_cannot_be_made() -> None:
    class Unfinished(Supernet):
        def forward(
            self, images: Tensor, operations: Array, adjacency: Array | None = None
        ) -> Tensor:
            return images

    with pytest.raises(TypeError, match=r"abstract methods.*costs.*subnet"):
        Unfinished()

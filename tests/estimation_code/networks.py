"""A space of tiny networks, images and a table: what the tests of Estimation Codes share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.image.cifar import Images
from nasp_lightning.space.nasbench201 import from_index


class Scaled(nn.Module):
    """Multiplies: enough of it, and a training diverges."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * self.factor


def tiny_network(operations: Any, channels: int = 4, classes: int = 10) -> nn.Module:
    """A network whose width depends on the first operation, with dropout to need a random state."""
    width = channels + int(operations[0])
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=4, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def diverging_network(operations: Any) -> nn.Module:
    """As above; those whose first operation is 1 overflow."""
    factor = float("inf") if operations[0] == 1 else 1.0
    return nn.Sequential(tiny_network(operations), Scaled(factor))


def failing_network(operations: Any) -> nn.Module:
    """Four outputs instead of ten."""
    return tiny_network(operations, classes=4)


def tiny_images(count: int = 64, seed: int = 0) -> Images:
    """Random images, their brightness telling their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    noise = torch.randint(0, 100, (count, 3, 32, 32), generator=generator)
    pixels = (noise + 15 * labels[:, None, None, None]).byte()
    return Images(pixels, labels, 10, f"tiny{seed}", "tiny")


def table(count: int = 6) -> BenchmarkTable:
    """Some architectures of NAS-Bench-201, whose first operations differ."""
    rows = np.linspace(0, 15624, count).astype(int)
    return BenchmarkTable(space="nasbench201", operations=from_index(rows))

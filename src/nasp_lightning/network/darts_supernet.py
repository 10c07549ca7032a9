"""DARTS' supernet: every operation on every edge, of which a forward pass computes one path.

Single-path training in the manner of SPOS (Guo et al., ECCV 2020) on the cells of DARTS. Layers
are those of the child network, so an architecture cut out is an ordinary
:class:`~nasp_lightning.network.darts.DartsNetwork` (without an auxiliary head).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.darts import DartsNetwork, check_side, check_sizes, stem
from nasp_lightning.network.darts_cell import (
    DartsCell,
    cell_entries,
    cell_output,
    cell_plan,
    edge_stride,
    operation,
)
from nasp_lightning.network.darts_cost import network_costs
from nasp_lightning.network.nasbench201 import check_images
from nasp_lightning.network.ops import PLAIN
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.base import Space
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.darts_genotype import INPUTS, NODES, OPERATIONS, Cell, Genotype


class Supercell(nn.Module):
    """All operations on all edges of a cell: seven for each state that a node may read.

    Args:
        before_last: channels of the output of the cell before the last one.
        last: channels of the last cell's output.
        channels: C of a node.
        reduction: whether the cell halves the pixels.
        after_reduction: whether the last cell did.
    """

    def __init__(
        self, before_last: int, last: int, channels: int, reduction: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.entries = cell_entries(before_last, last, channels, after_reduction, PLAIN)
        self.choices = nn.ModuleDict()
        for node in range(NODES):
            for state in range(INPUTS + node):
                stride = edge_stride(reduction, state)
                for name in OPERATIONS:
                    self.choices[f"{node}_{state}_{name}"] = operation(name, channels, stride)

    def edges(self, cell: Cell) -> list[nn.Module]:
        """The operations of a cell's eight edges."""
        return [
            self.choices[f"{edge // 2}_{state}_{name}"] for edge, (name, state) in enumerate(cell)
        ]

    def forward(self, before_last: Tensor, last: Tensor, cell: Cell) -> Tensor:
        """Outputs of the two cells before to ``[B, 4 C, H, W]``, by the cell's operations."""
        states = [state for _, state in cell]
        return cell_output(self.edges(cell), states, self.entries, before_last, last)


class DartsSupernet(Supernet):
    """Shared weights of all architectures of DARTS' space.

    Args:
        space: the space ``darts``; None: a new one.
        classes: of the data set.
        channels: C of the first cells' nodes, doubled by each reduction.
        layers: number of cells, at least three.
        stem_stride: of the first convolution.
        image: height and width in pixels that :meth:`costs` assumes.

    Raises:
        NaspError: if the space is another one, or a size cannot be.
    """

    space: Darts

    def __init__(
        self,
        space: Space | None = None,
        *,
        classes: int = 10,
        channels: int = 16,
        layers: int = 8,
        stem_stride: int = 1,
        image: int = 32,
    ) -> None:
        super().__init__()
        check_sizes(classes, channels, layers, stem_stride)
        check_side(image, stem_stride)
        if space is not None and not isinstance(space, Darts):
            raise NaspError(f"network=darts_supernet needs space=darts, not {space.name}")
        self.space = space or Darts()
        self.sizes = {
            "classes": classes,
            "channels": channels,
            "layers": layers,
            "stem_stride": stem_stride,
        }
        self.image = image
        self.stem = stem(channels, stem_stride)
        plan = cell_plan(layers, channels)
        self.cells = nn.ModuleList(Supercell(*sizes) for sizes in plan)
        self.classifier = nn.Linear(4 * plan[-1][2], classes)

    def forward(self, images: Tensor, operations: Array, adjacency: Array | None = None) -> Tensor:
        """Logits of one architecture; see :meth:`Supernet.forward`."""
        check_images(images, 4 * self.sizes["stem_stride"])
        genotype = self.space.genotype(operations, adjacency)
        before_last = last = self.stem(images)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last, _chosen(genotype, cell))
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits

    def subnet(self, operations: Array, adjacency: Array | None = None) -> DartsNetwork:
        """One architecture as a plain module of its own; see :meth:`Supernet.subnet`."""
        genotype = self.space.genotype(operations, adjacency)
        with torch.device("meta"):  # no numbers drawn, so the random state stays as it is
            network = DartsNetwork(operations, adjacency, auxiliary=False, **self.sizes)
        weight = self.classifier.weight
        network.to_empty(device=weight.device).to(weight.dtype)
        network.drop_path_rate = 0.0
        copy_state(self.stem, network.stem)
        copy_state(self.classifier, network.classifier)
        for mine, theirs in zip(self.cells, network.cells, strict=True):
            assert isinstance(mine, Supercell)
            assert isinstance(theirs, DartsCell)
            copy_state(mine.entries, theirs.entries)
            copy_state(nn.ModuleList(mine.edges(_chosen(genotype, mine))), theirs.edges)
        return network.train(self.training)

    def costs(
        self, operations: Array, adjacency: Array | None = None, image: int | None = None
    ) -> dict[str, Array]:
        """Parameters and multiply-adds; see :meth:`Supernet.costs`."""
        side = self.image if image is None else image
        check_side(side, self.sizes["stem_stride"])
        edges = self.space.edges(np.asarray(operations), adjacency)
        return network_costs(edges[0], edges[1], **self.sizes, image=side)


def _chosen(genotype: Genotype, cell: nn.Module) -> Cell:
    return genotype.reduce if cell.reduction else genotype.normal


def copy_state(source: nn.Module, target: nn.Module) -> None:
    """Copy weights and statistics between modules of one structure."""
    target.load_state_dict(source.state_dict())

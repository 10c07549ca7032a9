"""Random graphs of each kind of space."""

from __future__ import annotations

import torch

from nasp_lightning.space.base import Graphs, Shape

CELL = Shape(7, 7, 6, padding_token=5, published_padding_token=0)


EDGES = Shape(6, 4, 5)


CHAIN = Shape(8, 8, 3, chain=True)


def cells(count: int, seed: int = 0) -> Graphs:
    """Random cells of 4 to 7 vertices in NAS-Bench-101's encoding."""
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randint(4, 8, (count,), generator=generator).to(torch.uint8)
    operations = torch.randint(2, 5, (count, 7), generator=generator)
    slot = torch.arange(7)
    last = (vertices - 1).unsqueeze(1)
    operations[:, 0] = 1
    operations = torch.where(slot == last, 0, torch.where(slot > last, 5, operations))
    edges = torch.triu(torch.randint(0, 2, (count, 7, 7), generator=generator), 1)
    inside = slot <= last
    edges = edges * inside.unsqueeze(1) * inside.unsqueeze(2)
    return Graphs(operations.to(torch.uint8), edges.to(torch.uint8), vertices)


def edge_cells(count: int, seed: int = 0) -> Graphs:
    """Random cells of NAS-Bench-201 in the encoding with operations on edges."""
    generator = torch.Generator().manual_seed(seed)
    operations = torch.randint(0, 5, (count, 6), generator=generator).to(torch.uint8)
    adjacency = torch.zeros(count, 4, 4, dtype=torch.uint8)
    for edge, (start, end) in enumerate([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]):
        adjacency[:, start, end] = operations[:, edge] != 0
    return Graphs(operations, adjacency, torch.full((count,), 6, dtype=torch.uint8))


def chains(count: int, seed: int = 0) -> Graphs:
    generator = torch.Generator().manual_seed(seed)
    operations = torch.randint(0, 3, (count, 8), generator=generator).to(torch.uint8)
    line = torch.diag(torch.ones(7, dtype=torch.uint8), 1)
    return Graphs(operations, line.expand(count, 8, 8), torch.full((count,), 8, dtype=torch.uint8))

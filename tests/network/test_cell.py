from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasp_lightning.network.cell import NanoCell, NASBench201Cell
from nasp_lightning.space.nasbench201 import EDGES, NASBench201
from nasp_lightning.space.tinynano import TinyNano
from nasp_lightning.space.tinynano_graph import Cell, from_arrays


def images(channels: int, size: int = 4) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def nano(text: str) -> Cell:
    return from_arrays(*TinyNano(max_splits=3).from_string(text))


# --- NAS-Bench-201


def reference(cell: NASBench201Cell, operations: list[int], batch: Tensor) -> Tensor:
    """The cell edge by edge, ``none`` as the benchmark computes it: times zero."""
    nodes = [batch]
    for target in (1, 2, 3):
        terms = []
        for index, (source, end) in enumerate(EDGES):
            if end == target:
                made = (
                    nodes[source] * 0
                    if operations[index] == 0
                    else cell.edges[index](nodes[source])
                )
                terms.append(made)
        nodes.append(torch.stack(terms).sum(0))
    return nodes[3]


@pytest.mark.parametrize("skip_dead", [True, False])
def test_cell_equals_the_sum_over_its_edges(skip_dead: bool) -> None:
    drawn, _ = NASBench201().sample(np.random.default_rng(0), 20)
    for operations in [*drawn, np.zeros(6, dtype=np.uint8)]:
        torch.manual_seed(0)
        cell = NASBench201Cell(operations, 2, skip_dead=skip_dead)
        torch.testing.assert_close(cell(images(2)), reference(cell, operations.tolist(), images(2)))


def test_all_skips_give_four_times_the_input() -> None:
    cell = NASBench201Cell(np.ones(6, dtype=np.uint8), 2)
    torch.testing.assert_close(cell(images(2)), 4 * images(2))


def test_pooling_averages_what_is_inside() -> None:
    cell = NASBench201Cell(np.array([0, 0, 0, 4, 0, 0]), 1)
    torch.testing.assert_close(cell(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_dead_edges_are_skipped_and_keep_their_parameters() -> None:
    dead = np.array([3, 0, 0, 1, 0, 0])  # the convolution 0→1 leads nowhere
    skipping, computing = (NASBench201Cell(dead, 2, skip_dead=skip) for skip in (True, False))
    assert skipping.state_dict().keys() == computing.state_dict().keys()
    assert [len(sources) for sources in skipping.into] == [0, 0, 1]
    assert [len(sources) for sources in computing.into] == [1, 0, 1]


# --- Nano cell


def test_the_empty_cell_doubles_its_input() -> None:
    torch.testing.assert_close(NanoCell((), 4, 4)(images(4)), 2 * images(4))


def test_other_channels_are_brought_to_the_width() -> None:
    cell = NanoCell((), 3, 4)
    assert [type(layer).__name__ for layer in cell.output] == ["Conv2d", "BatchNorm2d"]
    torch.testing.assert_close(cell(images(3)), cell.output(images(3)))


def test_identities_change_nothing() -> None:
    cell = NanoCell(nano("none>1;none>2;output"), 4, 4)
    torch.testing.assert_close(cell(images(4)), 2 * images(4))


def test_halves_that_meet_change_places() -> None:
    cell, batch = NanoCell(nano("split>1,2;none>2;output"), 4, 4), images(4)
    torch.testing.assert_close(cell(batch), batch[:, [2, 3, 0, 1]] + batch)


def test_branches_by_hand() -> None:
    torch.manual_seed(0)
    cell, batch = NanoCell(nano("split>1,2;expand>3;atten>3;conv1x1>4;output"), 4, 6), images(4)
    _, expand, attention, convolution = cell.slots
    joined = torch.cat([expand(batch[:, :2]), attention(batch[:, 2:])], 1)
    assert joined.shape[1] == 8
    torch.testing.assert_close(cell(batch), convolution(joined))
    assert isinstance(cell.output, nn.Identity)
    assert not cell.residual


def test_every_operation_learns() -> None:
    cell = NanoCell(nano("conv1x1>1;split>2,3;dwconv3x3>4;expand>5;atten>5;output"), 6, 6)
    cell(images(6)).square().mean().backward()
    for name, weight in cell.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    assert cell.slots[2][0].weight.grad.any()

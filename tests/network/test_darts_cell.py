from __future__ import annotations

import pytest
import torch
from torch import nn

from nasp_lightning.network.count import parameter_count
from nasp_lightning.network.darts_cell import (
    DartsCell,
    HalvingConvNorm,
    cell_plan,
    drop_path,
    operation,
)
from nasp_lightning.space.darts_genotype import OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
def test_operations_keep_their_channels(name: str, stride: int) -> None:
    made = operation(name, 6, stride)
    output = made(torch.randn(2, 6, 8, 8))
    assert output.shape == (2, 6, 8 // stride, 8 // stride)
    assert not output.isnan().any()


def test_operations_reach_as_far_as_their_names_say() -> None:
    reach = {"sep_conv_3x3": 2, "sep_conv_5x5": 4, "dil_conv_3x3": 2, "dil_conv_5x5": 4}
    for name, pixels in reach.items():
        made = operation(name, 1).double().eval()
        for layer in made.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.ones_(layer.weight)
        image = torch.ones(1, 1, 15, 15, dtype=torch.double, requires_grad=True)
        made(image)[0, 0, 7, 7].backward()
        touched = image.grad[0, 0].nonzero()
        assert touched.min() == 7 - pixels
        assert touched.max() == 7 + pixels
        assert len(touched) == ((2 * pixels + 1) ** 2 if name[:3] == "sep" else (pixels + 1) ** 2)


def test_pooling_leaves_padding_out() -> None:
    ones = torch.ones(1, 2, 4, 4)
    torch.testing.assert_close(operation("avg_pool_3x3", 2)(ones), ones)
    torch.testing.assert_close(operation("max_pool_3x3", 2)(-ones), -ones)


def test_halving_sees_all_diagonal_pixels() -> None:
    layer = HalvingConvNorm(1, 2).eval()
    nn.init.ones_(layer.even.weight)
    nn.init.ones_(layer.odd.weight)
    images = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[[0.0, 2], [8, 10]], [[5, 7], [13, 15]]])[None]
    torch.testing.assert_close(layer(images), expected / (1 + 1e-5) ** 0.5)
    assert layer(-images).abs().max() == 0  # the ReLU comes first


def test_a_cell_by_hand() -> None:
    torch.manual_seed(0)
    edges = [
        *[("skip_connect", 0), ("avg_pool_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 2)],
        *[("max_pool_3x3", 2), ("skip_connect", 3), ("skip_connect", 1), ("dil_conv_3x3", 4)],
    ]
    cell = DartsCell(edges, 3, 5, 4, reduction=False, after_reduction=False).eval()
    first, second = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 8, 8)
    a, b = cell.entries[0](first), cell.entries[1](second)
    c = a + cell.edges[1](b)
    d = cell.edges[2](a) + c
    e = cell.edges[4](c) + d
    f = b + cell.edges[7](e)
    torch.testing.assert_close(cell(first, second), torch.cat([c, d, e, f], 1))


def test_a_reduction_cell_halves_what_its_inputs_give() -> None:
    edges = [(name, state) for name, state in zip(OPERATIONS, (0, 1, 0, 2, 1, 3, 2), strict=True)]
    cell = DartsCell([*edges, ("skip_connect", 4)], 3, 4, 4, True, True)
    output = cell(torch.randn(2, 3, 16, 16), torch.randn(2, 4, 8, 8))
    assert output.shape == (2, 16, 4, 4)
    assert isinstance(cell.edges[2], HalvingConvNorm)  # a skip connection
    assert isinstance(cell.edges[7], nn.Identity)


def test_drop_path_drops_images() -> None:
    torch.manual_seed(0)
    images = torch.ones(4000, 2, 1, 1)
    dropped = drop_path(images, torch.tensor(0.25))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped[:, 0] == dropped[:, 1]).all()
    assert dropped.mean() == pytest.approx(1.0, abs=0.04)
    assert drop_path(images.half(), torch.tensor(0.25)).dtype == torch.half


def test_paths_are_dropped_but_for_identities() -> None:
    skips = [("skip_connect", state) for node in range(4) for state in (0, 1)]
    cell = DartsCell(skips, 4, 4, 4, reduction=False, after_reduction=False).eval()
    batch = torch.randn(8, 4, 4, 4)
    torch.testing.assert_close(cell(batch, batch, torch.tensor(0.9)), cell(batch, batch))
    pools = [("avg_pool_3x3", state) for node in range(4) for state in (0, 1)]
    cell = DartsCell(pools, 4, 4, 4, reduction=False, after_reduction=False).eval()
    assert not torch.equal(cell(batch, batch, torch.tensor(0.9)), cell(batch, batch))


def test_the_plan_is_the_published_one() -> None:
    plan = cell_plan(20, 36)
    assert [sizes[2] for sizes in plan] == 6 * [36] + 7 * [72] + 7 * [144]
    assert plan[0] == (108, 108, 36, False, False)
    assert plan[1] == (108, 144, 36, False, False)
    assert plan[6] == (144, 144, 72, True, False)
    assert plan[7] == (144, 288, 72, False, True)
    assert [layer for layer, sizes in enumerate(plan) if sizes[3]] == [6, 13]


def test_separable_convolutions_come_twice() -> None:
    assert parameter_count(operation("sep_conv_5x5", 4)) == 2 * (25 * 4 + 16 + 8)
    assert parameter_count(operation("dil_conv_5x5", 4)) == 25 * 4 + 16 + 8

"""PINAT: published size, padding, spaces, both readings of NAS-Bench-201."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.graph import token_adjacency, with_self_loops
from nasp_lightning.predictor.pinat import PINAT, _spread, draw_masks

from . import checks

SIZES = {"embedding_dim": 16, "layers": 2, "head_dim": 8, "channels": 4, "feedforward_dim": 32}


def test_published_size() -> None:
    shape, _ = checks.batch("nasbench101")
    count = sum(parameter.numel() for parameter in PINAT(shape).parameters())
    padding_row = 80  # ours, not used with padding=published
    assert round((count - padding_row) / 1e6, 3) == 0.554  # supplementary, Table 7


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    for published in (True, False):
        checks.check_space(partial(PINAT, **SIZES, published_nb201=published), name)


def test_published_nb201_sees_four_operations_in_its_graph() -> None:
    shape, graphs = checks.batch("edge", 64)
    published = PINAT(shape, **SIZES)
    assert checks.parameters_without_gradient(published, graphs) == []
    changed = graphs.operations.clone()
    changed[:, 5] = changed[:, 5] % 4 + 1  # the last edge, which stays an edge
    other = dataclasses.replace(graphs, operations=changed)
    same = published._gather(graphs), published._gather(other)
    torch.testing.assert_close(*same)
    with torch.no_grad():  # only the embedding tells the last operations apart
        published.operations.weight.zero_()
    torch.testing.assert_close(checks.scores(published, graphs), checks.scores(published, other))
    ours = PINAT(shape, **SIZES, published_nb201=False)
    with torch.no_grad():
        ours.operations.weight.zero_()
    assert not torch.allclose(checks.scores(ours, graphs), checks.scores(ours, other))


def test_masked_padding_does_not_matter() -> None:
    shape, _ = checks.batch("nasbench101")
    graphs = checks.padded_cells(vertices=5)
    predictor = PINAT(shape, **SIZES, padding="masked")
    small_shape, small = checks.shortened(graphs, shape, 5)
    other = PINAT(small_shape, **SIZES, padding="masked")
    state = predictor.state_dict()
    state["positions.weight"] = state["positions.weight"][:, :5]  # the other columns meet zeros
    other.load_state_dict(state)
    torch.testing.assert_close(
        checks.scores(predictor, graphs), checks.scores(other, small), atol=1e-5, rtol=1e-5
    )


def test_published_padding_takes_part() -> None:
    shape, _ = checks.batch("nasbench101")
    graphs = checks.padded_cells()
    torch.manual_seed(0)
    published = PINAT(shape, **SIZES)
    masked = PINAT(shape, **SIZES, padding="masked")
    checks.copy_weights(published, masked)
    assert not torch.allclose(checks.scores(published, graphs), checks.scores(masked, graphs))


@pytest.mark.parametrize("heads", [(4, 0), (0, 4)])
def test_division_of_heads(heads: tuple[int, int]) -> None:
    shape, graphs = checks.batch("nasbench101")
    predictor = PINAT(shape, **SIZES, heads=heads[0], invariant_heads=heads[1])
    assert checks.parameters_without_gradient(predictor, graphs) == []


def test_training_and_evaluation_agree_without_dropout() -> None:
    shape, graphs = checks.batch("nasbench101")
    predictor = PINAT(shape, **SIZES, dropout=0.0)
    evaluated = checks.scores(predictor, graphs)
    torch.testing.assert_close(predictor.train()(graphs), evaluated, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", checks.SPACES)
def test_branches_gather_along_the_token_graph(name: str) -> None:
    shape, graphs = checks.batch(name, 32)
    expected = with_self_loops(token_adjacency(graphs, shape).transpose(1, 2))
    found = PINAT(shape, **SIZES, published_nb201=False)._gather(graphs)
    torch.testing.assert_close(found, expected)
    assert found.dtype is torch.float32


def test_spread_is_the_linear_layer_along_the_vertices() -> None:
    torch.manual_seed(0)
    layer, vertices = torch.nn.Linear(4, 6), torch.randn(3, 4, 5)
    expected = layer(vertices.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(_spread(layer, vertices), expected)


def test_dropout_masks() -> None:
    torch.manual_seed(0)
    shapes = [(50, 7, 80), (20, 7, 7), (0, 7, 7)]
    masks = draw_masks(shapes, 0.1, torch.device("cpu"))
    assert [tuple(mask.shape) for mask in masks] == shapes
    assert masks[0].unique().tolist() == [0.0, pytest.approx(1 / 0.9)]
    assert float((masks[0] == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert not draw_masks([(4, 4)], 1.0, torch.device("cpu"))[0].any()


def test_dropout_only_in_training() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("nasbench101")
    predictor = PINAT(shape, **SIZES, dropout=0.3)
    assert torch.equal(checks.scores(predictor, graphs), checks.scores(predictor, graphs))
    predictor.train()
    assert not torch.allclose(predictor(graphs), predictor(graphs))


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("edge", 16)
    assert checks.overfit(PINAT(shape, **SIZES, dropout=0.0), graphs) > 0.95


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("edge", features=3)
    predictor = PINAT(shape, **SIZES)
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"padding": "none"}, "published|masked"),
        ({"heads": 0, "invariant_heads": 0}, "at least one head"),
    ],
)
def test_what_cannot_be(settings: dict[str, object], said: str) -> None:
    shape, _ = checks.batch("nasbench101")
    with pytest.raises(NaspError, match=said):
        PINAT(shape, **SIZES, **settings)

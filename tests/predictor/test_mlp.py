"""The plain MLP: what it sees, and that padding is nothing."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.mlp import MLP

from . import checks

SIZES = {"hidden": 32, "layers": 2}


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    checks.check_space(partial(MLP, **SIZES), name)


def test_the_vector_holds_the_whole_cell() -> None:
    shape, graphs = checks.batch("nasbench101", 4)
    vector = MLP(shape, **SIZES).vector(graphs)
    onehots = vector[:, : 7 * 6].view(4, 7, 6)
    real = graphs.operations != shape.padding_token
    torch.testing.assert_close(onehots.argmax(2)[real], graphs.operations.long()[real])
    assert not onehots[~real].any()
    rows, columns = torch.triu_indices(7, 7, 1)
    expected = graphs.adjacency[:, rows, columns].float()
    torch.testing.assert_close(vector[:, 7 * 6 :], expected)


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("edge", 16)
    assert checks.overfit(MLP(shape, **SIZES), graphs) > 0.95


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("macro", features=2)
    predictor = MLP(shape, **SIZES)
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))


def test_layers_are_checked() -> None:
    shape, _ = checks.batch("node")
    with pytest.raises(NaspError, match=r"predictor\.layers=0"):
        MLP(shape, layers=0)

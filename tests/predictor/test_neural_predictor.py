"""The bidirectional GCN against a written-out form, and what its scores may depend on."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.neural_predictor import NeuralPredictor

from . import checks

SIZES = {"hidden": 16, "regressor_dim": 8}


def test_published_size() -> None:
    shape, _ = checks.batch("nasbench101")
    count = sum(parameter.numel() for parameter in NeuralPredictor(shape).parameters())
    padding_row = 2 * 144
    assert count - padding_row == 2 * 5 * 144 + 2 * 2 * 144 * 144 + 144 * 128 + 128


def test_equals_the_formula_written_out() -> None:
    shape, graphs = checks.batch("nasbench101", 5)
    torch.manual_seed(0)
    predictor = NeuralPredictor(shape, **SIZES)
    found = checks.scores(predictor, graphs)
    first = predictor.operations.weight.detach()
    weights = [first.split(16, dim=1)]
    for convolution in list(predictor.convolutions)[1:]:
        weights.append([part.T for part in convolution.weight.detach().split(16)])
    for row in range(5):
        count = int(graphs.vertices[row])
        matrix = graphs.adjacency[row, :count, :count].float() + torch.eye(count)
        matrix = matrix / matrix.sum(1, keepdim=True)
        reverse = matrix.T / matrix.T.sum(1, keepdim=True)
        hidden = torch.eye(6)[graphs.operations[row, :count].long()]
        for along, against in weights:
            hidden = (
                torch.relu(matrix @ hidden @ along) + torch.relu(reverse @ hidden @ against)
            ) / 2
        pooled = hidden.mean(0)
        regressor = predictor.regressor
        score = regressor.score.weight @ regressor.hidden.weight @ pooled
        torch.testing.assert_close(found[row], score[0])


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    checks.check_space(partial(NeuralPredictor, **SIZES), name)


def test_order_of_vertices_does_not_matter() -> None:
    checks.check_order_does_not_matter(partial(NeuralPredictor, **SIZES))


def test_padding_does_not_matter() -> None:
    checks.check_padding_does_not_matter(partial(NeuralPredictor, **SIZES))


def test_padding_stays_zero_in_training() -> None:
    shape, _ = checks.batch("nasbench101")
    graphs = checks.padded_cells()
    predictor = NeuralPredictor(shape, **SIZES)
    checks.overfit(predictor, graphs, steps=3)
    assert not predictor.operations.weight[shape.padding_token].any()


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 16)
    assert checks.overfit(NeuralPredictor(shape, dropout=0.0), graphs) > 0.95


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("node", features=3)
    predictor = NeuralPredictor(shape, **SIZES)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))
    with pytest.raises(NaspError, match="3 extra inputs"):
        predictor(dataclasses.replace(graphs, features=None))


def test_unknown_places_of_tokens_are_refused() -> None:
    shape, graphs = checks.batch("edge")
    predictor = NeuralPredictor(dataclasses.replace(shape, edges=None), **SIZES)
    with pytest.raises(NaspError, match=r"choose another space\.encoding"):
        predictor(graphs)


def test_layers_are_checked() -> None:
    shape, _ = checks.batch("node")
    with pytest.raises(NaspError, match=r"predictor\.layers=0"):
        NeuralPredictor(shape, layers=0)

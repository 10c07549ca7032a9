"""Scoring a whole space: equal to the plain forward, whichever form computes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.predictor.tnasp import scoring as tnasp_scoring
from nasp_lightning.predictor.tnasp.scoring import TNASPScoring, token_codes
from nasp_lightning.space.base import Graphs, Shape
from tests.predictor.graphs import CELL, CHAIN, EDGES, cells, chains, edge_cells

CASES = [
    (CELL, cells(700), {}),
    (CELL, cells(700), {"padding": "masked"}),
    (CELL, cells(300), {"positional": "normalised_laplacian"}),
    (CELL, cells(300), {"positional": "eigenvectors", "padding": "masked"}),
    (CELL, cells(300), {"positional": "sinusoidal"}),
    (CELL, cells(300), {"operation_branch": False}),
    (CELL, cells(300), {"positional_branch": False}),
    (CELL, cells(300), {"input_norm": True, "regressor": "linear"}),
    (EDGES, edge_cells(300), {}),
    (EDGES, edge_cells(300), {"input_norm": True}),
    (EDGES, edge_cells(300), {"positional": "sinusoidal"}),
    (CHAIN, chains(300), {}),
    (
        replace(CELL, features=3),
        replace(cells(300), features=torch.linspace(0, 1, 900).view(300, 3)),
        {},
    ),
]


def plain(predictor: nn.Module, graphs: Graphs) -> Tensor:
    predictor.eval()
    with torch.no_grad():
        found: Tensor = predictor(graphs)
    return found


def unlike_new(predictor: TNASP) -> TNASP:
    """Norms and biases as training leaves them: not ones and zeros."""
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return predictor


@pytest.mark.parametrize(("shape", "graphs", "options"), CASES)
def test_scores_equal_the_plain_forward(
    shape: Shape, graphs: Graphs, options: dict[str, object]
) -> None:
    torch.manual_seed(0)
    predictor = unlike_new(TNASP(shape, **options))  # type: ignore[arg-type]
    expected = plain(predictor, graphs)
    for batch_size in (None, 64, 1):
        part = graphs if batch_size != 1 else graphs[:40]
        found = score_all(predictor, part, batch_size=batch_size)
        torch.testing.assert_close(found, expected[: len(part)], atol=1e-4, rtol=1e-4)
    if predictor.operation_branch and predictor.positional_branch:  # else many are exactly alike
        ranked = kendalltau(score_all(predictor, graphs).numpy(), expected.numpy()).statistic
        assert ranked > 0.9999


def test_the_table_is_used_and_its_absence_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = unlike_new(TNASP(CELL))
    graphs = cells(2000)
    module = predictor.eval().scoring_module(graphs, torch.float32)
    assert isinstance(module, TNASPScoring)
    assert module.table is not None
    assert module.table.count < 1000
    with_table = score_all(predictor, graphs)
    monkeypatch.setattr(tnasp_scoring, "MAXIMUM_ROWS", 0)
    without = predictor.scoring_module(graphs, torch.float32)
    assert isinstance(without, TNASPScoring)
    assert without.table is None
    torch.testing.assert_close(score_all(predictor, graphs), with_table, atol=1e-4, rtol=1e-4)


def test_large_logits_do_not_overflow() -> None:
    predictor = TNASP(CELL)
    with torch.no_grad():
        for layer in predictor.encoder.stack():
            layer.qkv.weight.mul_(20)
    graphs = cells(300)
    module = predictor.eval().scoring_module(graphs, torch.float32)
    assert isinstance(module, TNASPScoring)
    assert not module.layers[1].safe
    found, expected = score_all(predictor, graphs), plain(predictor, graphs)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)


def test_equal_codes_are_equal_tokens() -> None:
    predictor = TNASP(CELL).eval()
    graphs = cells(200)
    codes = token_codes(predictor, graphs).view(-1)
    with torch.no_grad():
        tokens = predictor.embed(graphs).flatten(0, 1)
    order = codes.argsort()
    same = codes[order][1:] == codes[order][:-1]
    assert same.any()
    torch.testing.assert_close(tokens[order][1:][same], tokens[order][:-1][same])


def test_bfloat16_ranks_alike() -> None:
    torch.manual_seed(0)
    predictor = TNASP(CELL)
    graphs = cells(1000)
    exact = score_all(predictor, graphs)
    found = score_all(predictor, graphs, precision="bfloat16")
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 0.2 * exact.std()
    assert kendalltau(found.numpy(), exact.numpy()).statistic > 0.97


class Counting(nn.Module):
    """A predictor with no fast form, and dropout that must be off."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(7.0))
        self.dropout = nn.Dropout(0.5)

    def forward(self, graphs: Graphs) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        found: Tensor = self.dropout(graphs.operations.float()) @ self.weight
        return found


def test_any_predictor_is_scored_and_left_as_it_was() -> None:
    predictor = Counting().train()
    graphs = cells(105)
    told: list[int] = []
    found = score_all(predictor, graphs, batch_size=50, progress=told.append)
    expected = graphs.operations.float() @ torch.arange(7.0)
    torch.testing.assert_close(found, expected)
    assert told == [50, 50, 5]
    assert predictor.training
    rough = score_all(predictor, graphs, precision="bfloat16")
    torch.testing.assert_close(rough, expected, atol=0.5, rtol=0.02)


def test_mode_is_restored_after_a_failure_too() -> None:
    predictor = TNASP(replace(CELL, features=1)).train()
    with pytest.raises(NaspError, match="extra inputs"):
        score_all(predictor, cells(3))
    assert predictor.training


def test_no_architectures_no_scores() -> None:
    assert score_all(TNASP(CELL), cells(5)[:0]).shape == (0,)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(NaspError, match="precision='float8'"):
        score_all(Counting(), cells(2), precision="float8")
    with pytest.raises(NaspError, match="batch_size=0"):
        score_all(Counting(), cells(2), batch_size=0)

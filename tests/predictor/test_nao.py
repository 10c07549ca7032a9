"""NAO: its parts and its loss written out."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.nao import NAO

from . import checks

SIZES = {"hidden": 16, "regressor_dim": 8}


def test_published_size() -> None:
    shape, _ = checks.batch("nasbench101", 1)
    count = sum(parameter.numel() for parameter in NAO(shape).parameters())
    lstm = 4 * 64 * (64 + 64 + 2)
    encoder = 7 * 64 + 2 * lstm + 128 * 64 + 64
    regressor = 64 * 16 + 16 + 16 * 64 + 64 + 64 + 1
    decoder = 7 * 64 + lstm + 64 * 64 + 128 * 64 + 64 * 7 + 7
    assert count == encoder + regressor + decoder


def test_equals_the_formula_written_out() -> None:
    shape, graphs = checks.batch("nasbench101", 5)
    torch.manual_seed(0)
    predictor = NAO(shape, **SIZES)
    found = checks.scores(predictor, graphs)
    with torch.no_grad():
        embedded = predictor.embedding.weight[predictor.sequence.encode(graphs)]
        hidden = predictor.encoder(embedded)[0]
        projected = hidden @ predictor.projection.weight.T + predictor.projection.bias
        latent = embedded + projected
        latent = latent / latent.norm(dim=-1, keepdim=True)
        mean = latent.mean(1)
        mean = mean / mean.norm(dim=-1, keepdim=True)
        first, second = predictor.regressor
        value = torch.relu(mean @ first.weight.T + first.bias)
        value = torch.relu(value @ second.weight.T + second.bias)
        expected = (mean + value) / math.sqrt(2) @ predictor.score.weight[0] + predictor.score.bias
    torch.testing.assert_close(found, expected)


def test_loss_is_the_weighted_sum() -> None:
    shape, graphs = checks.batch("nasbench101", 6)
    labels = torch.randn(6)
    predictor = NAO(shape, **SIZES, score_weight=0.3).eval()
    symbols = predictor.sequence.encode(graphs)
    logits = predictor.decoder(symbols, predictor.encode(graphs))
    likelihood = -F.log_softmax(logits, -1).gather(2, symbols[..., None]).mean()
    error = ((predictor(graphs) - labels) ** 2).mean()
    torch.testing.assert_close(
        predictor.training_loss(graphs, labels), 0.3 * error + 0.7 * likelihood
    )


def test_decoder_sees_only_earlier_symbols() -> None:
    shape, graphs = checks.batch("edge", 4)
    predictor = NAO(shape, **SIZES).eval()
    latent, symbols = predictor.encode(graphs), predictor.sequence.encode(graphs)
    changed = symbols.clone()
    changed[:, 7] = 3 + (changed[:, 7] - 2) % 5
    before, after = predictor.decoder(symbols, latent), predictor.decoder(changed, latent)
    torch.testing.assert_close(before[:, :8], after[:, :8])
    assert not torch.allclose(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    shape, graphs = checks.batch(name, 12)
    predictor = NAO(shape, **SIZES)
    assert checks.scores(predictor, graphs).shape == (12,)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    latent = predictor.encode(graphs)
    torch.testing.assert_close(latent.norm(dim=-1), torch.ones(latent.shape[:2]))


def test_deeper_layers() -> None:
    shape, graphs = checks.batch("edge", 4)
    predictor = NAO(shape, **SIZES, layers=2, decoder_layers=2, regressor_layers=3)
    assert checks.parameters_without_gradient(predictor, graphs) == []


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("edge", 16)
    assert checks.overfit(NAO(shape, dropout=0.0, **SIZES), graphs, rate=1e-2) > 0.95


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("edge", features=3)
    predictor = NAO(shape, **SIZES)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))
    with pytest.raises(NaspError, match="3 extra inputs"):
        predictor(dataclasses.replace(graphs, features=None))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("hidden", 0), ("layers", 0), ("decoder_layers", 1.5), ("regressor_layers", 1)],
)
def test_sizes_are_checked(setting: str, value: float) -> None:
    shape, _ = checks.batch("edge", 1)
    with pytest.raises(NaspError, match=rf"predictor\.{setting}={value}"):
        NAO(shape, **{setting: value})


def test_score_weight_is_checked() -> None:
    shape, _ = checks.batch("edge", 1)
    with pytest.raises(NaspError, match=r"predictor\.score_weight=1\.2"):
        NAO(shape, score_weight=1.2)

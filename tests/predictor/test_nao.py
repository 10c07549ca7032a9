"""NAO: its parts written out, the decoder's inverse, and steps towards better scores."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.nao import NAO
from nasp_lightning.space.base import Graphs

from . import checks

SIZES = {"hidden": 16, "regressor_dim": 8}


def worth(graphs: Graphs) -> Tensor:
    """``[B]`` what the operations of an architecture of NAS-Bench-201 are worth together."""
    return torch.tensor([0.0, 0.2, 0.6, 1.0, 0.3])[graphs.operations.long()].sum(1)


@pytest.fixture(scope="module")
def fitted() -> tuple[NAO, Graphs, Tensor]:
    """Overfitted to a few dozen cells whose labels are easy: the worth of their operations."""
    torch.manual_seed(0)
    shape, graphs = checks.batch("edge", 48)
    labels = worth(graphs)
    labels = (labels - labels.mean()) / labels.std()
    predictor = NAO(shape, hidden=32, dropout=0.0)
    optimizer = torch.optim.Adam(predictor.parameters(), 1e-2, fused=True)
    for _ in range(250):
        optimizer.zero_grad()
        predictor.training_loss(graphs, labels).backward()
        torch.nn.utils.clip_grad_norm_(predictor.parameters(), 5.0)
        optimizer.step()
    return predictor.eval(), graphs, labels


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
    decoded = predictor.decode(latent)  # untrained: any graphs that the layout allows
    assert predictor.sequence.encode(decoded).shape == latent.shape[:2]
    assert predictor.training


def test_deeper_layers() -> None:
    shape, graphs = checks.batch("edge", 4)
    predictor = NAO(shape, **SIZES, layers=2, decoder_layers=2, regressor_layers=3)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    predictor.decode(predictor.encode(graphs))


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("edge", 16)
    assert checks.overfit(NAO(shape, dropout=0.0, **SIZES), graphs, rate=1e-2) > 0.95


def test_decodes_what_it_has_encoded(fitted: tuple[NAO, Graphs, Tensor]) -> None:
    predictor, graphs, _ = fitted
    decoded = predictor.decode(predictor.encode(graphs))
    assert torch.equal(decoded.operations, graphs.operations)
    assert torch.equal(decoded.adjacency, graphs.adjacency)


@pytest.mark.slow
def test_decodes_cells_of_nasbench101() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("nasbench101", 24)
    predictor = NAO(shape, dropout=0.0)
    checks.overfit(predictor, graphs, steps=500)
    decoded = predictor.decode(predictor.encode(graphs))
    assert torch.equal(decoded.operations, graphs.operations)
    assert torch.equal(decoded.adjacency, graphs.adjacency)
    assert torch.equal(decoded.vertices, graphs.vertices)


def test_a_step_improves_the_predicted_score(fitted: tuple[NAO, Graphs, Tensor]) -> None:
    predictor, graphs, _ = fitted
    same = predictor.improve(graphs, 0.0)
    assert torch.equal(same.operations, graphs.operations)
    proposals = predictor.improve(graphs, 5.0)
    changed = (proposals.operations != graphs.operations).any(1)
    gain = checks.scores(predictor, proposals) - checks.scores(predictor, graphs)
    assert changed.float().mean() > 0.5
    assert gain[changed].mean() > 0.3
    assert (worth(proposals) - worth(graphs))[changed].mean() > 0.3  # and in truth


def test_a_step_works_without_recording_gradients(fitted: tuple[NAO, Graphs, Tensor]) -> None:
    predictor, graphs, _ = fitted
    with torch.no_grad():
        proposals = predictor.improve(graphs[:5], 2.0)
    assert torch.equal(proposals.operations, predictor.improve(graphs[:5], 2.0).operations)


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("edge", features=3)
    predictor = NAO(shape, **SIZES)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))
    assert len(predictor.improve(graphs)) == len(graphs)
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

"""The binary relation predictor: N numbers order N architectures as all pairs would."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.brp import BRP
from nasp_lightning.task.predictor import PredictorTask

from . import checks

SIZES = {"hidden": 32, "layers": 3}


def test_ranking_equals_all_pairs() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 20)
    predictor = BRP(shape, **SIZES).eval()
    with torch.no_grad():
        embeddings = predictor.embed(graphs)
        left, right = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
        pairs = predictor.compare(embeddings[left.flatten()], embeddings[right.flatten()])
        odds = (pairs[:, 0] - pairs[:, 1]).view(20, 20)
        torch.testing.assert_close(predictor.log_odds(embeddings), odds, atol=1e-5, rtol=1e-5)
        scores = predictor(graphs)
    both_orders = odds - odds.T
    torch.testing.assert_close(scores[:, None] - scores, both_orders, atol=1e-5, rtol=1e-5)
    # A tournament of all pairs, in both orders: the mean log-odds of winning.
    borda = both_orders.mean(1)
    assert torch.equal(scores.argsort(), borda.argsort())


def test_loss_is_the_divergence_of_softmaxes() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 6)
    predictor = BRP(shape, **SIZES, sharpness=100.0).eval()
    predictor.set_label_scale(0.9, 0.02)
    labels = torch.randn(6)
    accuracy = 100 * (0.9 + 0.02 * labels)  # percents
    embeddings = predictor.embed(graphs)
    terms = []
    for first in range(6):
        for second in range(6):
            if first != second:
                found = predictor.compare(embeddings[[first]], embeddings[[second]])[0]
                wanted = torch.softmax(accuracy[[first, second]], 0)
                terms.append((wanted * (wanted.log() - found)).sum())
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(
        predictor.training_loss(graphs, labels), expected, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    checks.check_space(partial(BRP, **SIZES), name)


def test_order_of_vertices_does_not_matter() -> None:
    checks.check_order_does_not_matter(partial(BRP, **SIZES))


def test_padding_does_not_matter() -> None:
    checks.check_padding_does_not_matter(partial(BRP, **SIZES))


def test_learns_a_small_set() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 16)
    assert checks.overfit(BRP(shape, **SIZES, dropout=0.0), graphs) > 0.8


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("node", features=3)
    predictor = BRP(shape, **SIZES)
    assert checks.parameters_without_gradient(predictor, graphs) == []
    changed = dataclasses.replace(graphs, features=graphs.features + torch.randn(12, 3))
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))


def test_task_takes_its_loss_and_knows_that_it_only_ranks() -> None:
    shape, _ = checks.batch("node")
    task = PredictorTask(BRP(shape, **SIZES))
    assert task.ranks_only
    assert task.loss_name == "own"
    with pytest.raises(NaspError, match="loss of its own"):
        PredictorTask(BRP(shape, **SIZES), loss="hinge")


@pytest.mark.parametrize("settings", [{"layers": 0}, {"sharpness": 0.0}])
def test_settings_are_checked(settings: dict[str, float]) -> None:
    shape, _ = checks.batch("node")
    with pytest.raises(NaspError, match=r"predictor\."):
        BRP(shape, **settings)  # type: ignore[arg-type]

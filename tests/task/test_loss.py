from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.task.loss import RANKING_LOSSES, hinge, logistic, make_loss, mse

SCORES = torch.tensor([0.3, -0.2, 0.9, 0.1])
LABELS = torch.tensor([1.0, 0.0, 0.5, 0.5])


def pairs() -> list[float]:
    """Score differences of the pairs whose first label is greater, one by one."""
    return [
        float(SCORES[i] - SCORES[j])
        for i, j in itertools.product(range(4), repeat=2)
        if LABELS[i] > LABELS[j]
    ]


def test_mse() -> None:
    wanted = sum((float(s) - float(y)) ** 2 for s, y in zip(SCORES, LABELS, strict=True)) / 4
    assert float(mse(SCORES, LABELS)) == pytest.approx(wanted)


def test_logistic_is_the_mean_over_ordered_pairs() -> None:
    wanted = sum(math.log1p(math.exp(-d)) for d in pairs()) / len(pairs())
    assert float(logistic(SCORES, LABELS)) == pytest.approx(wanted)


@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_hinge_is_the_mean_over_ordered_pairs(margin: float) -> None:
    wanted = sum(max(0.0, margin - d) for d in pairs()) / len(pairs())
    assert float(hinge(SCORES, LABELS, margin)) == pytest.approx(wanted)
    assert float(make_loss("hinge", margin)(SCORES, LABELS)) == pytest.approx(wanted)


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_rank_losses_see_order_alone(name: str) -> None:
    loss = make_loss(name)
    assert torch.equal(loss(SCORES, LABELS), loss(SCORES, 10 * LABELS - 3))
    assert float(loss(SCORES + 5, LABELS)) == pytest.approx(float(loss(SCORES, LABELS)), abs=1e-6)
    assert float(loss(5 * LABELS, LABELS)) < float(loss(-5 * LABELS, LABELS))


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_equal_labels_and_single_architectures_pull_nowhere(name: str) -> None:
    for count in (1, 3):
        scores = torch.randn(count, requires_grad=True)
        loss = make_loss(name)(scores, torch.ones(count))
        loss.backward()
        assert float(loss.detach()) == 0
        assert isinstance(scores.grad, Tensor)
        assert not scores.grad.any()


@pytest.mark.parametrize("name", ["mse", *RANKING_LOSSES])
def test_descent_orders_the_scores(name: str) -> None:
    scores = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.SGD([scores], 0.5)
    for _ in range(200):
        optimizer.zero_grad()
        make_loss(name)(scores, LABELS).backward()
        optimizer.step()
    assert scores[0] > scores[2] > scores[1]


def test_unknown_names_and_margins() -> None:
    with pytest.raises(NaspError, match=r"task.loss=bce: choose mse, logistic or hinge"):
        make_loss("bce")
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(NaspError, match="the margin of the hinge loss must be positive"):
            make_loss("hinge", margin)

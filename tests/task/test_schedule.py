from __future__ import annotations

import pytest
import torch

from nasp_lightning.task.schedule import constant, cosine, linear, step


@pytest.mark.parametrize("epochs", [1, 7, 300])
def test_cosine_is_pytorchs(epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        assert cosine(epoch, epochs) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_constant() -> None:
    assert [constant(epoch, 3) for epoch in range(3)] == [1.0, 1.0, 1.0]


def test_step() -> None:
    assert [step(epoch, 10) for epoch in (0, 6, 7, 9)] == [1.0, 1.0, 0.1, 0.1]
    assert [step(epoch, 200, 0.5, 0.3) for epoch in (99, 100)] == [1.0, 0.3]


def test_linear_is_pytorchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.25)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.002, total_iters=20)
    for epoch in range(20):
        wanted = optimizer.param_groups[0]["lr"]
        assert 0.25 * linear(epoch, 20, end=0.002) == pytest.approx(wanted, abs=1e-9)
        optimizer.step()
        scheduler.step()
    assert linear(10, 10) == 0.0

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.image.augment import NO_AUGMENTATION
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.task.plain import (
    Recipe,
    Resident,
    TrainingRecipe,
    accuracy,
    batches,
    first_losses,
    train,
)
from tests.estimation_code.networks import tiny_images, tiny_network

CPU = torch.device("cpu")
SMALL = TrainingRecipe(
    epochs=3, images=40, batch_size=10, learning_rate=0.05, augmentation=NO_AUGMENTATION
)


def test_the_loss_is_the_mean_of_the_batches_of_each_epoch() -> None:
    """Against a plain loop."""
    images = PlainImages.of(tiny_images().subset(32, 0))
    recipe = Recipe(epochs=3, images=32, batch_size=8, learning_rate=0.02)
    torch.manual_seed(0)
    network = tiny_network(np.zeros(6, int), channels=8)
    network[3].p = 0.0  # type: ignore[assignment]
    start = {name: value.clone() for name, value in network.state_dict().items()}
    losses = first_losses(network, images, recipe, 7, torch.device("cpu"))

    network.load_state_dict(start)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    for epoch in range(3):
        found = []
        for inputs, targets in batches(pixels, labels, 10, recipe, 7, epoch):
            smooth = targets * 0.99 + 0.01 / 10
            loss = -(smooth * network(inputs).log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        assert len(found) == 4
        assert losses[epoch] == pytest.approx(np.mean(found), rel=1e-5)


def test_losses_fall_where_there_is_something_to_learn() -> None:
    images = PlainImages.of(tiny_images().subset(32, 0))
    recipe = Recipe(
        epochs=8, images=32, batch_size=8, learning_rate=0.03, augmentation=NO_AUGMENTATION
    )
    torch.manual_seed(0)
    network = tiny_network(np.zeros(6, int), channels=8)
    losses = first_losses(network, images, recipe, 0, torch.device("cpu"))
    assert losses[-1] < losses[0] - 0.2


def test_batches_are_drawn_with_replacement_as_published() -> None:
    pixels = torch.arange(32, dtype=torch.uint8)[:, None, None, None].expand(32, 3, 4, 4)
    plain = Recipe(images=32, batch_size=8, augmentation=NO_AUGMENTATION)

    def seen(recipe: Recipe, epoch: int = 0) -> list[int]:
        found = batches(pixels, torch.zeros(32, dtype=torch.long), 10, recipe, 0, epoch)
        return [round(float(value) * 255) for x, _ in found for value in x[:, 0, 0, 0]]

    assert len(seen(plain)) == 32
    assert len(set(seen(plain))) < 32
    assert seen(plain) != seen(plain, epoch=1)
    assert sorted(seen(replace(plain, replacement=False))) == list(range(32))


def test_training_learns_and_accuracy_counts() -> None:
    images = Resident.of(PlainImages.of(tiny_images(100)), CPU)
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, 10))
    before = accuracy(network, images)
    recipe = replace(SMALL, epochs=30, images=100, schedule="one_cycle", replacement=False)
    losses = train(network, images, recipe, 0)
    assert losses[-1] < losses[0]
    assert accuracy(network, images) > max(0.3, before)
    assert not network.training


def test_the_rate_falls_at_milestones() -> None:
    recipe = TrainingRecipe(epochs=80, milestones=(40, 70))
    rates = [recipe.learning_rate * recipe.factor_at(epoch) for epoch in (0, 39.9, 40, 69.9, 79)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])


def test_one_cycle_rises_and_falls() -> None:
    recipe = TrainingRecipe(epochs=10, schedule="one_cycle", warmup=0.3)
    rates = [recipe.factor_at(time) for time in np.linspace(0, 10, 101)]
    assert rates[0] == pytest.approx(0.04)
    assert int(np.argmax(rates)) == 30
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.0)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


@pytest.mark.parametrize("restart", [True, False])
def test_the_optimizer_is_made_anew_at_milestones(
    restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    make = TrainingRecipe.make_optimizer

    def counted(self: TrainingRecipe, network: nn.Module) -> torch.optim.Optimizer:
        made.append(make(self, network))
        return made[-1]

    monkeypatch.setattr(TrainingRecipe, "make_optimizer", counted)
    recipe = replace(SMALL, epochs=4, milestones=(1, 3), restart=restart)
    images = Resident.of(PlainImages.of(tiny_images(40)), CPU)
    train(tiny_network(np.zeros(6, int)), images, recipe, 0)
    assert len(made) == (3 if restart else 1)
    assert made[-1].param_groups[0]["lr"] == pytest.approx(0.05 * 0.01)


def test_sgd_takes_its_settings() -> None:
    recipe = replace(SMALL, optimizer="sgd", momentum=0.8, weight_decay=1e-3)
    group = recipe.make_optimizer(nn.Linear(2, 2)).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.8, True, 1e-3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": 0}, r"recipe\.epochs=0"),
        ({"batch_size": 41}, r"recipe\.batch_size=41"),
        ({"optimizer": "lion"}, r"optimizer=lion: choose adam or sgd"),
        ({"schedule": "cosine"}, r"schedule=cosine: choose steps or one_cycle"),
        ({"momentum": 1.0}, r"momentum=1\.0: it must be at least 0 and below 1"),
        ({"weight_decay": -1}, r"weight_decay=-1: it must be at least 0$"),
        ({"warmup": math.nan}, r"warmup=nan"),
        ({"factor": 0}, r"factor=0"),
        ({"milestones": (3,)}, r"milestones=\[3\]: write epochs from 1 to 2"),
    ],
)
def test_numbers_that_cannot_be(change: dict[str, Any], told: str) -> None:
    with pytest.raises(NaspError, match=rf"job\.fidelity\.recipe.*{told}|{told}"):
        replace(SMALL, **change)

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.part.computed import PlainImages
from nasp_lightning.estimation_code.train import Recipe, TrainedCode
from nasp_lightning.evaluator.training import (
    Resident,
    Training,
    TrainingRecipe,
    accuracy,
    hold_out,
    shrink,
    train,
)
from nasp_lightning.image.augment import NO_AUGMENTATION
from nasp_lightning.space.nasbench201 import from_index
from tests.estimation_code.networks import diverging_network, table, tiny_images, tiny_network
from tests.tiny import compose_config

CPU = torch.device("cpu")
SMALL = TrainingRecipe(
    epochs=3, images=40, batch_size=10, learning_rate=0.05, augmentation=NO_AUGMENTATION
)
CODE = Recipe(epochs=2, images=16, batch_size=8)


def training(
    network: Any = tiny_network, recipe: TrainingRecipe = SMALL, seed: int = 0
) -> Training:
    images = tiny_images(64)
    kept, held = hold_out(images, 20, seed)
    return Training(
        network,
        PlainImages.of(kept.subset(SMALL.images, seed)),
        PlainImages.of(held),
        PlainImages.of(tiny_images(30, seed=1)),
        SMALL,
        PlainImages.of(images.subset(CODE.images, seed)),
        CODE,
        seed,
        CPU,
    )


def stable(record: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in record.items() if not name.endswith("_seconds")}


ARCHITECTURE = (from_index(np.array([7000]))[0], None)


def test_a_record() -> None:
    record = training()(ARCHITECTURE)
    assert record["operations"] == ARCHITECTURE[0].tolist()
    assert record["adjacency"] is None
    assert len(record["train_losses"]) == 3
    assert record["train_losses"][2] < record["train_losses"][0]
    assert len(record["code"]) == 2
    assert record["diverged"] is False
    assert (record["validation_accuracy"] * 20) % 1 == pytest.approx(0, abs=1e-9)
    assert (record["test_accuracy"] * 30) % 1 == pytest.approx(0, abs=1e-9)
    assert record["device"] == "cpu"


def test_the_same_record_whatever_came_before() -> None:
    first = training()(ARCHITECTURE)
    torch.manual_seed(77)
    both = training()
    both((from_index(np.array([100]))[0], None))
    assert stable(both(ARCHITECTURE)) == stable(first)
    assert stable(training(seed=1)(ARCHITECTURE)) != stable(first)


def test_its_code_is_the_estimation_code(tmp_path: Any) -> None:
    """What a benchmark holds and what ``estimation_code=train`` computes are one thing."""
    rows = table()
    code = TrainedCode(rows, tiny_network, tiny_images(64), recipe=CODE, folder=tmp_path)
    record = training()((rows.operations[2], None))
    np.testing.assert_array_equal(code.codes(np.array([2]))[0], np.float32(record["code"]))


def test_a_network_that_diverges_is_said_to() -> None:
    operations = next(item for item in table(200).operations if item[0] == 1)
    record = training(diverging_network)((operations, None))
    assert record["diverged"] is True
    assert record["validation_accuracy"] is record["test_accuracy"] is None
    assert record["train_losses"] == [None] * 3
    assert record["code"] == [None] * 2


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
    train(tiny_network(ARCHITECTURE[0]), images, recipe, 0)
    assert len(made) == (3 if restart else 1)
    assert made[-1].param_groups[0]["lr"] == pytest.approx(0.05 * 0.01)


def test_sgd_takes_its_settings() -> None:
    recipe = replace(SMALL, optimizer="sgd", momentum=0.8, weight_decay=1e-3)
    group = recipe.make_optimizer(nn.Linear(2, 2)).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.8, True, 1e-3)


def test_held_out_images_are_not_trained_on() -> None:
    images = tiny_images(60)
    kept, held = hold_out(images, 15, 0)
    assert (len(kept), len(held)) == (45, 15)
    seen = {item.numpy().tobytes() for item in kept.pixels}
    assert not seen & {item.numpy().tobytes() for item in held.pixels}
    again, other = hold_out(images, 15, 0)[1], hold_out(images, 15, 1)[1]
    assert torch.equal(held.pixels, again.pixels)
    assert not torch.equal(held.pixels, other.pixels)
    with pytest.raises(NaspError, match=r"job\.validation_size=60: tiny has 60 .*1 to 59"):
        hold_out(images, 60, 0)


def test_shrink_takes_means() -> None:
    images = tiny_images(4)
    small = shrink(images, 16)
    assert small.pixels.shape == (4, 3, 16, 16)
    assert small.pixels.dtype == torch.uint8
    square = images.pixels[1, 2, 4:6, 8:10].float().mean()
    assert abs(float(small.pixels[1, 2, 2, 4]) - float(square)) <= 0.5
    assert shrink(images, 32) is images
    with pytest.raises(NaspError, match=r"job\.fidelity\.side=20: .* divisor of 32"):
        shrink(images, 20)


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


def fidelity(name: str) -> dict[str, Any]:
    words = ("job=build_benchmark", "benchmark=tinynano", f"job/fidelity={name}")
    return compose_config(*words)["job"]["fidelity"]


def test_the_official_fidelity_is_the_official_code() -> None:
    config = fidelity("official")
    recipe = instantiate(config["recipe"], _convert_="all")
    rates = [recipe.learning_rate * recipe.factor_at(epoch) for epoch in range(80)]
    assert rates == pytest.approx([1e-2] * 40 + [1e-3] * 30 + [1e-4] * 10)
    assert (recipe.batch_size, recipe.replacement, recipe.restart) == (128, True, True)
    assert instantiate(config["code"], _convert_="all") == Recipe()  # the published code's
    assert recipe.augmentation == Recipe().augmentation
    assert config["network"]["widths"] == [64, 128, 256]
    assert config["side"] == 32


@pytest.mark.parametrize(
    ("name", "epochs"), [("official", 80), ("paper", 100), ("onecycle12", 12), ("cpu", 4)]
)
def test_every_fidelity_can_be_built(name: str, epochs: int) -> None:
    config = fidelity(name)
    assert config["name"] == name
    recipe = instantiate(config["recipe"], _convert_="all")
    assert isinstance(recipe, TrainingRecipe)
    assert recipe.epochs == epochs
    code = instantiate(config["code"], _convert_="all")
    assert code.epochs == 3
    assert (code == Recipe()) is (name != "cpu")
    network = instantiate(config["network"], _convert_="all")
    assert isinstance(network, functools.partial)

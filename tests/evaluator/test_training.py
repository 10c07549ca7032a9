from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.train import TrainedCode
from nasp_lightning.evaluator.part.training import Training, hold_out, shrink
from nasp_lightning.image.augment import NO_AUGMENTATION
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.space.nasbench201 import from_index
from nasp_lightning.task.plain import Recipe, TrainingRecipe
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

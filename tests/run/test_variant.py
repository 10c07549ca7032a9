from __future__ import annotations

import pytest

from nasp_lightning.run.variant import variant
from tests.tiny import compose_config

BY_THE_BOOK = (
    *("seed=3", "data.train_size=78", "data.test_size=100", "data.validation_size=50"),
    *("data.train_on_validation=true", "task.loss=hinge", "threads=2", "name=mine"),
)


@pytest.mark.parametrize("word", BY_THE_BOOK)
def test_runs_by_the_book_have_no_variant(word: str) -> None:
    assert variant(compose_config(word)) == {}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("predictor.positional_branch=false", {"predictor.positional_branch": False}),
        ("optimizer.lr=0.5", {"optimizer.lr": 0.5}),
        ("trainer.max_epochs=7", {"trainer.max_epochs": 7}),
        ("data.batch_size=3", {"data.batch_size": 3}),
        ("task.margin=0.2", {"task.margin": 0.2}),
    ],
)
def test_what_deviates_is_named(word: str, found: dict[str, object]) -> None:
    assert variant(compose_config(word)) == found


def test_a_frameworks_settings() -> None:
    config = compose_config("framework=self_evolution", "framework.targets=gradient")
    assert variant(config) == {"framework.targets": "gradient"}


def test_a_variant_of_a_framework_is_named_by_what_it_changes() -> None:
    assert variant(compose_config("framework=seminas_original")) == {
        "framework.amount": 10000,
        "framework.epochs": 500,
        "framework.iterations": 3,
        "framework.accumulate": False,
        "framework.up_sample": 10,
    }


def test_a_predictor_of_ones_own_has_a_name_of_its_own() -> None:
    config = compose_config()
    config["predictor"] = {"_target_": "mine.Mine", "code": 3}
    assert variant(config) == {}


def test_an_estimation_code_is_named_with_what_is_changed_of_it() -> None:
    assert variant(compose_config("estimation_code=train"))["estimation_code"] == "train"
    words = ("estimation_code.recipe.epochs=2", "estimation_code.network.cells=1")
    changed = variant(compose_config("estimation_code=train", *words, "estimation_code.folder=a"))
    assert changed == {
        "estimation_code": "train",
        "estimation_code.recipe.epochs": 2,
        "estimation_code.network.cells": 1,
    }
    assert "estimation_code" not in variant(compose_config("estimation_code=none"))

"""Every file in conf/recipe says the paper's numbers, and runs, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasp_lightning.job import train_network
from nasp_lightning.shipped import conf_dir
from tests.data.test_image_folder import write_folder
from tests.image.test_cifar import write_columns
from tests.tiny import compose_config

RECIPES = sorted(path.stem for path in (conf_dir() / "recipe").glob("*.yaml"))

# facts.md 1.6 and 5, TNASP's supplementary A.5 and B
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "mobilenet_supernet": {
        "trainer": {"max_epochs": 120, "gradient_clip_val": 5.0},
        "data": {"batch_size": 512, "scale": [0.08, 1.0], "side": 224, "random_labels": False},
        "optimizer": {"lr": 0.25, "momentum": 0.9, "weight_decay": 4e-5},
        "scheduler": {"_target_": "nasp_lightning.task.schedule.linear", "end": 0.002},
        "task": {"rate": "step", "label_smoothing": 0.1, "decay": "weights"},
    },
    "mobilenet_retrain": {
        "trainer": {"max_epochs": 240, "gradient_clip_val": 5.0},
        "data": {"batch_size": 1024, "auto_augment": "original", "held_out": 0},
        "optimizer": {"lr": 0.5, "momentum": 0.9, "weight_decay": 4e-5},
        "scheduler": {"_target_": "nasp_lightning.task.schedule.cosine"},
        "task": {"label_smoothing": 0.1, "decay": "weights"},
    },
    "darts_supernet": {"data": {"held_out": 5000}, "task": {"strict_fairness": False}},
    "darts_retrain": {
        "trainer": {"max_epochs": 600, "gradient_clip_val": 5.0},
        "data": {"batch_size": 96, "cutout": 16, "pad": 4, "flip": 0.5, "held_out": 0},
        "network": {"channels": 36, "layers": 20, "auxiliary": True},
        "optimizer": {"lr": 0.025, "momentum": 0.9, "weight_decay": 3e-4},
        "scheduler": {"_target_": "nasp_lightning.task.schedule.cosine"},
        "task": {
            "rate": "epoch",
            "auxiliary_weight": 0.4,
            "drop_path": 0.2,
            "label_smoothing": 0.0,
        },
    },
}
GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 0), ('dil_conv_3x3', 2), ('avg_pool_3x3', 0), "
    "('skip_connect', 1)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('skip_connect', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
MOBILENET = (
    *("space=mobilenet_mini", "space.widths=[4,6]", "space.depths=[2,2]", "space.strides=[1,2]"),
    *("data.side=32", "data.workers=0", "data.batch_size=4"),
)
DARTS = ("network.channels=4", "network.layers=3", "network.stem_stride=4", "data.partial=true")
SMALL = {
    "mobilenet_supernet": (*MOBILENET, "data.held_out=4", "task.evaluated_subnets=1"),
    "mobilenet_retrain": (*MOBILENET, "job.architecture=0123"),
    "darts_supernet": (*DARTS, "data.held_out=8", "data.batch_size=8", "task.evaluated_subnets=1"),
    "darts_retrain": (*DARTS, "data.batch_size=8"),
}


def test_every_recipe_is_looked_at() -> None:
    assert set(RECIPES) == set(PUBLISHED) == set(SMALL)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_the_paper_says(name: str) -> None:
    config = compose_config(f"+recipe={name}")
    for group, settings in PUBLISHED[name].items():
        assert {key: config[group][key] for key in settings} == settings
    assert config["job"]["_target_"] == "nasp_lightning.job.train_network.run"
    text = (conf_dir() / "recipe" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n")
    assert f"+recipe={name}" in text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs(name: str, tmp_path: Path) -> None:
    mobilenet = name.startswith("mobilenet")
    images = (write_folder if mobilenet else write_columns)(tmp_path / "images")
    small = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "threads=1")
    config = compose_config(f"+recipe={name}", *SMALL[name], *small, f"data.path={images}")
    if name == "darts_retrain":
        config["job"]["architecture"] = GENOTYPE
    results = train_network.run(config, tmp_path / "run")
    assert 0 <= results["test_accuracy"] <= 1
    assert results["kind"] == ("supernet" if name.endswith("supernet") else "network")
    assert (tmp_path / "run" / "network.safetensors").is_file()

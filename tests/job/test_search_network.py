from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.job import search_network as job
from nasp_lightning.network.build import build_network, build_space
from nasp_lightning.network.count import multiply_adds, parameter_count
from nasp_lightning.run.compose import compose_config
from nasp_lightning.search.nsga2 import pareto_front
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.mobilenet import MobileNet
from tests.evaluator.fake_images import SPACE

pytest.importorskip("pymoo")

SMALL = ("data.train_size=30", "data.validation_size=0")
EVOLUTION = ("search.population=10", "search.generations=4")  # of any
RANDOM = "search.random_generations=1"


def labelled(space: Any, count: int = 40) -> BenchmarkTable:
    """The higher the codes, the more accurate."""
    operations, adjacency = space.sample(np.random.default_rng(0), count)
    accuracy = 0.2 + 0.6 * operations.mean(axis=1) / operations.max()
    return BenchmarkTable(
        space.name,
        operations,
        adjacency,
        metrics={"fake/validation_accuracy/supernet": accuracy.astype(np.float32)[:, None]},
        provenance={"training": {"data": {"classes": 3, "side": 8}}},
    )


def config_of(*words: str) -> dict[str, Any]:
    config = compose_config(
        [
            *("job=search_network", "space=mobilenet", "predictor=gaussian_process"),
            *("benchmark.dataset=fake", "seed=1", *SMALL, *words),
            *(() if "search=bonas" in words else EVOLUTION),
        ]
    )
    if "space=darts" not in words:
        config["space"] = SPACE
    return config


def mobilenet() -> MobileNet:
    space = build_space(SPACE)
    assert isinstance(space, MobileNet)
    return space


def read_front(folder: Path) -> list[dict[str, str]]:
    with open(folder / "front.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("search", ["nsga2_score", "spos"])
def test_the_best_and_the_front_within_the_caps(search: str, tmp_path: Path):
    own = {
        "nsga2_score": ("search.caps.flops=20000", RANDOM),
        "spos": ("search.crossover=4", "search.mutation=4", "search.caps.flops=20000"),
    }
    config = config_of(f"search={search}", *own[search])
    config["paths"]["chain"] = str(tmp_path / "chain")
    results = job.run(config, tmp_path / "run", labelled(mobilenet()))
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert json.loads((tmp_path / "chain" / "search.json").read_text()) == {
        "path": str(tmp_path / "run" / "best.json")
    }
    space = build_space(best["space"])
    operations = np.array(best["operations"], dtype=np.uint8)
    assert space.to_string(operations) == best["text"] == results["best"]["text"]
    network = build_network(best["network"], space, (operations, None))
    assert best["costs"] == {
        "parameters": parameter_count(network),
        "flops": multiply_adds(network, 8),
    }
    front = read_front(tmp_path / "run")
    assert front[0]["architecture"] == best["text"]
    assert max(int(row["flops"]) for row in front) <= 20_000
    objectives = [
        [-float(row["predicted"]), int(row["parameters"]), int(row["flops"])] for row in front
    ]
    assert pareto_front(np.array(objectives)).all()
    scores = [
        json.loads((tmp_path / "run" / name).read_text())["predicted"]
        for name in ("best.json", "best_2.json", "best_3.json")
    ]
    assert scores == sorted(scores, reverse=True)
    assert 0.2 < scores[0] <= 0.9  # an accuracy
    assert (tmp_path / "run" / "best.png").is_file()
    assert (tmp_path / "run" / "front.svg").is_file()


def test_a_neural_predictor_with_self_evolution_on_cells(tmp_path: Path):
    small = (
        *("predictor.embedding_dim=8", "predictor.layers=1", "predictor.heads=2"),
        *("predictor.head_dim=4", "predictor.feedforward_dim=8", "predictor.regressor_dim=8"),
        *("trainer.max_epochs=2", "framework.iterations=2", "data.train_size=20"),
        *("data.validation_size=10", "data.monitor_size=10"),
    )
    config = config_of(
        *("space=darts", "network=darts", "predictor=tnasp", "framework=self_evolution"),
        *("search.random_generations=2", "search.cost=flops", "job.count=2", *small),
    )
    results = job.run(config, tmp_path / "run", labelled(Darts()))
    assert results["framework"] == "self_evolution"
    assert results["queried_labels"] == 30
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    operations, adjacency = Darts().from_string(best["text"])
    np.testing.assert_array_equal(operations, best["operations"])
    np.testing.assert_array_equal(adjacency, best["adjacency"])
    assert best["network"]["channels"] == 36
    assert not (tmp_path / "run" / "best_3.json").exists()


def test_the_same_config_finds_the_same_and_labels_are_told(tmp_path: Path):
    table = labelled(mobilenet())
    fronts = []
    for name in ("one", "two"):
        job.run(config_of(RANDOM), tmp_path / name, table)
        fronts.append((tmp_path / name / "front.csv").read_text())
    assert fronts[0] == fronts[1]
    known = {
        mobilenet().to_string(codes): float(value[0])
        for codes, value in zip(table.operations, *table.metrics.values(), strict=True)
    }
    for row in read_front(tmp_path / "one"):
        expected = known.get(row["architecture"])
        assert row["label"] == ("" if expected is None else f"{expected:.6f}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("search.caps.flops=100", RANDOM),
            r"search.caps.flops=100: the smallest network of space mob",
        ),
        (("job.count=0", RANDOM), "job.count=0"),
        (("search=bonas",), "search=bonas labels what it proposes"),
        (("network=mobilenet_supernet", RANDOM), "choose network=mobilenet or network=darts"),
        (("data.features=[synflow]", RANDOM), "set data.features=null"),
    ],
)
def test_mistakes_are_one_sentence(words: tuple[str, ...], message: str, tmp_path: Path):
    with pytest.raises(NaspError, match=message):
        job.run(config_of(*words), tmp_path, labelled(mobilenet()))
    assert not (tmp_path / "predictor").exists()  # before the fit


def test_without_labels(tmp_path: Path):
    with pytest.raises(NaspError, match=r"benchmark.path=null: no subnets were labelled here"):
        job.run(config_of(RANDOM), tmp_path)

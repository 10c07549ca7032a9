from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.train import Recipe, TrainedCode
from nasp_lightning.image.augment import NO_AUGMENTATION
from nasp_lightning.network.builder import describe
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.network.tinynano import TinyNanoNetwork
from nasp_lightning.space.tinynano import TinyNano
from tests.estimation_code.networks import (
    diverging_network,
    failing_network,
    table,
    tiny_images,
    tiny_network,
)
from tests.tiny import compose_config

SMALL = Recipe(epochs=2, images=32, batch_size=8, learning_rate=0.01)


def code(folder: Path, network: Any = tiny_network, **options: Any) -> TrainedCode:
    options = {"images": tiny_images(), "recipe": SMALL, **options}
    return TrainedCode(table(), network, folder=folder, **options)


def test_the_same_code_whatever_is_computed_beside_it(tmp_path: Path) -> None:
    together = code(tmp_path / "a").codes(np.arange(6))
    torch.manual_seed(99)
    backwards = code(tmp_path / "b").codes(np.arange(6)[::-1])[::-1]
    alone = code(tmp_path / "c").codes(np.array([3]))
    assert (together == backwards).all()
    assert (together[3] == alone[0]).all()
    assert len(np.unique(together[:, 0])) > 2  # architectures differ


def test_the_same_code_in_processes_of_their_own(tmp_path: Path) -> None:
    here = code(tmp_path / "a").codes(np.arange(3))
    there = code(tmp_path / "b", concurrent=2).codes(np.arange(3))
    assert (here == there).all()


def test_the_random_state_outside_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    code(tmp_path).codes(np.array([0]))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_ranking_may_ask_for_it(tmp_path: Path) -> None:
    """Rankings run without gradients, and perhaps in half precision."""
    wanted = code(tmp_path / "a").codes(np.array([1]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = code(tmp_path / "b").codes(np.array([1]))
    np.testing.assert_array_equal(found, wanted)


def test_only_what_is_asked_for_is_trained_and_only_once(tmp_path: Path) -> None:
    first = code(tmp_path)
    found = first.codes(np.array([1, 4]))
    assert len(list(tmp_path.rglob("*.json"))) == 2

    def refuse(operations: Any) -> Any:
        raise AssertionError("trained again")

    again = code(tmp_path)
    object.__setattr__(again, "network", refuse)
    assert (again.codes(np.array([4, 1])) == found[::-1]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"images": tiny_images(seed=1)},
        {"recipe": replace(SMALL, label_smoothing=0.1)},
        {"recipe": replace(SMALL, augmentation=NO_AUGMENTATION)},
        {"network": functools.partial(tiny_network, channels=5)},
    ],
    ids=["seed", "data", "recipe", "augmentation", "network"],
)
def test_codes_are_kept_under_all_that_they_depend_on(tmp_path: Path, change: Any) -> None:
    assert code(tmp_path).key(0) == code(tmp_path).key(0)
    assert code(tmp_path).key(0) != code(tmp_path).key(1)
    assert code(tmp_path).key(0) != code(tmp_path, **change).key(0)


def test_real_networks(tmp_path: Path) -> None:
    """NAS-Bench-201's, of fixed topology, and Nano cells with theirs; at reduced sizes."""
    network = functools.partial(NASBench201Network, channels=2, cells=1)
    recipe = replace(SMALL, images=16)
    losses = code(tmp_path, network=network, recipe=recipe).codes(np.array([0, 5]))
    assert ((losses > 1) & (losses < 6)).all()
    space = TinyNano()
    operations, adjacency = space.sample(np.random.default_rng(0), 2)
    cells = BenchmarkTable(space="tinynano", operations=operations, adjacency=adjacency)
    nano = functools.partial(TinyNanoNetwork, widths=(8, 8, 8), cells=1)
    made = TrainedCode(cells, nano, tiny_images(), recipe, folder=tmp_path)
    assert made.codes(np.array([0, 1])).shape == (2, 2)
    assert made.key(0) != made.key(1)


def test_a_network_that_diverges_is_recorded_as_such(tmp_path: Path) -> None:
    rows = np.arange(6)
    diverges = table().operations[:, 0] == 1
    assert diverges.any()
    kept = code(tmp_path, network=diverging_network, missing="keep")
    assert (np.isnan(kept.codes(rows)).all(axis=1) == diverges).all()
    assert (kept.diverged(rows) == diverges).all()
    assert kept.spent == pytest.approx(6 * (kept.cost or 0))
    record = kept.store.get(kept.key(int(np.flatnonzero(diverges)[0])))
    assert record is not None
    assert record["diverged"] is True
    assert record["losses"] == [None, None]
    with pytest.raises(NaspError, match=r"hold NaN \(the network diverged"):
        code(tmp_path, network=diverging_network).codes(rows)


def test_the_shipped_config_is_the_published_recipe() -> None:
    from hydra.utils import instantiate

    words = ("estimation_code=train", "network@estimation_code.network=tinynano")
    config = compose_config(*words)["estimation_code"]
    made = instantiate(config)(table())
    assert made.training == Recipe()
    assert made.cost == pytest.approx(0.0015)
    assert describe(made.network) == {
        "call": "nasp_lightning.network.tinynano.TinyNanoNetwork",
        "arguments": [],
        "options": {
            key: value
            for key, value in sorted(config["network"].items())
            if not key.startswith("_")
        },
    }
    with pytest.raises(NaspError, match="cifar10 is not found"):
        made.codes(np.array([0]))
    spaces_own = compose_config("estimation_code=train")["estimation_code"]["network"]
    assert spaces_own["_target_"].endswith(".NASBench201Network")
    spiking = compose_config("estimation_code=train", "benchmark=spikenas")["estimation_code"]
    with pytest.raises(NaspError, match="label of final epochs"):
        instantiate(spiking)(table())
    with pytest.raises(NaspError, match="name what builds the networks"):
        instantiate({**spiking, "label_epochs": 200})(table())


def test_cost() -> None:
    full = TrainedCode(table(), tiny_network, tiny_images)
    assert full.cost == pytest.approx(0.0015)
    assert full.describe_cost() == "0.15 % of a label"
    assert TrainedCode(table(), tiny_network, tiny_images, label_epochs=100).cost == 0.003


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"gives \[8, 4\] for a batch of \[8, 3, 32, 32\]"):
        code(tmp_path, network=failing_network).codes(np.array([0]))
    with pytest.raises(NaspError, match=r"5000 images were asked for, but tiny has 64"):
        code(tmp_path, recipe=Recipe()).codes(np.array([0]))
    with pytest.raises(NaspError, match="has no name that its codes could be kept under"):
        code(tmp_path, network=lambda operations: tiny_network(operations))
    with pytest.raises(NaspError, match=r"estimation_code.network=None: name what builds"):
        code(tmp_path, network=None)
    with pytest.raises(NaspError, match=r"estimation_code.seed=-1"):
        code(tmp_path, seed=-1)
    with pytest.raises(NaspError, match=r"estimation_code.device=abacus"):
        code(tmp_path, device="abacus")
    for wrong in ({"epochs": 0}, {"batch_size": 64}, {"learning_rate": 0}, {"label_smoothing": 1}):
        with pytest.raises(NaspError, match=r"estimation_code.recipe."):
            replace(SMALL, **wrong)

"""Every file in conf/experiment composes and runs, made small, on a tiny benchmark."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import get_method, instantiate

from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.benchmark.format.nasbench201_table import derived_costs
from nasp_lightning.benchmark.nasbench101 import load_table
from nasp_lightning.benchmark.tinynano import make_table
from nasp_lightning.shipped import conf_dir
from tests.benchmark.nasbench101_files import write_tiny
from tests.benchmark.tinynano_files import made_up
from tests.tiny import compose_config, tiny_table

BUILDS = ("tinynano_build",)  # need images, and no table: tests/job/test_build_benchmark.py
STAGES = ("supernet", "sample", "search", "retrain")  # of chains: tests/job/test_chain.py
CHAINS = [
    f"{space}_{stage}{size}"
    for space in ("mobilenet", "darts")
    for stage in STAGES
    for size in ("", "_mini")
]
EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
SPLITS = sorted(path.stem for path in (conf_dir() / "split").glob("*.yaml"))
SWEEPS = sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml"))

# The largest number that a test run keeps of each setting.
CAPS = {
    "trainer": {"max_epochs": 2},
    "data": {"train_size": 20, "validation_size": 10, "monitor_size": 20},
    "framework": {"iterations": 2, "epochs": 2, "amount": 5, "rounds": 2},
    "search": {
        "repeats": 2,
        "labels": 15,
        "initial": 5,
        "batch": 5,
        "candidates": 20,
        "parents": 5,
        "population": 5,
        "train_size": 20,
        "top_k": 5,
    },
    "evolution": {"population": 6, "generations": 3, "parents": 3, "crossover": 3, "mutation": 3},
}


def made_small(config: dict[str, Any]) -> dict[str, Any]:
    within = {"evolution": config.get("search", {}).get("evolution") or {}}
    for group, caps in CAPS.items():
        settings = {**config, **within}.get(group, {})
        for name, cap in caps.items():
            value = settings.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                settings[name] = min(value, cap)
    return config


@pytest.fixture(scope="module")
def nasbench101(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkTable:
    folder = tmp_path_factory.mktemp("nasbench101")
    write_tiny(folder / "tiny.tfrecord", count=80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASP_CACHE", str(folder))
        return load_table(path=folder / "tiny.tfrecord", partial=True)


def small_table(config: dict[str, Any], nasbench101: BenchmarkTable) -> BenchmarkTable:
    """A tiny table of the experiment's benchmark, with the costs that it asks for."""
    name = config["benchmark"]["name"]
    if name == "nasbench101":
        return nasbench101
    if name == "nasbench201":
        table = tiny_table()
        rng = np.random.default_rng(0)
        costs = {f"proxy/{proxy}": rng.random(len(table)) for proxy in proxies(config)}
        return replace(table, costs={**costs, **derived_costs(table.operations)})
    if name == "tinynano":
        return make_table(made_up(range(100)), Path("made_up"))
    return made_up_table(config)


def proxies(config: dict[str, Any]) -> list[str]:
    """Names of the columns that an experiment reads."""
    code = config.get("estimation_code") or {}
    return [*(config["data"].get("features") or ()), *(code.get("names") or ())]


def made_up_table(config: dict[str, Any]) -> BenchmarkTable:
    """100 architectures of a fixed topology: the more of the higher codes, the more accurate."""
    benchmark, space = config["benchmark"], instantiate(config["space"])
    rng = np.random.default_rng(0)
    operations = np.unique(space.sample(rng, 120)[0], axis=0)[:100]
    values = 0.1 + 0.8 * operations.mean(axis=1) / max(1, operations.max())
    runs = (values[:, None] + rng.normal(0, 0.01, (len(values), 3))).clip(0, 1)
    metric = metric_name(benchmark["dataset"], "test_accuracy", benchmark["epochs"])
    return BenchmarkTable(
        space=space.name,
        operations=operations,
        metrics={metric: runs.astype(np.float32)},
        costs={
            **{f"proxy/{proxy}": rng.random(len(operations)) for proxy in proxies(config)},
            "flops": operations.sum(axis=1).astype(float),
        },
        curves={f"{benchmark['dataset']}/train_loss/3": -runs[:, :1, None] * np.ones(3)},
        provenance={"benchmark": benchmark["name"], "source": "tiny", "partial": True},
    )


@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - {*BUILDS, *CHAINS}))
def test_experiment(name: str, tmp_path: Path, nasbench101: BenchmarkTable) -> None:
    config = made_small(compose_config(f"+experiment={name}"))
    run = get_method(config["job"]["_target_"])
    results = run(config, tmp_path / "run", small_table(config, nasbench101))
    assert results["name"].startswith(name)
    assert results["benchmark"] == config["benchmark"]["name"]
    assert (tmp_path / "run" / "results.json").is_file()
    if "kendall_tau" in results:
        assert math.isfinite(results["kendall_tau"])
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_it_is_run(name: str) -> None:
    text = (conf_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n")
    assert f"python -m nasp_lightning +experiment={name}" in text
    assert len(text.splitlines()) <= 40, "an experiment is short"


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_is_what_its_name_says(name: str) -> None:
    data = compose_config(f"+split={name}")["data"]
    train, test = name.split("_")
    if train == "tagates":
        sizes = (data["pool_size"], data["test_size"])
        assert data["train_size"] == int(test)
        assert sizes in {(7290, 7290), (7813, 7812)}
        assert int(test) in [int(sizes[0] * share) for share in (0.01, 0.05, 0.1, 0.5)]
        return
    assert data["train_size"] == int(train)
    assert str(data["test_size"]) == test.removeprefix("test")
    assert data["pool_size"] is None


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_names_splits_that_exist(name: str) -> None:
    import yaml

    content = yaml.safe_load((conf_dir() / "sweep" / f"{name}.yaml").read_text(encoding="utf-8"))
    params = content["hydra"]["sweeper"]["params"]
    assert set(params.get("+split", "").split(",")) - {""} <= set(SPLITS)
    compose_config(f"+sweep={name}")

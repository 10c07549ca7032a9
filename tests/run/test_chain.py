"""Chains: what stages leave, and every stage of both chains, whole and killed, made small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_method

from nasp_lightning.error import NaspError
from nasp_lightning.job.search import make_strategy
from nasp_lightning.network.create import create_network
from nasp_lightning.run import chain
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.json_form import to_json
from nasp_lightning.run.results import Product
from nasp_lightning.shipped import conf_dir
from tests.evaluator.fake_images import SPACE

STAGES = chain.STAGES
SETTINGS: dict[str, dict[str, Any]] = {  # what makes a stage small, by group
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    "data": {"train_size": 8, "validation_size": 4, "monitor_size": 4},
    "framework": {"iterations": 2},
    "search": {"population": 5, "generations": 3, "random_generations": 1, "caps": None},
    "predictor": {
        "embedding_dim": 8,
        "layers": 1,
        "heads": 2,
        "head_dim": 4,
        "feedforward_dim": 8,
        "regressor_dim": 8,
    },
}
NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenet": {},
    "darts": {"channels": 2, "layers": 3, "stem_stride": 2, "auxiliary": False},
}


def test_what_a_stage_leaves_is_found(tmp_path: Path):
    folder = tmp_path / "chain"
    assert chain.left("supernet", str(folder)) is None
    product = tmp_path / "network.safetensors"
    product.write_text("")
    chain.leave(folder, "supernet", product)
    told = chain.left("supernet", str(folder))
    assert told == str(product)
    assert chain.find(folder, "supernet", "job.supernet", told) == product
    words = ["job=label_subnets", f"paths.chain={tmp_path / 'chain'}"]
    assert compose_config(words)["job"]["supernet"] == str(product)
    assert compose_config(words[:1])["job"]["supernet"] is None


def test_a_finished_run_leaves_word_in_a_new_chain(tmp_path: Path):
    results = {"product": to_json(Product(stage="search", name="best.json"))}
    folder = tmp_path / "chain"
    chain.leave_again(folder, tmp_path / "run", results)
    assert chain.left("search", str(tmp_path / "chain")) == str(tmp_path / "run" / "best.json")
    chain.leave_again(folder, tmp_path / "run", {})
    chain.leave(None, "search", tmp_path)


def test_mistakes_are_one_sentence(tmp_path: Path):
    with pytest.raises(NaspError, match=r"the stage before, sample, has left nothing .* no sample"):
        chain.find(tmp_path, "sample", "benchmark.path", None)
    with pytest.raises(NaspError, match=r"paths.chain is not set"):
        chain.find(None, "sample", "benchmark.path", None)
    with pytest.raises(NaspError, match="there is no such file or folder"):
        chain.find(tmp_path, "sample", "benchmark.path", tmp_path / "absent")
    with pytest.raises(NaspError, match="the stages of a chain are supernet, sample"):
        chain.leave(tmp_path, "holiday", tmp_path)
    (tmp_path / "search.json").write_text("{")
    assert chain.left("search", str(tmp_path)) is None  # cut short: as if it were not there


@pytest.mark.parametrize("size", ["", "_mini"])
@pytest.mark.parametrize("space", ["mobilenet", "darts"])
def test_every_stage_composes(space: str, size: str):
    for stage in STAGES:
        config = compose_config([f"+experiment={space}_{stage}{size}"])
        assert config["name"] == f"{space}_{stage}{size}"
        assert config["paths"]["chain"] == f"runs/chain/{space}{size}"
        assert config["space"]["_target_"].split(".")[2] == space
        text = (conf_dir() / "experiment" / f"{space}_{stage}{size}.yaml").read_text()
        assert text.startswith("# @package _global_\n")


@pytest.mark.parametrize("search", ["spos", "nsga2_score"])
@pytest.mark.parametrize("space", ["mobilenet", "darts"])
def test_either_evolution_takes_the_searches_words(space: str, search: str):
    words = [f"+experiment={space}_search", f"search={search}", "search.caps.flops=480e6"]
    strategy: Any = make_strategy(RunInfo.of(compose_config(words)).component("search"))
    assert strategy.caps.limits["flops"] == 480e6
    assert strategy.labels == {"spos": 1_000, "nsga2_score": 10_000}[search]


def stage_config(space: str, stage: str, size: str, folder: Path) -> dict[str, Any]:
    """A stage of a chain on images made up in memory, a few steps long."""
    config = compose_config(
        [f"+experiment={space}_{stage}{size}", f"paths.chain={folder / 'chain'}"]
    )
    for group, settings in SETTINGS.items():
        present = config.get(group) or {}
        present.update({name: item for name, item in settings.items() if name in present})
    if space == "mobilenet":
        config["space"] = SPACE
    if "network" in config:
        own = config["network"]
        own.update({name: item for name, item in NETWORKS[space].items() if name in own})
        own.pop("space", None)
    if stage == "search":
        config["benchmark"]["dataset"] = "fake"
        config["benchmark"]["table"]["space"] = config["space"]
    else:
        config["data"] = {
            "_target_": "tests.evaluator.fake_images.FakeImages",
            "side": 8 if space == "mobilenet" else 16,
        }
    if stage == "sample":
        config["job"].update(subnets=12, device="cpu")
        config["job"]["calibration"].update(batches=1, batch_size=24)
    return config


def run_stage(space: str, stage: str, size: str, folder: Path) -> dict[str, Any]:
    config = stage_config(space, stage, size, folder)
    results: dict[str, Any] = get_method(config["job"]["_target_"])(config, folder / stage)
    return results


@pytest.mark.parametrize(("space", "size"), [("mobilenet", ""), ("darts", "_mini")])
def test_a_whole_chain(space: str, size: str, tmp_path: Path):
    pytest.importorskip("pymoo")
    for stage in STAGES:
        results = run_stage(space, stage, size, tmp_path)
        assert (tmp_path / "chain" / f"{stage}.json").is_file()
        assert results["config_hash"]
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    left = chain.left("retrain", str(tmp_path / "chain"))
    assert left is not None
    network = create_network(tmp_path / "search" / "best.json", left)
    assert not network.training
    retrained = json.loads((tmp_path / "retrain" / "results.json").read_text())
    assert retrained["architecture"] == best["text"]
    assert retrained["parameters"] == best["costs"]["parameters"]
    assert 0 <= retrained["test_accuracy"] <= 1


NUMBERS = {
    "sample": ("accuracy_mean", "accuracy_best"),
    "search": ("kendall_tau", "best", "scored_architectures"),
}


@pytest.mark.parametrize("stage", ["sample", "search"])
def test_a_killed_stage_gives_the_same_numbers(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The training stages' kills are tests/job/test_train_network.py's."""
    pytest.importorskip("pymoo")
    for before in STAGES[: STAGES.index(stage)]:
        run_stage("mobilenet", before, "_mini", tmp_path)
    whole = run_stage("mobilenet", stage, "_mini", tmp_path)
    (tmp_path / stage).rename(tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_after(patch, stage)
        with pytest.raises(KeyboardInterrupt):
            run_stage("mobilenet", stage, "_mini", tmp_path)
    assert not (tmp_path / stage / "results.json").exists()
    resumed = run_stage("mobilenet", stage, "_mini", tmp_path)
    for name in NUMBERS[stage]:
        assert resumed[name] == whole[name], name


def killed_after(patch: pytest.MonkeyPatch, stage: str) -> None:
    """Let Ctrl-C come in the middle of a stage."""
    from nasp_lightning.job import label_subnets, search_network

    module: Any = {"sample": label_subnets, "search": search_network}[stage]
    name = {"sample": "label", "search": "scorer"}[stage]
    real: Callable[..., Any] = getattr(module, name)
    calls: list[int] = []

    def kill(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == {"sample": 5, "search": 1}[stage]:
            raise KeyboardInterrupt
        return real(*arguments)

    patch.setattr(module, name, kill)

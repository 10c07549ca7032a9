from __future__ import annotations

import json
import logging
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import nasp_lightning.job.search as search_job
from nasp_lightning.benchmark import load_benchmark
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.job import train_predictor
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.variant import variant
from nasp_lightning.space.base import Graphs, Shape
from nasp_lightning.study.estimation_code import code_costs
from nasp_lightning.study.settings import StudySettings
from tests.job.killing import EVERY_EPOCH, predictions
from tests.tiny import compose_config, csv_words, nasp, tiny_table, write_csv

HERE = "tests.study.test_estimation_code"
NETWORKS = "tests.estimation_code.networks"
SMALL = (
    *("predictor.hidden=8", "predictor.top=9", "predictor.training_top=4"),
    *("data.train_size=20", "data.monitor_size=20", "trainer.max_epochs=2"),
)
SAMPLING = ("framework.updates=3", "framework.initial=8", "framework.share=0.5")
TIMED = {"fit_seconds", "rank_seconds", "code_seconds", "versions"}
fork = multiprocessing.get_context("fork")


NANO = "+experiment=tinynano_siamese_bts"


def code_of(table: BenchmarkTable, *words: str) -> EstimationCode:
    chosen = StudySettings.of(RunInfo.of(compose_config(*words))).code
    assert chosen is not None
    return chosen.build(table=table)


def test_an_experiment_without_its_code() -> None:
    """What an experiment sets in the group means nothing with ``estimation_code=none``."""
    config = compose_config(NANO, "estimation_code=none", "+estimation_code.epochs=2")
    settings = StudySettings.of(RunInfo.of(config))
    assert settings.code is None
    assert settings.code_name is None
    assert variant(config).get("estimation_code") is None


@pytest.mark.parametrize(
    ("words", "cost"),
    [
        ((), 3 * 1000 / (4 * 6000)),  # the short trainings of the table
        (("estimation_code.epochs=1",), 1000 / (4 * 6000)),
        (("estimation_code=train",), 3 * 5000 / (4 * 6000)),
        (("estimation_code=proxy", "+network@estimation_code.network=tinynano"), 0.0),
        (("estimation_code=proxy", "estimation_code.names=[train_loss_3]"), 3 * 1000 / (4 * 6000)),
        (("estimation_code=proxy", "estimation_code.names=[flops]"), 0.0),
    ],
)
def test_every_code_of_tiny_nanobench_and_its_cost(words: tuple[str, ...], cost: float) -> None:
    code = code_of(load_benchmark("tinynano"), NANO, *words)
    assert code.cost == pytest.approx(cost)


def test_other_networks_than_the_labels_are_told(caplog: pytest.LogCaptureFixture) -> None:
    table = load_benchmark("tinynano")
    with caplog.at_level(logging.WARNING):
        code_of(table, NANO, "estimation_code=train")
    assert "other networks" in caplog.text
    caplog.clear()
    own = table.provenance["training"]["network"]["options"]
    words = [f"+estimation_code.network.{name}={value}" for name, value in own.items()]
    words = [word.replace("+", "++") for word in words]
    with caplog.at_level(logging.WARNING):
        code_of(table, NANO, "estimation_code=train", *words)
    assert not caplog.text


def test_tiny_nasbench201_has_networks() -> None:
    config = compose_config("benchmark=tiny_nasbench201", "estimation_code=train")
    assert config["estimation_code"]["network"]["_target_"].endswith(".NASBench201Network")


class Counting(EstimationCode):
    """A code of three numbers that tells the accuracy; notes which rows it was asked for."""

    asked_for: ClassVar[list[int]] = []

    def __init__(
        self,
        table: Any,
        cost: float | None = 0.01,
        length: int = 3,
        hole: int | None = None,
        on_networks: bool = False,
    ) -> None:
        super().__init__(table, 3, cost)
        self.given, self.hole, self.on_networks = length, hole, on_networks
        self.values = -table.metrics["cifar10/validation_accuracy/200"].mean(axis=1)
        Counting.asked_for = []

    def compute(self, rows: Any) -> Any:
        Counting.asked_for += rows.tolist()
        codes = np.repeat(self.values[rows][:, None], self.given, axis=1)
        codes[rows == self.hole] = np.nan
        return codes


class Blind(nn.Module):
    """Ranks by the graph alone."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.worth = nn.Embedding(shape.vocabulary, 1)

    def forward(self, graphs: Graphs) -> torch.Tensor:
        scores: torch.Tensor = self.worth(graphs.operations.long()).sum((1, 2))
        return scores


class BlindClassical:
    """The same without gradients."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def fit(self, graphs: Graphs, labels: Any) -> None:
        assert len(graphs) == len(labels)

    def score(self, graphs: Graphs) -> Any:
        return graphs.operations.double().sum(1).numpy()


def made(*words: str, experiment: str = "nb201_siamese", **code: Any) -> dict[str, Any]:
    """Config of a small run with a counting code of these settings."""
    config = compose_config(f"+experiment={experiment}", *SMALL, *words)
    config["estimation_code"] = {"_target_": f"{HERE}.Counting", "_partial_": True, **code}
    return config


def run(config: dict[str, Any], folder: Path, count: int = 100) -> dict[str, Any]:
    return train_predictor.run(config, folder, tiny_table(count))


def untimed(results: dict[str, Any]) -> dict[str, Any]:
    """Without what another process, or another commit, changes."""
    phases = {
        name: {key: item for key, item in phase.items() if key != "ranking_seconds"}
        for name, phase in results["phases"].items()
    }
    kept = {name: item for name, item in results.items() if name not in TIMED}
    return {**kept, "phases": phases}


def test_codes_of_training_and_the_shortlist_are_asked_for_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run(made(), tmp_path)
    found = predictions(tmp_path)
    shortlist = np.argsort(-found["scores"], kind="stable")[:9]
    wanted = np.union1d(found["train"], shortlist)
    assert sorted(Counting.asked_for) == wanted.tolist()  # each once
    assert results["estimation_code"] == "test_estimation_code"
    assert results["queried_codes"] == len(wanted)
    assert results["code_cost"] == 0.01
    assert results["code_labels"] == pytest.approx(0.01 * len(wanted))
    assert results["budget"] == pytest.approx(20 + 0.01 * len(wanted))
    phase = results["phases"]["supervised"]
    assert [phase[key] for key in ("queried_codes", "budget")] == [len(wanted), results["budget"]]
    told = " ".join(capsys.readouterr().out.split())
    assert f"of {len(wanted)} architectures: {0.01 * len(wanted):.4g} labels at 1 %" in told
    assert f"budget {results['budget']:.4g} labels" in told


def test_sampling_asks_for_what_it_buys_and_what_it_re_ranks(tmp_path: Path) -> None:
    config = made(*SAMPLING, "trainer.max_epochs=10", experiment="nb201_siamese_bts")
    results, asked = run(config, tmp_path), Counting.asked_for
    assert len(asked) == len(set(asked)) == results["queried_codes"]
    found = predictions(tmp_path)
    assert len(found["train"]) == 20
    assert set(found["train"]) <= set(asked)
    assert set(np.argsort(-found["scores"], kind="stable")[:9]) <= set(asked)
    assert 20 <= len(asked) <= 20 + 3 * 4 + 9
    first, sampled = (results["phases"][name] for name in ("warm_up", "sampling"))
    assert first["queried_codes"] <= 8 + 9 < sampled["queried_codes"] <= len(asked)
    assert first["budget"] == pytest.approx(8 + 0.01 * first["queried_codes"])


def test_the_code_reaches_the_predictor(tmp_path: Path) -> None:
    """Accuracies that no graph tells and the codes do."""
    table, rng = tiny_table(), np.random.default_rng(0)
    values = np.repeat(rng.uniform(0.2, 0.9, (100, 1)), 3, axis=1).astype(np.float32)
    table = replace(table, metrics=dict.fromkeys(table.metrics, values))
    words = (
        *("predictor.top=100", "predictor.momentum=0.1", "optimizer.lr=5e-3"),
        *("trainer.max_epochs=60", "data.train_size=30"),
    )
    found = {}
    for name, more in {"own": (), "dealt": ("data.shuffle_features=0",)}.items():
        results = train_predictor.run(made(*words, *more), tmp_path / name, table)
        found[name] = results["kendall_tau_excluding_train"]
    assert found["own"] > 0.25 > 0.15 > abs(found["dealt"])


def test_without_a_code_there_is_nothing_to_pay(tmp_path: Path) -> None:
    plain = run(
        compose_config("+experiment=nb201_siamese", *SMALL, "estimation_code=none"), tmp_path
    )
    assert (plain["queried_codes"], plain["code_labels"], plain["budget"]) == (0, 0, 20)
    assert plain["estimation_code"] is None


def test_a_cost_that_is_not_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run(made(cost=None), tmp_path)
    assert (results["code_cost"], results["code_labels"], results["budget"]) == (None,) * 3
    assert results["queried_codes"] > 20
    assert "their cost is not stated" in " ".join(capsys.readouterr().out.split())
    assert code_costs(None, 0, 20).budget == 20


@pytest.mark.parametrize("predictor", ["tnasp", "gaussian_process"])
def test_predictors_that_rank_by_all_codes_ask_for_all(
    predictor: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = (f"predictor={predictor}", "data.train_size=20", "data.validation_size=0")
    config = compose_config(*words, "trainer.max_epochs=1", "data.monitor_size=20")
    code = {"_target_": f"{HERE}.Counting", "_partial_": True, "on_networks": True}
    with caplog.at_level(logging.WARNING):
        results = run({**config, "estimation_code": code}, tmp_path)
    assert sorted(Counting.asked_for) == list(range(100))
    assert (results["queried_codes"], results["budget"]) == (100, 21.0)
    assert "100 are computed" in caplog.text
    assert "cost: 1 % of a label each, 1 labels in all" in caplog.text


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("data.features=[parameters]",), {}, r"data.features=\['parameters'\] and an estim"),
        ((), {"length": 2}, r"shape \[20, 2\] .* expected \[20, 3\]"),
        ((), {"hole": 0}, "hold NaN .* row 0"),
        ((), {"speed": 3}, "estimation_code: .*speed"),
    ],
)
def test_codes_that_cannot_be(
    words: tuple[str, ...], code: dict[str, Any], told: str, tmp_path: Path
) -> None:
    config = made(*words, **code)
    config["data"]["train_size"] = 20 if "hole" not in code else 100
    with pytest.raises(NaspError, match=told) as error:
        run(config, tmp_path)
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("blind", ["Blind", "BlindClassical"])
@pytest.mark.parametrize("columns", [True, False])
def test_a_predictor_that_ignores_extra_inputs_is_refused(
    blind: str, columns: bool, tmp_path: Path
) -> None:
    config = compose_config("data.train_size=20", "data.validation_size=0", "trainer.max_epochs=1")
    config["predictor"] = {"_target_": f"{HERE}.{blind}", "_partial_": True}
    if columns:
        config["data"]["features"], told = ["cost"], r"data.features=\['cost'\]: set data.features="
    else:
        config["estimation_code"] = {"_target_": f"{HERE}.Counting", "_partial_": True}
        told = "estimation_code=.*: set estimation_code=none"
    table = replace(tiny_table(), costs={"cost": np.arange(100.0)})
    with pytest.raises(NaspError, match=f"ranks by the graph alone and would ignore {told}"):
        train_predictor.run(config, tmp_path, table)
    config["data"]["features"], config["estimation_code"] = None, None
    assert train_predictor.run(config, tmp_path / "plain", table)["queried_codes"] == 0


def trained(folder: Path, *words: str, experiment: str = "nb201_siamese") -> dict[str, Any]:
    """Config of a run with trained codes, on images that are made up."""
    config = compose_config(
        f"+experiment={experiment}",
        *SMALL,
        "estimation_code=train",
        *("estimation_code.recipe.epochs=1", "estimation_code.recipe.images=32"),
        *(f"estimation_code.folder={folder}", "estimation_code.device=cpu", *words),
    )
    config["estimation_code"]["images"] = {"_target_": f"{NETWORKS}.tiny_images", "_partial_": True}
    return config


def test_a_trained_code_of_nasbench201_s_own_networks(tmp_path: Path) -> None:
    words = (
        *("data.train_size=3", "predictor.top=2", "data.batch_size=3", "trainer.max_epochs=1"),
        *("estimation_code.network.channels=2", "estimation_code.network.cells=1"),
    )
    config = trained(tmp_path / "codes", *words)
    assert config["estimation_code"]["network"]["_target_"].endswith(".NASBench201Network")
    results = run(config, tmp_path / "run", count=10)
    assert results["estimation_code"] == "train"
    assert 3 <= results["queried_codes"] <= 5
    assert len(list((tmp_path / "codes").rglob("*.json"))) == results["queried_codes"]
    assert results["code_cost"] == pytest.approx(32 / (200 * 50_000))
    assert results["variant"]["estimation_code"] == "train"
    assert results["variant"]["estimation_code.recipe.epochs"] == 1
    assert results["variant"]["estimation_code.network.cells"] == 1
    assert "estimation_code.folder" not in results["variant"]


def test_a_killed_run_reads_its_codes_again_and_is_the_unbroken_one(tmp_path: Path) -> None:
    words = (*SAMPLING, "trainer.max_epochs=10", EVERY_EPOCH)

    def config(name: str) -> dict[str, Any]:
        found = trained(tmp_path / name, *words, experiment="nb201_siamese_bts")
        network = {"_target_": f"{NETWORKS}.tiny_network", "_partial_": True}
        found["estimation_code"]["network"] = network
        return found

    def stored() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "again").rglob("*.json")}

    whole, folder = run(config("once"), tmp_path / "whole"), tmp_path / "killed"
    for epoch in (1, 5, 8):
        doomed = config("again")
        target = "tests.job.killing.Killer"
        doomed["callbacks"]["killer"] = {"_target_": target, "epoch": epoch}
        child = fork.Process(target=run, args=(doomed, folder))
        child.start()
        child.join(200)
        assert child.exitcode == -signal.SIGKILL
    kept = stored()
    assert len(kept) >= 8
    results = run(config("again"), folder)
    assert untimed(results) == untimed(whole)
    for name, array in predictions(tmp_path / "whole").items():
        np.testing.assert_array_equal(predictions(folder)[name], array)
    assert {path: stored()[path] for path in kept} == kept  # none was computed again
    assert len(stored()) == results["queried_codes"]


def test_a_search_counts_the_codes_of_each_repeat(tmp_path: Path) -> None:
    words = ("job=search", "search=ranking", "search.top_k=5", "search.repeats=2")
    config = compose_config(*words, "+experiment=nb201_siamese", *SMALL)
    config["estimation_code"] = {"_target_": f"{HERE}.Counting", "_partial_": True}
    results = search_job.run(config, tmp_path / "a", tiny_table())
    assert 20 < results["queried_codes"] <= 20 + 9
    assert results["budget"] == pytest.approx(25 + 0.01 * results["queried_codes"])
    assert len(Counting.asked_for) == len(set(Counting.asked_for)) > results["queried_codes"]
    random = compose_config("job=search", "search=random", "search.labels=5")
    config["search"] = random["search"]
    with pytest.raises(NaspError, match="search=random has no predictor that could read it"):
        search_job.run(config, tmp_path / "b", tiny_table())


def test_command_line(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "tiny.csv")
    small = [word for word in csv_words(csv) if not word.startswith(("predictor.", "trainer."))]
    words = ("+experiment=nb201_siamese", *small, *SMALL, "estimation_code.names=[parameters]")
    done = nasp(*words, f"paths.runs={tmp_path}", cwd=tmp_path)
    assert "Estimation Codes (proxy) of" in done.stdout
    (path,) = tmp_path.rglob("results.json")
    results = json.loads(path.read_text())
    assert 20 < results["queried_codes"] <= 29
    assert (results["code_cost"], results["budget"]) == (0, 20)

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from nasp_lightning import fit_predictor
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.job.notebook import benchmark_words
from nasp_lightning.run.compose import compose_config, to_value, to_words
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.nasbench201 import all_operations

WORTH = """
import torch
from torch import nn

class Worth(nn.Module):
    def __init__(self, shape, start):
        super().__init__()
        self.worth = nn.Parameter(torch.full((shape.vocabulary,), float(start)))

    def forward(self, graphs):
        return self.worth[graphs.operations.long()].sum(1)
"""


def small_table(count: int = 300, **provenance: Any) -> BenchmarkTable:
    """Cells whose accuracy is a sum over their operations."""
    chosen = np.random.default_rng(0).permutation(15_625)[:count]
    operations = all_operations()[chosen].astype(np.uint8)
    accuracy = np.array([0.1, 0.4, 0.7, 0.9, 0.3])[operations].mean(axis=1)
    return BenchmarkTable(
        space="nasbench201",
        operations=operations,
        metrics={"cifar10/validation_accuracy/200": accuracy.astype(np.float32)[:, None]},
        provenance={
            "benchmark": "nasbench201",
            "source": "csv",
            "count": count,
            "partial": True,
            **provenance,
        },
    )


SMALL: Any = {"train_size": 40, "epochs": 2, "overrides": {"data.validation_size": 20}}


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary run folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_fits_ranks_and_plots(temporary_folder: Path) -> None:
    table = small_table()
    threads = torch.get_num_threads()
    fit = fit_predictor(table, **SMALL)
    assert fit.results["train_size"] == 40
    assert fit.results["seed"] == 0
    assert fit.results["partial"] is True
    assert fit.results["source"] == "csv"
    assert sorted(fit.rank()) == list(range(300))
    assert (np.diff(fit.scores[fit.rank()]) <= 0).all()
    assert fit.plot().axes
    assert torch.get_num_threads() == threads
    assert not GlobalHydra.instance().is_initialized()
    assert len(list(temporary_folder.iterdir())) == 1
    del fit
    gc.collect()
    assert not list(temporary_folder.iterdir())


def test_same_numbers_twice_and_other_settings_arrive(tmp_path: Path) -> None:
    table = small_table()
    first = fit_predictor(table, **SMALL, folder=tmp_path / "run")
    again = fit_predictor(table, **SMALL)
    assert (tmp_path / "run" / "results.json").is_file()
    assert first.results["config_hash"] == again.results["config_hash"]
    np.testing.assert_array_equal(first.scores, again.scores)
    words = ["data.validation_size=20", "task.loss=logistic"]
    other = fit_predictor(table, **{**SMALL, "overrides": words}, scheduler="constant", seed=1)
    assert other.results["loss"] == "logistic"
    assert other.results["seed"] == 1
    assert "scheduler._target_" in other.results["variant"]


def test_a_folder_of_another_config_is_refused(tmp_path: Path) -> None:
    table = small_table()
    fit_predictor(table, **SMALL, folder=tmp_path / "run")
    with pytest.raises(NaspError, match="another config"):
        fit_predictor(table, **SMALL, folder=tmp_path / "run", seed=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"predictor": "absent"}, "absent"),
        ({"overrides": ["no.such=1"]}, r"no\.such"),
        ({"overrides": ["task.loss=[a"]}, "input"),
        ({"overrides": [1]}, "task.loss=logistic"),
        ({"train_size": 0}, r"data\.train_size=0"),
        ({"framework": "self_evolution", "overrides": {"framework.mu": -1}}, r"framework\.mu=-1"),
    ],
)
def test_mistakes_are_told_in_one_line(
    settings: dict[str, Any], message: str, temporary_folder: Path
) -> None:
    with pytest.raises(NaspError, match=message) as caught:
        fit_predictor(small_table(), **{**SMALL, **settings})
    assert "\n" not in str(caught.value)
    assert not list(temporary_folder.iterdir())


def test_a_running_hydra_application_keeps_its_state() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        compose_config(["seed=1"])
        assert GlobalHydra.instance().hydra is outer
        compose(config_name="config")


def test_a_table_of_its_own_name_takes_its_spaces_config() -> None:
    words = benchmark_words(small_table(benchmark="mine", partial=False))
    assert words[0] == "benchmark=nasbench201"
    config = compose_config(words)["benchmark"]
    assert (config["name"], config["partial"], config["dataset"]) == ("mine", False, "cifar10")
    accuracy = np.full((300, 1), 0.5, dtype=np.float32)
    table = replace(small_table(), metrics={"cifar100/test_accuracy/12": accuracy})
    config = compose_config(benchmark_words(table))["benchmark"]
    assert (config["dataset"], config["epochs"]) == ("cifar100", 12)
    with pytest.raises(NaspError, match=r"add benchmark/mine\.yaml .* config_dir"):
        benchmark_words(replace(table, space="elsewhere", provenance={"benchmark": "mine"}))


def test_a_table_called_csv_takes_its_spaces_config() -> None:
    assert benchmark_words(small_table(benchmark="csv"))[0] == "benchmark=nasbench201"


def test_configs_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for group, name, text in (
        ("predictor", "worth", "_target_: own_worth.Worth\n_partial_: true\nstart: 0.5\n"),
        (
            "benchmark",
            "elsewhere",
            "defaults: [csv, {override /space@_global_.space: nasbench201}, _self_]\n"
            "name: elsewhere\nreduction: single\n",
        ),
    ):
        (tmp_path / "my conf" / group).mkdir(parents=True)
        (tmp_path / "my conf" / group / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "own_worth.py").write_text(WORTH, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    table = small_table(benchmark="elsewhere")
    fit = fit_predictor(
        table,
        predictor="worth",
        config_dir="my conf",
        epochs=20,
        overrides={"optimizer.lr": 0.05},
        train_size=50,
    )
    assert (fit.results["predictor"], fit.results["benchmark"]) == ("own_worth", "elsewhere")
    assert fit.results["train_reduction"] == "single"
    assert fit.results["kendall_tau"] > 0.7
    with pytest.raises(NaspError, match="config_dir=absent: there is no such folder"):
        fit_predictor(table, predictor="worth", config_dir="absent")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -2.5, 1e-4, [1, "a"], {"a": [True, None]}),
        *("word", "it's", "C:\\a b", "end\\", "\\'", "", "156", "null", "a=b,c", "∂", 'say "so"'),
    ],
)
def test_values_survive_the_grammar(value: Any) -> None:
    (word,) = to_words({"key": value})
    assert word == f"key={to_value(value)}"
    assert OverridesParser.create().parse_override(word).value() == value

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nasp_lightning.error import NaspError
from nasp_lightning.job.train_predictor import fit_and_rank, run
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import config_hash, resolved
from nasp_lightning.shipped import conf_dir
from tests.tiny import SMALL_DATA, tiny_table


def make_config(*overrides: str) -> dict[str, Any]:
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return resolved(compose("config", overrides=[*SMALL_DATA, *overrides]))


@pytest.mark.parametrize("name", ["gaussian_process", "gradient_boosting"])
def test_a_run_leaves_the_same_results_as_a_neural_predictors(name: str, tmp_path: Path) -> None:
    small = ["predictor.iterations=50"] if name == "gradient_boosting" else []
    config = make_config(f"predictor={name}", "data.train_size=60", "seed=1", *small)
    results = run(config, tmp_path, tiny_table(200))
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert results["kendall_tau"] > 0.3
    assert results["config_hash"] == config_hash(config)
    assert (results["predictor"], results["framework"]) == (name, "supervised")
    assert results["queried_labels"] == results["train_labels"] == 60
    assert results["phases"]["supervised"]["kendall_tau"] == results["kendall_tau"]
    assert (tmp_path / "config.yaml").exists()
    saved = np.load(tmp_path / "predictions.npz")
    assert saved["scores"].shape == (200,)
    true = tiny_table(200).metrics["cifar10/test_accuracy/200"].mean(1)
    assert np.abs(saved["scores"] - true).mean() < 0.1  # accuracies, not normalised labels
    if name == "gaussian_process":
        assert results["loss"] == "marginal_likelihood"
        assert results["calibration"]["architectures"] == 140
        assert 0.7 < results["calibration"]["coverage"] <= 1
        assert 0 < results["calibration"]["mean_width"] < 1
    else:
        assert results["loss"] == "mse"
        assert "calibration" not in results
    assert run(config, tmp_path, tiny_table(200)) == results  # found, not repeated


def test_the_report_reads_it(tmp_path: Path) -> None:
    from nasp_lightning.report.collect import read_run

    run(make_config("predictor=gaussian_process"), tmp_path, tiny_table())
    assert read_run(tmp_path).results.predictor == "gaussian_process"
    assert read_run(tmp_path).results.selection_labels == 0


def test_epochs_are_ignored_and_the_seed_is_passed_on(tmp_path: Path) -> None:
    config = make_config("predictor=gaussian_process", "trainer.max_epochs=0", "seed=4")
    fit = fit_and_rank(RunInfo.of(config), tmp_path, tiny_table())
    assert fit.predictor.seed == 4
    assert len(fit.rank()) == 100


def test_a_proxy_needs_no_label(tmp_path: Path) -> None:
    from dataclasses import replace

    table = tiny_table()
    worth = table.metrics["cifar10/test_accuracy/200"].mean(1).astype(np.float64)
    table = replace(table, costs={"proxy/nwot": worth})
    config = make_config(
        "predictor=proxy", "predictor.name=nwot", "data.features=[nwot]", "data.train_size=1"
    )
    results = run(config, tmp_path, table)
    assert results["kendall_tau"] == pytest.approx(1)
    assert results["train_labels"] == results["queried_labels"] == 0
    assert results["variant"]["data.features"] == ["nwot"]


def test_frameworks_that_train_by_gradients_are_refused(tmp_path: Path) -> None:
    config = make_config("predictor=gaussian_process", "framework=self_evolution")
    with pytest.raises(NaspError, match="framework=self_evolution trains by gradients"):
        run(config, tmp_path, tiny_table())
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("framework", ["batch_top_sampling", "fully_top_sampling"])
def test_top_sampling(framework: str, tmp_path: Path) -> None:
    table = tiny_table()
    words = ("predictor=gaussian_process", "data.train_size=20", "data.validation_size=0")
    config = make_config(*words, f"framework={framework}")
    results = run(config, tmp_path, table)
    assert results["train_labels"] == results["queried_labels"] == 20
    assert list(results["phases"]) == [framework]
    plain = run(make_config(*words), tmp_path / "plain", table)
    assert results["config_hash"] != plain["config_hash"]
    bought, random = (
        np.load(folder / "predictions.npz")["train"] for folder in (tmp_path, tmp_path / "plain")
    )
    labels = table.metrics["cifar10/validation_accuracy/200"].mean(1)
    assert bought[:6].tolist() == random[:6].tolist()
    assert labels[bought[6:]].mean() > labels[random[6:]].mean()


def test_settings_of_a_framework_that_an_experiment_had_chosen(tmp_path: Path) -> None:
    words = ("predictor=gaussian_process", "framework=supervised", "+framework.iterations=3")
    assert run(make_config(*words), tmp_path, tiny_table())["framework"] == "supervised"


def test_an_unknown_framework_is_one_sentence(tmp_path: Path) -> None:
    config = make_config("predictor=gaussian_process", "framework._target_=nasp_lightning.no.Such")
    with pytest.raises(NaspError, match=r"^framework: Error loading 'nasp_lightning.no.Such'"):
        run(config, tmp_path, tiny_table())


def test_what_is_no_predictor_is_refused(tmp_path: Path) -> None:
    config = make_config("predictor=gaussian_process")
    config["predictor"] = {"_target_": "types.SimpleNamespace", "_partial_": True}
    with pytest.raises(NaspError, match="methods fit and score"):
        run(config, tmp_path, tiny_table())

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasp_lightning.job.n_plus_k as job
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.run.folder import config_hash
from nasp_lightning.study.repeated import Repeated
from tests.tiny import compose_config, nasp, tiny_table, write_csv

WORDS = (
    *("+experiment=nb201_siamese_bts", "job=n_plus_k", "estimation_code=none"),
    *("predictor.hidden=8", "predictor.nsam=false", "predictor.top=6", "predictor.training_top=4"),
    *("data.train_size=20", "data.features=[synflow]", "data.monitor_size=20"),
    *("framework.updates=2", "trainer.max_epochs=5", "job.repeats=3", "job.top_k=5"),
)
OTHER = (
    *("job=n_plus_k", "framework=batch_top_sampling", "scheduler=constant", "trainer.max_epochs=5"),
    *("data.train_size=20", "data.validation_size=0", "data.batch_size=8", "optimizer.lr=0.01"),
    *("framework.updates=2", "job.repeats=3", "job.top_k=5"),
)


def table() -> BenchmarkTable:
    values = np.random.default_rng(5).random(100)
    return replace(tiny_table(), costs={"proxy/synflow": values})


def classical(*words: str) -> dict[str, Any]:
    return compose_config(
        *("job=n_plus_k", "predictor=gaussian_process", "predictor.restarts=0"),
        *("data.train_size=20", "data.validation_size=0", "job.repeats=3", "job.top_k=5", *words),
    )


def stable(results: dict[str, Any]) -> dict[str, Any]:
    """Without what another process, or the way of computing, changes."""
    changing = ("wall_seconds_mean", "versions", "batched", "config_hash")
    return {name: value for name, value in results.items() if name not in changing}


def test_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = job.run(compose_config(*WORDS), tmp_path, table())
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert (results["labels"], results["repeats"], results["batched"]) == (25, 3, True)
    assert results["settings"] == {"train_size": 20, "top_k": 5}
    with np.load(tmp_path / "curves.npz") as file:
        rows, labels, best = file["rows"], file["labels"], file["best"]
    truth = table().metrics["cifar10/test_accuracy/200"].astype(float).mean(1)
    assert rows.shape == (3, 25)
    assert all(len(set(own)) == 25 for own in rows.tolist()), "a label is bought once"
    for own, label, found in zip(rows, labels, best, strict=True):
        assert found[-1] == pytest.approx(truth[own[label.argmax()]], abs=1e-6)
    assert results["best_found_mean"] == pytest.approx(float(best[:, -1].mean()), abs=1e-6)
    assert results["regret_mean"] == pytest.approx(truth.max() - results["best_found_mean"])
    low, high = results["regret_interval"]
    assert low <= results["regret_mean"] <= high
    assert results["best_true_in_top_k_mean"] <= results["best_true_in_all_mean"]
    # 20 labelled, two updates and the last ranking of at most 4, 4 and 6
    assert 20 <= results["queried_codes"] <= 34
    assert not list(tmp_path.glob("repeats/*"))
    assert "n_plus_k" in capsys.readouterr().out
    assert job.run(compose_config(*WORDS), tmp_path, table()) == results


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("predictor.nsam=true", "predictor.shared_value=false", "predictor.momentum=null"),
        ("data.features=null",),
        ("framework=supervised", "data.drop_last=false"),
        ("framework=supervised", "trainer.gradient_clip_val=0.05"),
        ("framework=fully_top_sampling", "framework.selection_epochs=2"),
        ("predictor=mlp", "predictor.hidden=8"),
        ("predictor=neural_predictor", "predictor.hidden=8", "predictor.dropout=0"),
        (
            "predictor=tnasp",
            "predictor.embedding_dim=8",
            "predictor.dropout=0",
            "predictor.layers=1",
        ),
        ("predictor=mlp", "predictor.hidden=8", "task.loss=hinge"),
    ],
)
def test_all_at_once_is_one_after_another(words: tuple[str, ...], tmp_path: Path) -> None:
    kept: tuple[str, ...] = OTHER if any(word.startswith("predictor=") for word in words) else WORDS
    if "framework=supervised" in words:
        kept = tuple(word for word in kept if not word.startswith("framework."))
    found = {}
    for batched in ("true", "false"):
        config = compose_config(*kept, *words, f"job.batched={batched}", "job.chunk=2")
        folder = tmp_path / batched
        found[batched] = job.run(config, folder, table())
        with np.load(folder / "curves.npz") as file:
            found[batched]["rows"] = file["rows"].tolist()
    assert found["true"].pop("rows") == found["false"].pop("rows")
    for name in ("best_found_mean", "regret_mean", "kendall_tau_mean", "queried_codes", "labels"):
        assert found["true"][name] == pytest.approx(found["false"][name], abs=1e-6), name


def test_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose_config(*WORDS, "job.chunk=1")
    whole = job.run(config, tmp_path / "whole", table())
    fitted: list[int] = []
    fit = Repeated.fit

    def killed(self: Repeated, seeds: list[int]) -> Any:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.extend(seeds)
        return fit(self, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(Repeated, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            job.run(config, tmp_path / "killed", table())
    assert fitted == [0, 1]
    assert not (tmp_path / "killed" / "results.json").exists()

    def counted(self: Repeated, seeds: list[int]) -> Any:
        fitted.extend(seeds)
        return fit(self, seeds)

    monkeypatch.setattr(Repeated, "fit", counted)
    again = job.run(config, tmp_path / "killed", table())
    assert fitted == [0, 1, 2]
    assert stable(again) == stable(whole)


def test_a_run_holds_every_smaller_k(tmp_path: Path) -> None:
    """The top K are evaluated best first: the report reads smaller K from the same run."""
    rows = {}
    for k in (2, 5):
        job.run(compose_config(*WORDS, f"job.top_k={k}"), tmp_path / str(k), table())
        with np.load(tmp_path / str(k) / "curves.npz") as file:
            rows[k] = file["rows"]
    assert rows[5].shape == (3, 25)
    assert rows[2].tolist() == rows[5][:, :22].tolist()


def test_a_repeat_is_the_run_of_its_seed(tmp_path: Path) -> None:
    from nasp_lightning.job.train_predictor import run

    config = compose_config(*WORDS, "seed=1")
    repeated = job.run(config, tmp_path / "many", table())
    assert repeated["seed"] == 1
    alone = run(
        compose_config(*(word for word in WORDS if "job" not in word), "seed=1002"),
        tmp_path / "one",
        table(),
    )
    with np.load(tmp_path / "one" / "predictions.npz") as file:
        train = file["train"]
    with np.load(tmp_path / "many" / "curves.npz") as file:
        assert file["rows"][2, :20].tolist() == train.tolist()
    assert alone["queried_labels"] == 20


def test_classical_predictors_go_one_after_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        results = job.run(classical("job.compile=true"), tmp_path, table())
    assert "one repeat after another: predictor=gaussian_process has no" in caplog.text
    assert (results["batched"], results["compiled"]) == (False, False)
    assert results["kendall_tau_mean"] > 0.5
    assert -1 <= results["kendall_tau_top_tenth_mean"] <= 1
    assert 0 <= results["best_percent_in_top_k_mean"] <= 1
    with np.load(tmp_path / "curves.npz") as file:
        assert len({tuple(rows) for rows in file["rows"].tolist()}) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("job.repeats=0",), r"job\.repeats=0"),
        (("job.repeats=1001",), r"job\.repeats=1001: at most 1000"),
        (("job.top_k=0",), r"job\.top_k=0"),
        (("job.chunk=0",), r"job\.chunk=0"),
        (("job.batched=often",), r"job\.batched=often"),
        (("job.compile=often",), r"job\.compile=often"),
        (("job.compile=true", "job.batched=false"), r"job\.compile=true: job\.batched is false"),
        (("job.compile=true", "trainer.precision=bf16-mixed"), r"job\.compile=true: trainer\.prec"),
        (("job.top_k=81",), r"data\.train_size=20 \+ job\.top_k=81 are 101 labels, but"),
        (("evaluator.budget=24",), r"are 25 labels, more than evaluator\.budget=24"),
        (("framework.initial=21",), r"train_size=20 is below the initial pool"),
        (("data.train_size=1",), r"data\.train_size=1"),
        (("trainer.precision=bf16-mixed", "job.batched=true"), r"job\.batched=true: trainer\.prec"),
    ],
)
def test_mistakes_are_one_sentence(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=message):
        job.run(compose_config(*WORDS, *words), tmp_path, table())
    assert not list(tmp_path.glob("repeats/*"))


def test_what_cannot_be_batched_says_so(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"job\.batched=true: predictor=gaussian_process has no"):
        job.run(classical("job.batched=true"), tmp_path, table())


def test_command_line(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "tiny.csv")
    words = [word for word in WORDS if not word.startswith("data.features")]
    nasp(
        *(*words, "benchmark.source=csv", f"benchmark.path={path}", "benchmark.partial=true"),
        cwd=tmp_path,
    )
    (file,) = tmp_path.glob("runs/*/*/results.json")
    assert json.loads(file.read_text())["config_hash"] == file.parent.name


def test_dropout_is_drawn_by_every_run_and_what_has_no_rule_goes_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("job.batched=true", "predictor=neural_predictor", "predictor.hidden=8")
    results = job.run(compose_config(*OTHER, *words), tmp_path / "dropout", table())
    assert results["batched"] is True
    with caplog.at_level("INFO"):
        config = compose_config(*OTHER, "predictor=nao", "job.repeats=2", "trainer.max_epochs=2")
        results = job.run(config, tmp_path / "lstm", table())
    assert results["batched"] is False
    assert "one repeat after another: NAO cannot be vectorised over runs (" in caplog.text


def test_codes_that_are_not_finite_are_named_in_the_batched_computation(tmp_path: Path) -> None:
    costs = {"proxy/synflow": np.where(np.arange(100) < 97, 0.5, np.nan)}
    words = [word for word in WORDS if not word.startswith("data.features")]
    kept = ("estimation_code=proxy", "estimation_code.missing=keep", "estimation_code.path=null")
    config = compose_config(*(word for word in words if "estimation_code" not in word), *kept)
    with pytest.raises(NaspError, match=r"Estimation Codes of .* hold NaN"):
        job.run(config, tmp_path, replace(tiny_table(), costs=costs))


def test_compiling_steps_is_no_other_run() -> None:
    plain = compose_config(*WORDS)
    assert config_hash(compose_config(*WORDS, "job.compile=true")) == config_hash(plain)
    assert config_hash(compose_config(*WORDS, "job.chunk=7")) != config_hash(plain)

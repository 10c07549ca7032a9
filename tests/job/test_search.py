from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasp_lightning.job.search as job
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import collect
from nasp_lightning.report.regret import summarise_searches
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import config_hash
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.nasbench201 import NASBench201
from tests.job.searches import CLASSICAL, config_of, make_words
from tests.tiny import make_config, nasp, tiny_table, write_csv

EXPERIMENTS = sorted(  # a chain's search stage is another job
    path.stem
    for path in (conf_dir() / "experiment").glob("*_search_*.yaml")
    if not path.stem.endswith("_search_mini")
)


def stable(results: dict[str, Any]) -> dict[str, Any]:
    """Without what another process, or another commit, changes."""
    changing = ("wall_seconds_mean", "versions")
    return {name: value for name, value in results.items() if name not in changing}


@pytest.mark.parametrize("search", ["random", "regularized_evolution"])
def test_results_and_curves(search: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config, table = config_of(search), tiny_table()
    results = job.run(config, tmp_path, table)
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert results["format"] == "nasp_lightning.search/1"
    assert results["config_hash"] == config_hash(config)
    assert (results["search"], results["labels"], results["repeats"]) == (search, 30, 3)
    assert results["predictor"] is None
    test = table.metrics["cifar10/test_accuracy/200"].astype(float).mean(axis=1)
    assert results["best_reachable"] == pytest.approx(test.max())
    with np.load(tmp_path / "curves.npz") as file:
        curves = dict(file)
    assert curves["rows"].shape == curves["regret"].shape == (3, 30)
    for rows, labels, best, regret in zip(
        curves["rows"], curves["labels"], curves["best"], curves["regret"], strict=True
    ):
        for count in (1, 7, 30):
            incumbent = rows[labels[:count].argmax()]
            assert best[count - 1] == pytest.approx(test[incumbent], abs=1e-6)
        np.testing.assert_allclose(regret, test.max() - best, atol=1e-6)
    assert results["regret_mean"] == pytest.approx(curves["regret"][:, -1].mean(), abs=1e-6)
    assert list(results["regret_at"]) == ["10", "20", "30"]
    validation = table.metrics["cifar10/validation_accuracy/200"].astype(float).mean(axis=1)
    floor = test.max() - test[validation.argmax()]
    assert results["regret_of_best_label"] == pytest.approx(floor)
    assert not (tmp_path / "repeats").exists()
    assert (tmp_path / "config.yaml").is_file()
    printed = capsys.readouterr().out
    assert f"{100 * results['best_reachable']:.2f} %" in printed
    assert "3 repeats of 30 labels" in printed


def test_what_is_handed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("predictor=multiview", "predictor.width=8", "search.initial=6", "search.batch=8")
    config, table = config_of("bayesian_optimization", *words), tiny_table()
    results = job.run(config, tmp_path, table)
    with np.load(tmp_path / "curves.npz") as file:
        curves = dict(file)
    test = table.metrics["cifar10/test_accuracy/200"].astype(float).mean(axis=1)
    best = test.max()
    for rows, handed, oracle in zip(
        curves["rows"], curves["recommended"], curves["oracle_regret"], strict=True
    ):
        assert set(handed[-1:]) <= set(rows)
        assert oracle[-1] == pytest.approx(best - test[rows].max(), abs=1e-6)
    last = test[curves["recommended"][:, -1]]
    assert results["recommend"] == "posterior"
    assert results["recommended_regret_mean"] == pytest.approx(best - last.mean(), abs=1e-6)
    assert results["recommended_regret_at"]["30"]["mean"] == results["recommended_regret_mean"]
    assert results["oracle_regret_mean"] <= results["recommended_regret_mean"]
    texts = results["recommended_architectures"]
    assert len(texts) == 3
    assert results["recommended_architecture"] == texts[0]
    codes, _ = NASBench201().from_string(texts[0])
    assert (table.operations[curves["recommended"][0, -1]] == codes).all()
    assert f"recommended by the first repeat: {texts[0]}" in capsys.readouterr().out
    label, handed_over = summarise_searches(collect([tmp_path]).searches)
    assert handed_over.name == f"{label.name}, recommended"
    point = handed_over.at(30)
    assert point is not None
    assert point.regret_mean == pytest.approx(results["recommended_regret_mean"])


@pytest.mark.parametrize(
    "words",
    [
        ("regularized_evolution",),
        ("bayesian_optimization", "predictor=multiview", "predictor.width=8", "search.batch=8"),
    ],
    ids=lambda words: words[0],
)
def test_a_killed_run_goes_on_and_gives_the_same(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config, table = config_of(*words), tiny_table()
    whole = job.run(config, tmp_path / "whole", table)
    begun: list[int] = []
    write = job.write_repeat

    def kill(folder: Path, number: int, key: str, repeat: Any) -> None:
        begun.append(number)
        if len(begun) == 2:
            raise KeyboardInterrupt
        write(folder, number, key, repeat)

    monkeypatch.setattr(job, "write_repeat", kill)
    with pytest.raises(KeyboardInterrupt):
        job.run(config, tmp_path / "cut", table)
    assert not (tmp_path / "cut" / "results.json").exists()
    resumed = job.run(config, tmp_path / "cut", table)
    assert begun == [0, 1, 1, 2]  # the first was kept
    assert stable(resumed) == stable(whole)
    for name in ("rows", "labels", "regret"):
        with (
            np.load(tmp_path / "whole" / "curves.npz") as one,
            np.load(tmp_path / "cut" / "curves.npz") as other,
        ):
            np.testing.assert_array_equal(one[name], other[name])
    assert stable(job.run(config, tmp_path / "cut", table)) == stable(whole)
    assert begun == [0, 1, 1, 2]  # a finished run does nothing


def test_repeats_and_seeds_are_other_draws(tmp_path: Path):
    table = tiny_table()
    rows = []
    for seed in (0, 1):
        job.run(config_of("random", f"seed={seed}"), tmp_path / str(seed), table)
        with np.load(tmp_path / str(seed) / "curves.npz") as file:
            rows += file["rows"].tolist()
    assert len({tuple(row) for row in rows}) == 6


@pytest.mark.parametrize("predictor", [("predictor=tnasp",), CLASSICAL])
def test_ranking_with_any_predictor(predictor: tuple[str, ...], tmp_path: Path):
    small = (
        *("predictor.embedding_dim=8", "predictor.layers=1", "predictor.heads=2"),
        *("predictor.head_dim=4", "predictor.feedforward_dim=8", "predictor.regressor_dim=8"),
    )
    words = (*predictor, *(small if "predictor=tnasp" in predictor else ()))
    config = config_of("ranking", *words, "search.repeats=2", "search.top_k=5")
    results = job.run(config, tmp_path, tiny_table())
    assert results["labels"] == 25  # data.train_size=20
    assert results["predictor"] == predictor[0].partition("=")[2]
    assert results["anytime"] is False
    with np.load(tmp_path / "curves.npz") as file:
        assert all(len(set(rows)) == 25 for rows in file["rows"].tolist())


def test_a_budget_of_n_is_other_but_of_one_family(tmp_path: Path):
    found = []
    for size, seed in ((10, 0), (15, 0), (15, 1)):
        config = config_of(
            "ranking", *CLASSICAL, "search.repeats=1", f"data.train_size={size}", f"seed={seed}"
        )
        found.append(job.run(config, tmp_path / f"{size}_{seed}", tiny_table()))
    assert len({results["family_hash"] for results in found}) == 1
    assert [found[0]["method_hash"] == other["method_hash"] for other in found[1:]] == [False] * 2
    assert found[1]["method_hash"] == found[2]["method_hash"]


@pytest.mark.parametrize("predictor", ["gaussian_process", "bonas"])
def test_bonas_with_what_says_how_sure_it_is(predictor: str, tmp_path: Path):
    words = (f"predictor={predictor}", "search.initial=10", "search.batch=10", "search.repeats=1")
    results = job.run(config_of("bonas", *words), tmp_path, tiny_table())
    assert (results["labels"], results["predictor"]) == (30, predictor)


RIVALS = {
    "local_search": (),
    "npenas": ("search.initial=10", "search.mutants=5"),
    "weaknas": ("search.top=20",),
    "bananas": ("search.candidates=30",),
    "brp_sampling": ("search.rounds=2", "search.top_k=10"),
    "batch_top_sampling": ("search.updates=2", "search.top_k=10"),
}
SMALL_ENSEMBLE = ("predictor=bananas", "predictor.epochs=20", "predictor.layers=3")


@pytest.mark.parametrize("search", RIVALS)
def test_the_searches_of_others_at_equal_cost(search: str, tmp_path: Path):
    words = () if search == "local_search" else SMALL_ENSEMBLE
    config = config_of(search, *words, *RIVALS[search], "search.repeats=2")
    results = job.run(config, tmp_path, tiny_table())
    assert (results["search"], results["labels"], results["repeats"]) == (search, 30, 2)
    assert results["predictor"] == (None if search == "local_search" else "bananas")
    assert results["anytime"] is True
    with np.load(tmp_path / "curves.npz") as file:
        rows, labels = file["rows"], file["labels"]
    assert rows.shape == (2, 30)
    assert all(len(set(found)) == 30 for found in rows.tolist())
    assert labels.max() > np.median(labels)
    again = job.run(config, tmp_path / "again", tiny_table())
    assert stable(again) == stable(results)


@pytest.mark.parametrize("search", ["npenas", "weaknas", "brp_sampling", "batch_top_sampling"])
def test_a_neural_predictor_for_the_searches_of_others(search: str, tmp_path: Path):
    words = ("predictor=mlp", "predictor.hidden=8", *RIVALS[search], "search.repeats=1")
    results = job.run(config_of(search, *words), tmp_path, tiny_table())
    assert (results["labels"], results["predictor"]) == (30, "mlp")


def several_budgets() -> BenchmarkTable:
    """The tiny table, with test accuracies after 12 epochs, the source's only ones there."""
    table = tiny_table()
    early = 0.6 * table.metrics["cifar10/test_accuracy/200"].astype(float).mean(axis=1)
    metrics = {**table.metrics, "cifar10/test_accuracy/12": early[:, None].astype(np.float32)}
    provenance = {**table.provenance, "notes": "At 12 epochs one run."}
    return replace(table, metrics=metrics, provenance=provenance)


@pytest.mark.parametrize("search", ["successive_halving", "hyperband", "dehb"])
def test_labels_at_lower_budgets(
    search: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: Any
):
    table = several_budgets()
    config = config_of(search, "evaluator.fidelities={12:0.1}")
    results = job.run(config, tmp_path, table)
    assert results["fidelities"] == {"12": 0.1}
    assert results["fidelity_metrics"] == {"12": "test_accuracy"}
    assert results["fidelity_notes"] == "At 12 epochs one run."
    full, lower = results["full_labels_mean"], results["fidelity_labels_mean"]["12"]
    assert results["spent_mean"] == pytest.approx(full + 0.1 * lower)
    assert 29 < results["spent_mean"] <= 30 + 1e-9
    with np.load(tmp_path / "curves.npz") as file:
        curves = dict(file)
    assert curves["regret"].shape == (3, 30)
    assert curves["counts"][:, -1].mean() == pytest.approx(full)
    assert (np.isnan(curves["regret"]) == (curves["counts"] == 0)).all()
    assert ((curves["rows"] == -1) == (curves["counts"] == 0)).all()
    assert results["regret_mean"] == pytest.approx(curves["regret"][:, -1].mean(), abs=1e-6)
    printed = capsys.readouterr().out
    assert "label equivalents" in printed
    assert "each test accuracy and 0.1 of a full label" in printed
    assert "At 12 epochs one run." in printed
    assert "labels at 12 are test_accuracy, while full ones are validation_accuracy" in caplog.text
    (method,) = summarise_searches(collect([tmp_path]).searches)
    assert method.name == f"{search} + test accuracy at 12"
    begin = int((curves["counts"] > 0).all(axis=0).argmax())
    assert [point.labels for point in method.points] == list(range(1 + begin, 31))


def test_lower_budgets_change_nothing_of_a_search_that_does_not_know_them(tmp_path: Path):
    table = several_budgets()
    plain = job.run(config_of("random"), tmp_path / "plain", table)
    beside = job.run(config_of("random", "evaluator.fidelities={12:0.1}"), tmp_path / "b", table)
    assert beside["fidelity_labels_mean"] == {"12": 0}
    assert beside["regret_at"] == plain["regret_at"]
    assert "fidelities" not in plain


def test_nsga2_writes_its_fronts(tmp_path: Path):
    pytest.importorskip("pymoo")
    from nasp_lightning.space.nasbench201 import NASBench201, parameter_count

    table = tiny_table()
    parameters = parameter_count(table.operations).astype(np.float64)
    table = replace(table, costs={"parameters": parameters})
    config = config_of("nsga2", "search.population=8", "search.repeats=2")
    job.run(config, tmp_path, table)
    with open(tmp_path / "fronts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["repeat"] for row in rows} == {"0", "1"}
    for row in rows:
        operations, _ = NASBench201().from_string(row["architecture"])
        assert float(row["cost"]) == parameter_count(operations[None])[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("random", "evaluator.budget=20"), r"evaluator.budget=20 is less than the 30 labels"),
        (("random", "search.labels=101"), r"plans 101 labels .* only 100"),
        (("ranking", "evaluator.budget=20"), r"data.train_size=20 \+ search.top_k=20"),
        (("regularized_evolution", "search.population=40"), r"search.population=40 is more than"),
        (("hyperband",), r"evaluator.fidelities=\{\}: Hyperband needs labels at lower training"),
        (("random", "search.repeats=0"), r"search.repeats=0"),
        (("random", "search.repeats=1001"), r"search.repeats=1001: at most 1000"),
        (("random", "seed=-1"), r"seed=-1"),
        (("random", "evaluator.budget=many"), r"evaluator.budget=many"),
        (("random", "+search.speed=3"), r"search: .*speed"),
        (("ranking", "framework=self_evolution"), r"framework=self_evolution asks for labels"),
        (("bonas", "search.initial=10"), r"predictor=tnasp does not say how sure it is"),
        (("bananas",), r"predictor=tnasp does not say how sure it is"),
        (("brp_sampling", "search.top_k=25"), r"5 rounds need at least 10 labels"),
    ],
)
def test_mistakes_are_one_sentence(words: tuple[str, ...], message: str, tmp_path: Path):
    with pytest.raises(NaspError, match=message):
        job.run(config_of(*words), tmp_path, tiny_table())
    assert not list(tmp_path.glob("repeats/*"))


def test_configs_of_predictor_runs_know_nothing_of_searches():
    config = make_config()
    assert not {"search", "evaluator"} & set(config)
    assert config["job"]["_target_"] == "nasp_lightning.job.train_predictor.run"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment: str):
    config = make_words("predictor=gaussian_process", f"+experiment={experiment}")
    assert config["job"]["_target_"] == "nasp_lightning.job.search.run"
    assert config["name"].startswith(experiment)
    strategy = job.make_strategy(RunInfo.of(config).component("search"))
    assert strategy.labels in (40, 200)  # ranking: 20 of the tiny data + 20
    assert job.count_repeats(config["search"]["repeats"]) >= 1


@pytest.mark.parametrize("search", RIVALS)
def test_command_line_of_the_searches_of_others(search: str, tmp_path: Path):
    table = write_csv(tmp_path / "tiny.csv")
    words = () if search == "local_search" else SMALL_ENSEMBLE
    done = nasp(
        *("job=search", f"search={search}", *words, *RIVALS[search], "search.repeats=1"),
        *("benchmark.source=csv", f"benchmark.path={table}", "benchmark.partial=true"),
        "search.labels=30",
        cwd=tmp_path,
    )
    assert f"cifar10: {search}" in done.stdout
    (file,) = tmp_path.glob("runs/*/*/results.json")
    assert json.loads(file.read_text())["labels"] == 30


def test_command_line(tmp_path: Path):
    table = write_csv(tmp_path / "tiny.csv")
    words = (
        *("+experiment=nb201_search_regularized_evolution", "benchmark.source=csv"),
        *(f"benchmark.path={table}", "benchmark.partial=true", "search.labels=20"),
    )
    done = nasp(*words, "search.repeats=2", cwd=tmp_path)
    assert "regularized_evolution" in done.stdout
    (file,) = tmp_path.glob("runs/nb201_search_regularized_evolution/*/results.json")
    assert json.loads(file.read_text())["config_hash"] == file.parent.name
    wrong = nasp(*words, "evaluator.budget=5", cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.strip().splitlines()[-1].startswith("error: evaluator.budget=5")

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.report.__main__ import main
from nasp_lightning.report.collect import collect
from nasp_lightning.report.figure.regret import places
from nasp_lightning.report.regret import regret_csv, summarise_searches
from tests.report.conftest import WriteRun
from tests.report.searches import falling, write_search


def test_seeds_are_put_together(tmp_path: Path):
    first, second = falling(4, 100), falling(6, 200, seed=1)
    write_search(tmp_path / "a", first)
    write_search(tmp_path / "b", second, seed=1)
    (method,) = summarise_searches(collect([tmp_path]).searches)
    assert method.name == "random"
    assert [point.labels for point in method.points] == list(range(1, 201))
    both = np.concatenate([first[:, 49], second[:, 49]])
    point = method.at(50)
    assert point is not None
    assert (point.repeats, method.points[-1].repeats) == (10, 6)
    assert point.regret_mean == pytest.approx(both.mean(), rel=1e-5)
    assert point.error == pytest.approx(both.std(ddof=1) / math.sqrt(10), rel=1e-5)


def test_ranking_is_a_point_for_each_budget(tmp_path: Path):
    ranking = {
        "search": "ranking",
        "predictor": "tnasp",
        "loss": "logistic",
        "anytime": False,
        "settings": {"top_k": 20},
    }
    write_search(tmp_path / "a", falling(2, 50), **ranking)
    write_search(tmp_path / "b", falling(3, 100), **ranking)
    (method,) = summarise_searches(collect([tmp_path]).searches)
    assert method.name == "ranking tnasp (logistic), N+20"
    assert [(point.labels, point.repeats) for point in method.points] == [(50, 2), (100, 3)]


def test_a_predictors_own_recipe_goes_unsaid(tmp_path: Path):
    from nasp_lightning.run.recipe import recipe

    own = {name: setting.value for name, setting in recipe("nasbench201", "brp").items()}
    assert own["trainer.max_epochs"] == 250
    search: dict[str, Any] = {"search": "bonas", "predictor": "brp"}
    write_search(tmp_path / "a", falling(2, 9), variant=own, **search)
    other = {**own, "trainer.max_epochs": 20}
    write_search(tmp_path / "b", falling(2, 9), variant=other, family_hash="e" * 12, **search)
    names = sorted(method.name for method in summarise_searches(collect([tmp_path]).searches))
    assert names == ["bonas brp", "bonas brp, trainer.max_epochs=20"]


def test_methods_of_one_name_are_told_apart(tmp_path: Path):
    write_search(tmp_path / "a", falling(2, 50), family_hash="abcdef123456")
    write_search(tmp_path / "b", falling(2, 50), family_hash="123456abcdef")
    write_search(tmp_path / "c", falling(2, 50), dataset="cifar100")
    methods = summarise_searches(collect([tmp_path]).searches)
    assert [method.name for method in methods] == ["random [123456]", "random [abcdef]", "random"]


def test_csv_has_marks_and_ends(tmp_path: Path):
    write_search(tmp_path / "a", falling(2, 120))
    write_search(tmp_path / "b", falling(1, 60), search="nsga2", family_hash="e" * 12)
    rows = list(
        csv.DictReader(regret_csv(summarise_searches(collect([tmp_path]).searches)).splitlines())
    )
    assert [(row["method"], row["labels"]) for row in rows] == [
        *(("nsga2", "50"), ("nsga2", "60")),
        *(("random", "50"), ("random", "100"), ("random", "120")),
    ]
    assert rows[0]["regret_std"] == ""  # one repeat has none
    assert float(rows[2]["regret_mean"]) == pytest.approx(falling(2, 120)[:, 49].mean(), rel=1e-5)


def test_command_line_writes_table_csv_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("matplotlib")
    write_search(tmp_path / "runs" / "a", falling(3, 200))
    for axes in ([], ["--log"]):
        out = tmp_path / ("log" if axes else "linear")
        files = ["--csv", out / "m.csv", "--plot", out]
        assert main([str(tmp_path / "runs"), *map(str, files), *axes]) == 0
        assert (out / "m.csv").read_text().startswith("method,benchmark,")
        assert {path.suffix for path in out.glob("*_regret.*")} == {".png", ".svg"}
    printed = capsys.readouterr().out
    assert "regret" in printed
    assert "94.37 %" in printed


@pytest.mark.parametrize("logarithmic", [False, True])
def test_marks_of_one_budget_stand_side_by_side(tmp_path: Path, logarithmic: bool):
    for number, name in enumerate("abc"):
        for labels in (50, 100) if name == "a" else (100,):
            write_search(
                tmp_path / f"{name}{labels}",
                falling(3, labels),
                search="ranking",
                predictor=name,
                anytime=False,
                family_hash=str(number) * 12,
            )
    marks = summarise_searches(collect([tmp_path]).searches)
    found_places = {method.name: places(method, marks, logarithmic) for method in marks}
    alone, left = next(found for found in found_places.values() if len(found) == 2)
    (middle,), (right,) = (found for found in found_places.values() if len(found) == 1)
    assert alone == 50  # none beside it
    assert 75 < left < middle < right < 150
    assert middle == pytest.approx(100)


def test_beside_other_runs(write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run()
    write_search(tmp_path / "runs" / "search", falling(3, 200))
    assert main([str(tmp_path), "--csv", str(tmp_path / "out" / "m.csv")]) == 0
    printed = capsys.readouterr().out
    assert "tnasp" in printed
    assert "random" in printed
    assert "Left out" not in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"m.csv", "m_search.csv"}


def test_damaged_searches_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_search(tmp_path / "good", falling(3, 60))
    (write_search(tmp_path / "cut", falling(3, 60)) / "curves.npz").write_bytes(b"PK")
    poor = write_search(tmp_path / "poor", falling(3, 60)) / "results.json"
    content = json.loads(poor.read_text())
    del content["anytime"]
    poor.write_text(json.dumps(content))
    assert main([str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "cut: curves.npz is absent or damaged" in printed
    assert "poor: no anytime" in printed


def test_a_folder_that_is_none_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_search(tmp_path / "good", falling(3, 60))
    assert main([str(tmp_path / "good"), str(tmp_path / "none")]) == 2
    assert "none is no folder" in capsys.readouterr().err


def test_budgets_have_bootstrap_intervals(tmp_path: Path):
    for labels in (50, 130):
        write_search(
            tmp_path / f"n{labels}",
            falling(30, labels),
            search="n_plus_k",
            name="siamese_nsam",
            anytime=False,
            predictor="siamese",
            settings={"train_size": labels - 30, "top_k": 30},
        )
    (method,) = summarise_searches(collect([tmp_path]).searches)
    assert method.name == "siamese_nsam, N+30"
    assert [point.labels for point in method.points] == [50, 130]
    for point in method.points:
        assert point.interval is not None
        low, high = point.interval
        assert low < point.regret_mean < high
        assert high - low == pytest.approx(2 * 1.96 * point.error, rel=0.15)
    rows = list(csv.DictReader(regret_csv([method]).splitlines()))
    assert [float(row["regret_low"]) for row in rows] == [
        point.interval[0] for point in method.points if point.interval
    ]

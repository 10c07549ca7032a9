from __future__ import annotations

import csv
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report.__main__ import main
from nasp_lightning.report.collect import collect
from nasp_lightning.report.n_plus_k import view_runs
from nasp_lightning.report.regret import regret_csv, summarise_searches
from tests.report.searches import falling, write, write_search


def test_a_smaller_k_is_read_from_the_same_run(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", 20, 10), write(tmp_path / "b", 40, 10)
    methods = summarise_searches(view_runs(collect([tmp_path]).searches, [5, 10]))
    assert [method.name for method in methods] == ["siamese, N+10", "siamese, N+5"]
    assert [point.labels for point in methods[1].points] == [25, 45]
    for point, regret in zip(methods[1].points, (first, second), strict=True):
        assert point.regret_mean == pytest.approx(regret[:, point.labels - 1].mean(), rel=1e-5)


def test_runs_that_evaluated_fewer_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a", 20, 10)
    write(tmp_path / "b", 20, 30, family_hash="b" * 12)
    runs = collect([tmp_path]).searches
    (method,) = summarise_searches(view_runs(runs, [20]))
    assert [point.labels for point in method.points] == [40]
    with pytest.raises(NaspError, match="--top-k 31: no run"):
        view_runs(runs, [31])
    with pytest.raises(NaspError, match="--top-k"):
        view_runs(runs, [0])


def test_along_k_each_n_is_a_curve(tmp_path: Path) -> None:
    regret = write(tmp_path / "a", 30, 170)
    write(tmp_path / "b", 60, 5)
    methods = summarise_searches(view_runs(collect([tmp_path]).searches, fixed_n=True))
    assert [method.name for method in methods] == ["siamese, N=30", "siamese, N=60"]
    points = methods[0].points
    assert [point.labels for point in points] == list(range(31, 201))
    assert points[19].regret_mean == pytest.approx(regret[:, 49].mean(), rel=1e-5)
    rows = list(csv.DictReader(regret_csv(methods).splitlines()))
    assert [int(row["labels"]) for row in rows] == [50, 100, 150, 200, 65]


def test_other_searches_stay_as_they_are(tmp_path: Path) -> None:
    write_search(tmp_path / "a", falling(2, 60))
    write(tmp_path / "b", 20, 10, family_hash="b" * 12)
    methods = summarise_searches(view_runs(collect([tmp_path]).searches, [5], fixed_n=True))
    assert [method.name for method in methods] == ["random", "siamese, N=20"]
    assert len(methods[0].points) == 60


def test_repeats_are_counted_once(tmp_path: Path) -> None:
    """20 repeats and then 100 of the same point: the second run holds the first's."""
    write(tmp_path / "few", 20, 10, repeats=3)
    write(tmp_path / "many", 20, 10, repeats=8)
    write(tmp_path / "seed", 20, 10, repeats=2, seed=1)
    (method,) = summarise_searches(view_runs(collect([tmp_path]).searches))
    assert [point.repeats for point in method.points] == [10]


def test_what_codes_cost_is_in_the_csv(tmp_path: Path) -> None:
    write(tmp_path / "a", 20, 10, repeats=3, queried_codes=80.0, code_labels=0.24)
    write(tmp_path / "b", 20, 10, repeats=1, seed=1, queried_codes=84.0, code_labels=0.28)
    write(tmp_path / "c", 60, 10, queried_codes=90.0, code_labels=None)
    rows = list(
        csv.DictReader(regret_csv(summarise_searches(collect([tmp_path]).searches)).splitlines())
    )
    assert [float(row["queried_codes"]) for row in rows] == [81.0, 90.0]
    assert float(rows[0]["code_labels"]) == pytest.approx(0.25)
    assert rows[1]["code_labels"] == ""


def test_the_ranking_is_in_the_csv(tmp_path: Path) -> None:
    interval = {"kendall_tau_interval": [0.4, 0.6]}
    write(tmp_path / "a", 20, 10, repeats=3, kendall_tau_mean=0.5, **interval)
    write(tmp_path / "b", 60, 10, repeats=1, kendall_tau_mean=0.6, **interval)
    write(tmp_path / "c", 60, 10, repeats=3, seed=1, kendall_tau_mean=0.7, **interval)
    rows = list(
        csv.DictReader(regret_csv(summarise_searches(collect([tmp_path]).searches)).splitlines())
    )
    assert [float(row["kendall_tau_mean"]) for row in rows] == pytest.approx([0.5, 0.675])
    assert [row["kendall_tau_low"] for row in rows] == ["0.4", ""]
    assert all(0 <= float(row["found_best"]) <= 1 for row in rows)


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks the names
    write(tmp_path / "runs" / "a", 30, 70)
    runs = str(tmp_path / "runs")
    assert main([runs, "--fixed-n", "--plot", str(tmp_path / "out")]) == 0
    assert "siamese, N=30" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert main([runs, "--top-k", "5", "50"]) == 0
    assert "siamese, N+50" in capsys.readouterr().out
    assert main([runs, "--top-k", "71"]) == 2
    assert "no run of N + K has evaluated so many" in capsys.readouterr().err

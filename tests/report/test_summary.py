from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from nasp_lightning.report import Row, collect_runs, summarise
from nasp_lightning.report.protocol import choose_runs
from nasp_lightning.report.published import of_table
from nasp_lightning.report.row import missing_controls, only_table
from tests.report.conftest import WriteRun, self_evolution


def rows_of(tmp_path: Path, **options) -> list[Row]:
    return summarise(collect_runs([tmp_path]), **options)


def test_mean_and_deviation_over_seeds(write_run: WriteRun, tmp_path: Path):
    taus = [0.70, 0.72, 0.71]
    for seed, tau in enumerate(taus):
        write_run(seed=seed, kendall_tau=tau)
    (row,) = rows_of(tmp_path)
    assert row.scores["kendall_tau"].mean == pytest.approx(0.71)
    assert row.scores["kendall_tau"].deviation == pytest.approx(statistics.stdev(taus))
    assert row.seeds == (0, 1, 2)
    assert row.difference == pytest.approx(0.71 - 0.705)


def test_one_seed_has_no_deviation(write_run: WriteRun, tmp_path: Path):
    write_run(pearson=None)
    (row,) = rows_of(tmp_path)
    assert row.scores["kendall_tau"].deviation is None
    assert "pearson" not in row.scores


def test_first_phase_of_self_evolution_is_a_plain_row(write_run: WriteRun, tmp_path: Path):
    for seed in range(3):
        write_run(seed=seed, **self_evolution(0.6 + seed / 100, kendall_tau=0.8))
    plain, evolved = rows_of(tmp_path)
    assert (plain.method, evolved.method) == ("tnasp", "tnasp + SE")
    assert plain.scores["kendall_tau"].mean == pytest.approx(0.61)
    assert evolved.scores["kendall_tau"].mean == pytest.approx(0.8)
    assert (plain.first_phase_seeds, evolved.first_phase_seeds) == (3, 0)
    assert (plain.queried_labels, evolved.queried_labels) == (424, 624)
    assert plain.published is not None
    assert plain.published.kendall_tau == 0.705


def test_a_plain_run_goes_before_the_first_phase(write_run: WriteRun, tmp_path: Path):
    write_run("evolved0", seed=0, **self_evolution(0.1))
    write_run("evolved1", seed=1, **self_evolution(0.6))
    write_run("plain0", seed=0, kendall_tau=0.5)
    plain = rows_of(tmp_path)[0]
    assert plain.seeds == (0, 1)
    assert plain.first_phase_seeds == 1
    assert plain.scores["kendall_tau"].mean == pytest.approx(0.55)


def test_settings_of_the_framework_do_not_change_its_first_phase(
    write_run: WriteRun, tmp_path: Path
):
    write_run("plain", seed=0)
    write_run("evolved", seed=1, **self_evolution(0.6, variant={"framework.mu": 2.0}))
    plain, evolved = rows_of(tmp_path)
    assert plain.seeds == (0, 1)
    assert evolved.method == "tnasp + SE, framework.mu=2.0"
    assert evolved.reasons == ("changed: framework.mu=2.0",)


def test_the_control_stands_right_under_self_evolution(write_run: WriteRun, tmp_path: Path):
    write_run(loss="logistic")
    write_run(train_on_validation=True, train_labels=624, queried_labels=624)
    write_run(**self_evolution(0.7))
    write_run(variant={"predictor.positional_branch": False})
    write_run(train_size=100)
    assert [(row.split, row.method) for row in rows_of(tmp_path)] == [
        ("100/all", "tnasp"),
        ("424/all", "tnasp"),
        ("424/all", "tnasp + SE"),
        ("424/all", "tnasp, control: n + validation labels"),
        ("424/all", "tnasp, operation branch only"),
        ("424/all", "tnasp (logistic)"),
    ]


def test_missing_controls(write_run: WriteRun, tmp_path: Path):
    write_run(**self_evolution(0.7))
    write_run(**self_evolution(0.7, train_size=100))
    assert [row.split for row in missing_controls(rows_of(tmp_path))] == ["100/all", "424/all"]
    write_run(train_on_validation=True, variant={"data.train_on_validation": True})
    assert [row.split for row in missing_controls(rows_of(tmp_path))] == ["100/all"]
    write_run(train_size=100, train_on_validation=True, validation_size=50)  # another budget
    assert [row.split for row in missing_controls(rows_of(tmp_path))] == ["100/all"]


def test_splits_are_sorted_by_number(write_run: WriteRun, tmp_path: Path):
    for train, test in [(4236, "all"), (424, "all"), (100, "all"), (424, 100), (424, 20)]:
        write_run(train_size=train, test_size=test)
    splits = [row.split for row in rows_of(tmp_path)]
    assert splits == ["100/all", "424/20", "424/100", "424/all", "4236/all"]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "csv"},
        {"dataset": "cifar100"},
        {"partial": True, "space_size": 20001},
        {"train_reduction": "mean"},
        {"test_metric": "validation_accuracy"},
        {"data_hash": "ffff"},
        {"epochs": 36},
        {"top_k": 3},
    ],
)
def test_what_is_measured_otherwise_is_not_averaged(
    write_run: WriteRun, tmp_path: Path, changes: dict
):
    write_run(seed=0)
    write_run(seed=1, **changes)
    rows = rows_of(tmp_path)
    assert [len(row.seeds) for row in rows] == [1, 1]
    names = {(r.benchmark, r.dataset, r.source, r.space_size, r.split, r.method) for r in rows}
    assert len(names) == 2


def test_validation_size_does_not_part_plain_runs(write_run: WriteRun, tmp_path: Path):
    write_run(seed=0, validation_size=200)
    write_run(seed=1, validation_size=50)
    assert [row.seeds for row in rows_of(tmp_path)] == [(0, 1)]


def test_a_seed_counts_once(write_run: WriteRun, tmp_path: Path):
    write_run("a", seed=0, config_hash="one", kendall_tau=0.7)
    again = write_run("b", seed=0, config_hash="two", kendall_tau=0.1)
    kept, problems = choose_runs(collect_runs([tmp_path]))
    assert [run.results.origin.config_hash for run in kept] == ["one"]
    assert [(problem.kind, problem.folder) for problem in problems] == [("repeated", again)]
    assert rows_of(tmp_path)[0].scores["kendall_tau"].mean == 0.7


def test_published_methods_that_were_not_run(write_run: WriteRun, tmp_path: Path):
    write_run()
    rows = rows_of(tmp_path, include_published=True)
    others = [row for row in rows if not row.seeds]
    assert rows[0].seeds == (0,)
    assert {"pinat (logistic)", "nn_former", "tnasp + SE"} <= {row.method for row in others}
    assert {row.split for row in others} == {"424/all"}
    assert all(row.published != rows[0].published for row in others)
    assert all(row.difference is None for row in others)


def test_a_tables_methods_splits_and_controls(write_run: WriteRun, tmp_path: Path):
    write_run(seed=0, **self_evolution(0.6))
    write_run(train_on_validation=True, train_labels=624, queried_labels=624)
    write_run(variant={"predictor.encoder": "gcn"})
    write_run(variant={"predictor.layers": 5})
    write_run(framework="seminas", train_size=50)  # no split of the paper
    write_run(loss="logistic")
    write_run(predictor="mlp")
    write_run(benchmark="nasbench201", framework="seminas", train_size=469)
    write_run(benchmark="nasbench201", loss="logistic", train_size=469)
    rows = rows_of(tmp_path)
    assert names_of(rows, 7) == [
        ("nasbench101", "tnasp"),
        ("nasbench101", "tnasp + SE"),
        ("nasbench101", "tnasp, control: n + validation labels"),
        ("nasbench201", "tnasp + SM"),
    ]
    assert names_of(rows, 6) == [
        ("nasbench101", "tnasp"),
        ("nasbench101", "tnasp, GCN instead of transformer"),
    ]
    everything = rows_of(tmp_path, include_published=True)
    shielded = [name for name in names_of(everything, 5) if name[1].endswith("branch only")]
    assert len(shielded) == 2  # not run


def names_of(rows: list[Row], number: int) -> list[tuple[str, str]]:
    table = of_table(f"TNASP supplementary Table {number}")
    return [(row.benchmark, row.method) for row in only_table(rows, table)]

from __future__ import annotations

from collections import Counter
from importlib import resources

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report import collect_runs
from nasp_lightning.report.collect import Run
from nasp_lightning.report.published import (
    CONFIRMED,
    differences,
    find_published,
    load_published,
    of_table,
    to_csv,
)
from tests.report.conftest import WriteRun, self_evolution


def line(predictor: str, framework: str, loss: str, benchmark: str = "nasbench101") -> list[float]:
    """The numbers of one method's row in a paper's table, in the order of the splits."""
    found = [
        row
        for row in load_published()
        if (row.benchmark, row.predictor, row.framework, row.loss, row.variant)
        == (benchmark, predictor, framework, loss, "")
    ]
    found.sort(key=lambda row: (row.train_size, row.test_size))  # "100" before "all"
    return [row.kendall_tau for row in found]


def test_numbers_of_the_papers():
    """Typed from the tables a second time, so that a slip in the file shows."""
    assert line("tnasp", "supervised", "mse") == [0.600, 0.669, 0.752, 0.705, 0.820]
    assert line("tnasp", "self_evolution", "mse") == [0.613, 0.671, 0.754, 0.722, 0.820]
    assert line("tnasp", "seminas", "mse") == [0.595, 0.666, 0.750, 0.718, 0.820]
    assert line("tnasp", "supervised", "logistic") == [0.676, 0.691, 0.791, 0.747, 0.824]
    assert line("tnasp", "supervised", "hinge") == [0.655, 0.680, 0.789, 0.740, 0.819]
    assert line("pinat", "supervised", "mse") == [0.679, 0.715, 0.801, 0.772, 0.846]
    assert line("pinat", "supervised", "logistic") == [0.717, 0.764, 0.820, 0.812, 0.854]
    assert line("neural_predictor", "self_evolution", "mse") == [0.458, 0.577, 0.713, 0.684, 0.773]
    assert line("nao", "self_evolution", "") == [0.564, 0.624, 0.732, 0.680, 0.787]
    assert line("nn_former", "supervised", "") == [0.709, 0.765, 0.809, 0.877]
    nb201 = "nasbench201"
    assert line("tnasp", "supervised", "mse", nb201) == [0.539, 0.589, 0.640, 0.689, 0.724]
    assert line("pinat", "supervised", "mse", nb201) == [0.549, 0.631, 0.706, 0.761, 0.784]
    assert line("nn_former", "supervised", "", nb201) == [0.804, 0.860, 0.879, 0.890]
    assert line("hyper_nas", "supervised", "", nb201) == [0.677, 0.765, 0.836]


def test_file_is_sound():
    rows = load_published()
    keys = Counter(
        (r.benchmark, r.train_size, r.test_size, r.predictor, r.framework, r.loss, r.variant)
        for r in rows
    )
    assert max(keys.values()) == 1
    for row in rows:
        assert -1 < row.kendall_tau < 1
        assert row.source
        assert row.confirmed in CONFIRMED
        labels = (row.train_metric, row.train_reduction, row.test_metric, row.test_reduction)
        assert all(labels) or not any(labels)
        assert row.space_size == {"nasbench101": 423624, "nasbench201": 15625}[row.benchmark]
    unconfirmed = {row.predictor for row in rows if row.confirmed != "yes"}
    assert unconfirmed == {"nar_former", "nar_former_v2", "nn_former", "hyper_nas"}
    selected = {(row.predictor, row.selection_labels) for row in rows if row.selection_labels}
    assert selected == {("nar_former", 200), ("nn_former", 1024)}


def read(write_run: WriteRun, **changes) -> Run:
    return collect_runs([write_run(**changes)])[0]


def test_the_published_protocol_is_comparable(write_run: WriteRun):
    run = read(write_run)
    row = find_published(run, load_published())
    assert row is not None
    assert row.kendall_tau == 0.705
    assert differences(run, row) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"partial": True, "space_size": 20001}, "20,001 of 423,624 architectures"),
        ({"space_size": 400000}, "400,000 of 423,624 architectures"),
        ({"test_metric": "validation_accuracy"}, "tested on validation accuracy (mean), published"),
        ({"train_reduction": "mean"}, "trained on validation accuracy (mean), published"),
        ({"test_reduction": "single"}, "tested on test accuracy (single), published"),
        ({"source": "csv"}, "source csv"),
        ({"epochs": 36}, "labels after 36 epochs, published 108"),
        ({"dataset": "cifar100"}, "dataset cifar100, published cifar10"),
        ({"variant": {"predictor.heads": 8}}, "changed: predictor.heads=8"),
        (self_evolution(0.7, validation_size=50), "validation set of 50, published 200"),
        (
            {"predictor": "pinat", "selection_labels": 200},
            "selected on 200 further labels, published 0",
        ),
    ],
)
def test_another_protocol_is_not(write_run: WriteRun, changes: dict, reason: str):
    run = read(write_run, **changes)
    row = find_published(run, load_published())
    assert row is not None
    (found,) = differences(run, row)
    assert found.startswith(reason)


def test_ablation_is_compared_with_its_own_row(write_run: WriteRun):
    run = read(write_run, variant={"predictor.positional_branch": False})
    row = find_published(run, load_published())
    assert row is not None
    assert row.kendall_tau == 0.426
    assert differences(run, row) == ()


def test_rows_without_stated_labels_are_for_orientation(write_run: WriteRun):
    run = read(write_run, predictor="nn_former", loss="mse")
    row = find_published(run, load_published())
    assert row is not None
    assert differences(run, row) == ("the published row's labels are not stated",)


@pytest.mark.parametrize(
    "changes",
    [
        {"train_on_validation": True},
        {"loss": "huber"},
        {"predictor": "mine"},
        {"train_size": 425},
        {"framework": "mine"},
        {"benchmark": "macro"},
        # published on NAS-Bench-101 alone: the number of the whole TNASP is not its own
        {
            "benchmark": "nasbench201",
            "train_size": 156,
            "variant": {"predictor.positional_branch": False},
        },
    ],
)
def test_nothing_published(write_run: WriteRun, changes: dict):
    assert find_published(read(write_run, **changes), load_published()) is None


def test_tables_of_tnasp():
    """The three tables whole: methods times splits."""
    tables = {number: of_table(f"TNASP supplementary Table {number}") for number in (5, 6, 7)}
    assert {number: len(rows) for number, rows in tables.items()} == {5: 15, 6: 15, 7: 45}
    assert all(row.confirmed == "yes" for rows in tables.values() for row in rows)
    alone = {
        number: sorted(row.kendall_tau for row in tables[number] if row.variant)
        for number in (5, 6)
    }
    assert alone[5] == alone[6]  # as printed: one of the two is a copy
    assert all("Table" in row.note for row in (*tables[5], *tables[6]) if row.variant)
    assert of_table(None) == load_published()
    with pytest.raises(NaspError, match=r"choose one of .*PINAT Table 1"):
        of_table("TNASP Table 99")


def test_csv_is_the_packages_form():
    text = resources.files("nasp_lightning.report").joinpath("published.csv").read_text("utf-8")
    assert to_csv(load_published()) == text

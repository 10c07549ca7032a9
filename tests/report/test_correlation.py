from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.report import correlation
from nasp_lightning.report.correlation import Values, correlate, distribution, main, read_values

NAME = ("spikenas", "cifar10", "csv")


def values(count: int = 400, seed: int = 0) -> Values:
    generator = np.random.default_rng(seed)
    accuracy = 0.5 + 0.4 * generator.random(count)
    good = np.where(accuracy > 0.7, generator.random(count), accuracy - 1)
    return Values(NAME, "cifar10/test_accuracy/200", accuracy, {"same": accuracy, "half": good})


def table(**changes: object) -> BenchmarkTable:
    generator = np.random.default_rng(1)
    accuracy = generator.random((40, 2)).astype(np.float32)
    losses = np.stack([2.5 - accuracy * share for share in (0.1, 0.5, 1.0)], axis=-1)
    given: dict[str, object] = {
        "space": "spikenas",
        "operations": np.zeros((40, 6), dtype=np.uint8),
        "metrics": {
            "cifar10/test_accuracy/12": accuracy[:, :1] / 2,
            "cifar10/test_accuracy/200": accuracy,
            "cifar10/validation_accuracy/400": accuracy / 3,
        },
        "costs": {"flops": np.arange(40.0), "proxy/synflow": -np.arange(40.0)},
        "curves": {"cifar10/train_loss/3": losses.astype(np.float32)},
        "provenance": {"source": "csv"},
        **changes,
    }
    return BenchmarkTable(**given)  # type: ignore[arg-type]


def given(found: BenchmarkTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "load_benchmark", lambda name, **options: found)


def test_each_column_in_each_group() -> None:
    rows = {(row.column, row.group): row for row in correlate(values())}
    assert set(rows) == {(name, share) for name in ("same", "half") for share in (1, 0.5, 0.1)}
    assert rows["same", 1].kendall_tau == pytest.approx(1)
    assert rows["same", 0.5].architectures == 200
    assert rows["same", 1].regret == 0
    assert rows["half", 1].kendall_tau > 0.4
    assert abs(rows["half", 0.1].kendall_tau) < 0.3, "it tells nothing above an accuracy of 0.7"
    assert rows["half", 0.1].tau_low < 0 < rows["half", 0.1].tau_high


def test_what_is_not_known_is_left_out() -> None:
    whole = values()
    some = np.where(np.arange(400) < 100, whole.accuracy, np.nan)
    rows = correlate(Values(NAME, "m", whole.accuracy, {"some": some}))
    assert [row.architectures for row in rows] == [100, 50]  # 10 would be too few
    assert not correlate(Values(NAME, "m", whole.accuracy, {"none": some * np.nan}))


def test_intervals_of_accuracy() -> None:
    accuracy = np.array([0.1, 0.2, 0.3, 0.9])
    column = np.array([0.0, 1.0, 6.9, 7.0])
    rows = distribution(Values(NAME, "m", accuracy, {"flops": column}))
    assert [(row.low, row.architectures) for row in rows] == [(0, 1), (1, 1), (6, 2)]
    assert rows[-1].median == pytest.approx(0.6)
    assert (rows[-1].lowest, rows[-1].best) == (0.3, 0.9)


def test_a_benchmark_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = table()
    given(found, monkeypatch)
    read = read_values("spikenas/csv/cifar10", ["losses", "flops", "synflow"])
    assert read.metric == "cifar10/test_accuracy/200"
    assert read.accuracy == pytest.approx(found.metrics[read.metric].mean(axis=1))
    assert list(read.columns) == ["loss_1", "loss_2", "loss_3", "loss_mean", "flops", "synflow"]
    assert read.columns["loss_3"] == pytest.approx(read.accuracy - 2.5), "minus the loss"
    assert read.columns["synflow"].tolist() == [-float(row) for row in range(40)]


def test_a_short_training_of_its_own_is_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = np.full((40, 1, 3), 7, dtype=np.float32)
    given(table(curves={**table().curves, "cifar10-code/train_loss/3": curve}), monkeypatch)
    assert set(read_values("tinynano", ["losses"]).columns["loss_1"]) == {-7.0}


def test_what_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NaspError, match="no benchmark 'nothing'"):
        read_values("nothing", ["losses"])
    given(table(), monkeypatch)
    with pytest.raises(NaspError, match=r"no accuracy of 'cifar100': choose cifar10"):
        read_values("spikenas/csv/cifar100", ["losses"])
    with pytest.raises(NaspError, match="colour"):
        read_values("spikenas/csv", ["colour"])
    given(table(curves={}), monkeypatch)
    with pytest.raises(NaspError, match="no training losses of cifar10"):
        read_values("spikenas/csv", ["losses"])


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    given(table(), monkeypatch)
    files = ["--csv", "m.csv", "--bins", "bins.csv", "--plot", "."]
    monkeypatch.chdir(tmp_path)
    assert main(["spikenas/csv", "--columns", "losses", "flops", *files]) == 0
    assert "Kendall's tau with cifar10/test_accuracy/200" in " ".join(
        capsys.readouterr().out.split()
    )
    rows = list(csv.DictReader(Path("m.csv").read_text().splitlines()))
    assert {row["column"] for row in rows} == {
        *("loss_1", "loss_2", "loss_3", "loss_mean", "flops")
    }
    assert rows[0].keys() == set(correlation.FIELDS)
    assert len(Path("bins.csv").read_text().splitlines()) > 10
    assert {path.suffix for path in tmp_path.glob("spikenas_cifar10_csv_*.*")} == {".png", ".svg"}
    assert main(["spikenas/csv/svhn"]) == 2
    assert "no accuracy of 'svhn'" in capsys.readouterr().err

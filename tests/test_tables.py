"""The run.sh of TNASP's experiments: what they sweep exists, published.csv is the package's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nasp_lightning.report.published import of_table, to_csv
from nasp_lightning.shipped import conf_dir
from tests.commands import ROOT, answer, run, word

TABLES = sorted(path.parent for path in ROOT.glob("experiments/tnasp_table*/run.sh"))


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_everything_that_is_swept_exists(table: Path, calls: Path) -> None:
    status, found = run(table, calls)
    assert status == 0
    *sweeps, report = found
    experiments = {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}
    splits = {path.stem for path in (conf_dir() / "split").glob("*.yaml")}
    for call in sweeps:
        assert call[:3] == ["-m", "nasp_lightning", "-m"]
        assert word(call, "+experiment") in experiments
        assert set(word(call, "+split").split(",")) <= splits
    seeds = {(call[3], word(call, "+split")): word(call, "seed") for call in sweeps}
    assert len(seeds) >= 3 * 2 * 2  # methods, benchmarks, small and large splits
    assert {value for (_, split), value in seeds.items() if "4236" in split} == {"0"}
    assert {value for (_, split), value in seeds.items() if "100_all" in split} == {"0,1,2,3,4"}
    assert report[:2] == ["-m", "nasp_lightning.report"]
    assert {"--csv", "--markdown", "--plot", "--published"} < set(report)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_published_numbers_are_the_packages(table: Path) -> None:
    script = (table / "run.sh").read_text(encoding="utf-8")
    found = re.search(r'run_table "([^"]+)"', script)
    assert found is not None
    expected = to_csv(of_table(found[1]))
    assert (table / "published.csv").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("benchmark", ["nb101", "nb201"])
def test_tnasp_runs_with_both_losses_and_beside_its_control(benchmark: str, calls: Path) -> None:
    folder = ROOT / "experiments" / f"tnasp_nasbench{benchmark.removeprefix('nb')}"
    status, found = run(folder, calls)
    assert status == 0
    *sweeps, report = found
    small = [call for call in sweeps if word(call, "seed") == "0,1,2,3,4"]
    assert [(word(call, "+experiment"), word(call, "task.loss")) for call in small] == [
        (f"{benchmark}_{experiment}", loss)
        for loss in ("mse", "logistic")
        for experiment in ("tnasp_se", "tnasp")
    ]
    for call in sweeps:
        control = "data.train_on_validation=true" in call
        assert control == (word(call, "+experiment") == f"{benchmark}_tnasp")
    assert "--published" not in report


def test_the_environment_chooses(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "nb101_tnasp_gcn").mkdir(parents=True)
    chosen = {"RUNS": "mine", "FILE": "a.tfrecord", "PARTIAL": "true", "SEEDS": "range(0,2)"}
    words = "trainer.max_epochs=2 threads=1"
    (table,) = (path for path in TABLES if "table6" in path.name)
    status, found = run(table, calls, **chosen, SPLITS="100_all", BENCHMARKS="nb101", WORDS=words)
    assert status == 0
    *sweeps, report = found
    assert [word(call, "+experiment") for call in sweeps] == [
        "nb101_tnasp_mlp",
        "nb101_tnasp_gcn",
        "nb101_tnasp",
    ]
    for call in sweeps:
        assert call[4:] == [
            *("benchmark.partial=true", "benchmark.path=a.tfrecord", "paths.runs=mine"),
            *("+split=100_all", "seed=range(0,2)", "trainer.max_epochs=2", "threads=1"),
        ]
    assert report[2:4] == ["mine/nb101_tnasp_gcn", "--table"]  # only folders that are there


def test_a_failed_sweep_stops_no_other_and_is_told(calls: Path, tmp_path: Path) -> None:
    answer('case "$*" in *gcn*) exit 1 ;; esac\n', tmp_path)
    (table,) = (path for path in TABLES if "table6" in path.name)
    status, found = run(table, calls)
    assert status == 1
    assert len(found) == 3 * 2 * 2 + 1


def test_an_interrupted_sweep_ends_all(calls: Path, tmp_path: Path) -> None:
    answer("exit 130\n", tmp_path)
    status, found = run(TABLES[0], calls)
    assert status == 130
    assert len(found) == 1

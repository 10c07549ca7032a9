from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report import collect_runs
from nasp_lightning.report.collect import Problem, collect, describe_problems
from tests.report.conftest import WriteRun, make_results


def test_runs_are_found_at_any_depth(write_run: WriteRun, tmp_path: Path):
    write_run("sweep/nb101/aaa", seed=0)
    run = write_run("sweep/nb101/bbb", seed=1)
    deep = write_run("old/2024/x/ccc", seed=2)
    assert {run.seed for run in collect_runs([tmp_path])} == {0, 1, 2}
    assert [found.seed for found in collect_runs([run])] == [1]
    assert [found.seed for found in collect_runs([deep / "results.json"])] == [2]
    assert len(collect_runs([tmp_path, run, tmp_path / "runs"])) == 3


def test_fields_are_read(write_run: WriteRun):
    folder = write_run(test_size=100, kendall_tau=0.75, variant={"a.b": 1}, pearson=None)
    (run,) = collect_runs([folder])
    results = run.results
    assert (run.folder, run.test_size, results.train_size) == (folder, "100", 424)
    assert results.scores.kendall_tau == 0.75
    assert results.scores.pearson is None
    assert results.variant == {"a.b": 1}
    assert results.scores.top_k == 10
    (run,) = collect_runs([write_run("word", epochs="final", seed=5)])
    assert run.results.source.epochs == "final"  # a benchmark that does not count them


def test_same_configuration_and_seed_counts_once(write_run: WriteRun, tmp_path: Path):
    first = write_run("a", seed=3)
    shutil.copytree(first, tmp_path / "runs" / "copy")
    write_run("c", seed=4)
    assert sorted(run.seed for run in collect_runs([tmp_path])) == [3, 4]


def damage(content: dict) -> dict[str, str]:
    """Damaged files by what the report says of them."""
    without = {key: value for key, value in content.items() if key != "train_labels"}
    return {
        "not JSON": json.dumps(content)[:200],
        "not a JSON object": "[1, 2]",
        "format 'other/2'": json.dumps({**content, "format": "other/2"}),
        "no train_labels": json.dumps(without),
        "phases.supervised is '3'": json.dumps({**content, "phases": {"supervised": 3}}),
        "kendall_tau is 'None'": json.dumps({**content, "kendall_tau": None}),
        "seed is '0'": json.dumps({**content, "seed": "0"}),
        "epochs is 'True'": json.dumps({**content, "epochs": True}),
        "epochs is 'None'": json.dumps({**content, "epochs": None}),
        "train_size is 'True'": json.dumps({**content, "train_size": True}),
        "test_size is 'some'": json.dumps({**content, "test_size": "some"}),
        "variant is '[1]'": json.dumps({**content, "variant": [1]}),
    }


@pytest.mark.parametrize("reason", damage({}))
def test_damaged_results_are_named_and_left_out(write_run: WriteRun, tmp_path: Path, reason: str):
    write_run("good")
    bad = write_run("bad", seed=1)
    (bad / "results.json").write_text(damage(make_results(seed=1))[reason])
    found = collect([tmp_path])
    assert [run.seed for run in found.runs] == [0]
    (problem,) = found.problems
    assert (problem.kind, problem.folder) == ("damaged", bad)
    assert reason in problem.reason


def test_results_of_another_job_are_not_called_damaged(write_run: WriteRun, tmp_path: Path):
    write_run("good")
    other = tmp_path / "runs" / "network"
    other.mkdir(parents=True)
    (other / "results.json").write_text(json.dumps({"format": "nasp_lightning.network_run/1"}))
    (problem,) = collect([tmp_path]).problems
    assert (problem.kind, problem.folder) == ("of another job", other)


def test_bytes_that_are_no_text_are_damaged(write_run: WriteRun, tmp_path: Path):
    write_run("good")
    (write_run("bad") / "results.json").write_bytes(b"\xff\xfe\x00{")
    assert [problem.kind for problem in collect([tmp_path]).problems] == ["damaged"]


def test_unfinished_runs_are_named(write_run: WriteRun, tmp_path: Path):
    write_run("done")
    (write_run("cut") / "results.json").unlink()
    assert collect([tmp_path]).problems == [Problem("unfinished", tmp_path / "runs" / "cut")]


def test_nothing_to_report(write_run: WriteRun, tmp_path: Path):
    with pytest.raises(NaspError, match=r"no finished run in .*results\.json"):
        collect_runs([tmp_path])
    (write_run("cut") / "results.json").unlink()
    with pytest.raises(NaspError, match="1 unfinished"):
        collect_runs([tmp_path])
    with pytest.raises(NaspError, match="absent is no folder"):
        collect_runs([tmp_path / "absent"])


def test_many_problems_stay_one_line():
    problems = [Problem("unfinished", Path(f"run{index}")) for index in range(30)]
    text = describe_problems([*problems, Problem("damaged", Path("x"), "not JSON")], most=2)
    assert text == "30 unfinished (run0; run1; and 28 more), 1 damaged (x: not JSON)"

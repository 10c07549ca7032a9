from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.subnets import load_table
from nasp_lightning.error import NaspError
from nasp_lightning.job import label_subnets as job
from nasp_lightning.record.build import read_build
from nasp_lightning.run.compose import register_resolvers
from tests.evaluator.fake_images import SPACE, supernet_file


def config_of(folder: Path, **words: Any) -> dict[str, Any]:
    from nasp_lightning.run.compose import compose_config

    register_resolvers()
    config = compose_config(["job=label_subnets", "space=mobilenet_mini", "job.device=cpu"])
    config["space"] = SPACE
    config["data"] = {"_target_": "tests.evaluator.fake_images.FakeImages"}
    config["job"].update(subnets=7, supernet=str(supernet_file(folder, 5)))
    config["job"]["calibration"].update(batches=1, batch_size=24)
    config["job"].update(words)
    return config


def test_labels_are_a_table_like_any_other(tmp_path: Path):
    config = config_of(tmp_path)
    config["paths"]["chain"] = str(tmp_path / "chain")
    results = job.run(config, tmp_path / "run")
    left = json.loads((tmp_path / "chain" / "sample.json").read_text())
    assert left == {"path": str(tmp_path / "run" / "subnets.json.gz")}
    table = load_table(left["path"], SPACE)
    assert len(table) == results["subnets"] == 7
    assert len(np.unique(table.operations, axis=0)) == 7
    accuracy = table.metric("fake/validation_accuracy/supernet")
    assert results["accuracy_best"] == pytest.approx(float(accuracy.max()))
    assert set(table.costs) == {"parameters", "flops", "fake/train_seconds/supernet"}
    assert table.space == "mobilenet"
    folder = load_table(tmp_path / "run" / "records")  # as good as the packed file
    np.testing.assert_array_equal(folder.operations, table.operations)


def test_a_killed_run_goes_on_with_the_next_subnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = config_of(tmp_path)
    whole = job.run(config, tmp_path / "whole")
    labelled: list[int] = []
    real = job.label

    def kill(evaluator: Any, task: Any) -> Any:
        if len(labelled) == 3:
            raise KeyboardInterrupt
        labelled.append(task[0])
        return real(evaluator, task)

    monkeypatch.setattr(job, "label", kill)
    with pytest.raises(KeyboardInterrupt):
        job.run(config, tmp_path / "cut")
    assert not (tmp_path / "cut" / "results.json").exists()
    monkeypatch.setattr(job, "label", real)
    resumed = job.run(config, tmp_path / "cut")
    assert labelled == [0, 1, 2]
    for name in ("accuracy_mean", "accuracy_std", "accuracy_best"):
        assert resumed[name] == whole[name]
    one, other = (read_build(tmp_path / name / "subnets.json.gz") for name in ("whole", "cut"))
    without = [
        {key: {**record, "seconds": 0} for key, record in build.records.items()}
        for build in (one, other)
    ]
    assert without[0] == without[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"supernet": None}, r"job.supernet=null: the stage before, supernet, has left nothing"),
        ({"supernet": "/nowhere/network.safetensors"}, "there is no such file or folder"),
        ({"subnets": 1}, "job.subnets=1"),
        ({"device": "abacus"}, "job.device=abacus"),
    ],
)
def test_mistakes_are_one_sentence(change: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(NaspError, match=message):
        job.run(config_of(tmp_path, **change), tmp_path / "run")


def test_other_images_than_the_supernets(tmp_path: Path):
    config = config_of(tmp_path)
    config["data"]["held_out"] = 12
    with pytest.raises(NaspError, match=r"data.held_out: the supernet .* held_out_images 24.* 12"):
        job.run(config, tmp_path / "run")


def test_a_supernet_of_another_space(tmp_path: Path):
    config = config_of(tmp_path)
    config["space"] = {**SPACE, "widths": [4, 16]}
    with pytest.raises(NaspError, match=r"space.widths"):
        job.run(config, tmp_path / "run")


def test_records_of_another_supernet_are_not_mixed(tmp_path: Path):
    config = config_of(tmp_path, path=str(tmp_path / "records"))
    job.run(config, tmp_path / "one")
    (tmp_path / "other").mkdir()
    config["job"]["supernet"] = str(supernet_file(tmp_path / "other", 6))
    with pytest.raises(NaspError, match="holds records of another training"):
        job.run(config, tmp_path / "two")

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.subnets import load_table
from nasp_lightning.error import NaspError
from nasp_lightning.record.build import Build, pack
from nasp_lightning.space.darts import Darts

DARTS = {"_target_": "nasp_lightning.space.darts.Darts"}


def write(path: Path, count: int = 4, benchmark: str = "subnets", **identity: Any) -> Path:
    operations, adjacency = Darts().sample(np.random.default_rng(0), max(count, 1))
    records = {
        f"{number:024d}": {
            "number": count - 1 - number,  # drawn in another order than the keys'
            "operations": operations[number].tolist(),
            "adjacency": adjacency[number].tolist(),
            "accuracy": 0.1 * number,
            "parameters": 1000 + number,
            "flops": 2000 + number,
            "seconds": 0.5,
        }
        for number in range(count)
    }
    manifest = {
        "format": "nasp_lightning.build/1",
        "benchmark": benchmark,
        "dataset": "cifar10",
        "fidelity": "supernet",
        "identity": {"version": 1, "space": DARTS, "data": {}, **identity},
    }
    pack(Build(manifest, records), path)
    return path


def test_rows_are_in_the_order_of_the_draw(tmp_path: Path):
    table = load_table(write(tmp_path / "subnets.json.gz"), {**DARTS, "encoding": "graph"})
    values = table.metric("cifar10/validation_accuracy/supernet")[:, 0]
    np.testing.assert_allclose(values, [0.3, 0.2, 0.1, 0.0], atol=1e-7)
    assert table.costs["flops"].tolist() == [2003, 2002, 2001, 2000]
    Darts().validate(table.operations, table.adjacency)
    assert bytes(table.keys[0]) == bytes(Darts().key(table.operations[0], table.adjacency[0]))


def test_bad_files_are_one_sentence(tmp_path: Path):
    with pytest.raises(NaspError, match=r"benchmark.path=null: no subnets were labelled here"):
        load_table()
    with pytest.raises(NaspError, match="does not exist"):
        load_table(tmp_path / "absent.json.gz")
    with pytest.raises(NaspError, match="no finished record yet"):
        load_table(write(tmp_path / "empty.json.gz", 0))
    with pytest.raises(NaspError, match="holds tinynano, no labelled subnets"):
        load_table(write(tmp_path / "other.json.gz", benchmark="tinynano"))
    with pytest.raises(NaspError, match=r"another space: _target_ is .*Darts there"):
        load_table(
            write(tmp_path / "space.json.gz"),
            {"_target_": "nasp_lightning.space.mobilenet.MobileNet"},
        )
    (tmp_path / "cut.json.gz").write_bytes((tmp_path / "space.json.gz").read_bytes()[:50])
    with pytest.raises(NaspError, match="no packed build, or damaged"):
        load_table(tmp_path / "cut.json.gz")

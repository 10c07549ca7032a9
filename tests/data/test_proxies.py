from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.csv import read_columns
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.proxies import extra_inputs, proxy_costs, without_dead_operations
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench201 import NASBench201, from_index, index_of
from tests.tiny import space, tiny_table

COLUMNS = list(read_columns("zero_cost_proxies")["costs"].values())


def write_proxies(path: Path, operations: Any) -> Path:
    """A file in the real format; every value is the cell's index."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["net_str", *COLUMNS])
        for codes in operations:
            value = float(index_of(codes[None])[0])
            writer.writerow([NASBench201().to_string(codes), *[value] * len(COLUMNS)])
    return path


def test_values_are_joined_by_architecture(tmp_path: Path) -> None:
    table = tiny_table(60)
    path = write_proxies(tmp_path / "proxies.csv", table.operations[::-1])
    _, costs = proxy_costs(table, path)
    np.testing.assert_array_equal(costs["proxy/nwot"], index_of(table.operations))
    inputs = extra_inputs(table, ["nwot"], path)
    assert inputs.shape == (60, 1)
    assert (np.diff(inputs[:, 0]) > 0).all()
    assert abs(inputs.mean()) < 1e-6
    assert inputs.std() == pytest.approx(1, abs=0.05)


def test_cells_with_dead_operations_have_the_values_of_the_same_network(tmp_path: Path) -> None:
    dead = np.array([[0, 3, 4, 1, 2, 2]], np.uint8)  # nothing feeds node 1
    same = np.array([[0, 3, 0, 1, 0, 2]], np.uint8)
    table = replace(tiny_table(1), operations=dead, metrics={})
    np.testing.assert_array_equal(without_dead_operations(table), same)
    path = write_proxies(tmp_path / "proxies.csv", same)
    assert proxy_costs(table, path)[1]["proxy/snip"][0] == index_of(same)[0]


def test_a_partial_file_says_how_many_lack(tmp_path: Path) -> None:
    table = tiny_table(50)
    keep = without_dead_operations(table)[:20]
    path = write_proxies(tmp_path / "some.csv", np.unique(keep, axis=0))
    with pytest.raises(NaspError, match=r"\d+ of the 50 architectures have no 'synflow' in some"):
        extra_inputs(table, ["synflow"], path)


def test_the_tables_own_costs_come_first() -> None:
    table = replace(tiny_table(10), costs={"parameters": np.arange(10.0)[::-1]})
    inputs = extra_inputs(table, ["parameters"])
    assert (np.diff(inputs[:, 0]) < 0).all()


def test_mistakes(tmp_path: Path) -> None:
    table = replace(tiny_table(10), costs={"parameters": np.arange(10.0)})
    path = write_proxies(tmp_path / "p.csv", from_index(np.arange(5)))
    with pytest.raises(NaspError, match="no 'foo'; it has epe_nas, fisher"):
        extra_inputs(table, ["foo"], path)
    with pytest.raises(NaspError, match=r"set data.proxies to a CSV"):
        extra_inputs(table, ["synflow"])
    with pytest.raises(NaspError, match="there is no such file"):
        extra_inputs(table, ["synflow"], tmp_path / "absent.csv")
    for wrong in ("synflow", [], [1]):
        with pytest.raises(NaspError, match="write a list of names"):
            extra_inputs(table, wrong, path)  # type: ignore[arg-type]
    with pytest.raises(NaspError, match="twice"):
        extra_inputs(table, ["nwot", "nwot"], path)


def test_data_carries_them(tmp_path: Path) -> None:
    table = tiny_table(60)
    path = write_proxies(tmp_path / "proxies.csv", table.operations)
    data = ArchitectureData(
        table,
        space(),
        train_size=20,
        validation_size=0,
        features=["nwot", "snip"],
        proxies=path,
    )
    assert data.shape.features == 2
    assert data.shape == replace(space().shape, features=2)
    batch = next(iter(data.train_dataloader()))
    assert batch.graphs.features is not None
    assert batch.graphs.features.shape == (10, 2)
    plain = ArchitectureData(table, space(), train_size=20, validation_size=0)
    assert plain.shape == space().shape
    assert plain.graphs.features is None


def test_the_shipped_proxies_cover_the_space(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASP_DATA", str(data_dir))
    if not (data_dir / "nasbench201" / "zero_cost_proxies_9445.csv.gz").exists():
        pytest.skip("zero_cost_proxies_9445.csv.gz is absent")
    table = tiny_table(15625)
    inputs = extra_inputs(table, ["synflow", "nwot"])
    assert inputs.shape == (15625, 2)
    assert np.isfinite(inputs).all()

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.error import NaspError
from tests.tiny import tiny_table


@pytest.fixture
def table() -> BenchmarkTable:
    rng = np.random.default_rng(0)
    count = 7
    return BenchmarkTable(
        space="nasbench101",
        operations=rng.integers(0, 5, (count, 7), dtype=np.uint8),
        adjacency=rng.integers(0, 2, (count, 7, 7), dtype=np.uint8),
        metrics={"cifar10/validation_accuracy/108": rng.random((count, 3), dtype=np.float32)},
        costs={"parameters": rng.random(count)},
        curves={"cifar10/train_loss/108": rng.random((count, 3, 4), dtype=np.float32)},
        keys=rng.integers(0, 256, (count, 16), dtype=np.uint8),
        provenance={"benchmark": "nasbench101", "source": "fake", "count": count},
    )


def test_a_table_comes_back_as_it_was(table: BenchmarkTable, tmp_path: Path) -> None:
    table.save(tmp_path / "t")
    found = BenchmarkTable.open(tmp_path / "t")
    assert found.space == table.space
    assert found.provenance == table.provenance == BenchmarkTable.read_provenance(tmp_path / "t")
    assert found.arrays().keys() == table.arrays().keys()
    for name, array in table.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
        assert found.arrays()[name].dtype == array.dtype
    assert found.data_hash() == table.data_hash()


def test_not_known_stays_not_known(table: BenchmarkTable, tmp_path: Path) -> None:
    table.metrics["cifar10/validation_accuracy/108"][2, 1] = np.nan
    table.save(tmp_path / "t")
    read = BenchmarkTable.open(tmp_path / "t").metric("cifar10/validation_accuracy/108")
    assert np.isnan(read[2, 1])
    assert np.isnan(read).sum() == 1


def test_any_flipped_bit_is_found(table: BenchmarkTable, tmp_path: Path) -> None:
    path = tmp_path / "t"
    table.save(path)
    whole = path.read_bytes()
    body = 8 + int.from_bytes(whole[:8], "little")
    for place in (body, (body + len(whole)) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(NaspError, match=r"is damaged .*delete it"):
            BenchmarkTable.open(path)


@pytest.mark.parametrize("kept", [0, 7, 8, 200, -1])
def test_a_cut_file_is_found(table: BenchmarkTable, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "t"
    table.save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(NaspError, match="delete it"):
        BenchmarkTable.open(path)
    assert BenchmarkTable.read_provenance(path) == {} or kept == -1


def test_other_formats_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "t"
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(NaspError, match="not a benchmark table of this version"):
        BenchmarkTable.open(path)
    assert BenchmarkTable.read_provenance(path) == {}
    path.write_text("operations,accuracy\n")
    with pytest.raises(NaspError, match="is damaged"):
        BenchmarkTable.open(path)
    with pytest.raises(NaspError, match="no benchmark table at"):
        BenchmarkTable.open(tmp_path / "absent")


def test_a_kill_in_mid_write_leaves_no_table(
    table: BenchmarkTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(arrays: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half a table")
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("safetensors.numpy.save_file", half)
    child = multiprocessing.get_context("fork").Process(target=table.save, args=(tmp_path / "t",))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "t").exists()


def test_a_full_disk_is_one_sentence(
    table: BenchmarkTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def full(*arguments: object, **options: object) -> None:
        raise SafetensorError("Error while serializing: No space left (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(NaspError, match=r"cannot write .*the disk is full"):
        table.save(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(NaspError, match="costs:parameters has 2 rows, operations has 3"):
        BenchmarkTable("nasbench201", np.zeros((3, 6), np.uint8), costs={"parameters": np.zeros(2)})


def test_an_absent_metric_is_named_with_those_that_are_there() -> None:
    table = tiny_table(5)
    assert len(table) == 5
    assert table.datasets() == ["cifar10"]
    with pytest.raises(NaspError, match=r"no metric 'mnist/x/1'; it has: cifar10/test_accuracy"):
        table.metric("mnist/x/1")
    assert metric_name("cifar10", "test_accuracy", 200) == "cifar10/test_accuracy/200"


def test_the_data_hash_is_of_the_content() -> None:
    table, other = tiny_table(5), tiny_table(5)
    assert table.data_hash() == other.data_hash()
    other.metrics["cifar10/test_accuracy/200"][0, 0] += 0.01
    assert table.data_hash() != other.data_hash()


def test_writing_to_an_opened_table_leaves_its_file(table: BenchmarkTable, tmp_path: Path) -> None:
    table.save(tmp_path / "t")
    before = (tmp_path / "t").read_bytes()
    BenchmarkTable.open(tmp_path / "t").operations[:] = 9
    assert (tmp_path / "t").read_bytes() == before


@pytest.mark.parametrize("mask", [False, True])
def test_some_rows_of_a_table(table: BenchmarkTable, mask: bool) -> None:
    rows = np.array([1, 4, 5])
    part = table.take(np.isin(np.arange(7), rows) if mask else rows, count=3)
    assert len(part) == 3
    for name, array in table.arrays().items():
        np.testing.assert_array_equal(part.arrays()[name], array[rows])
    assert part.provenance == {**table.provenance, "count": 3}
    assert table.provenance["count"] == 7

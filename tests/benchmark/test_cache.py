from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.format.cache import cached_table, table_path, tables_dir
from nasp_lightning.error import NaspError
from tests.tiny import tiny_table

fork = multiprocessing.get_context("fork")


class Conversion:
    """Counts conversions across processes, one line in a file for each."""

    def __init__(self, log: Path, seconds: float = 0.0) -> None:
        self.log, self.seconds = log, seconds

    def __call__(self) -> BenchmarkTable:
        with open(self.log, "a") as file:
            file.write("converted\n")
        time.sleep(self.seconds)
        return tiny_table(5)

    @property
    def count(self) -> int:
        return len(self.log.read_text().split()) if self.log.exists() else 0


def test_converted_once(tmp_path: Path, isolated_cache: Path) -> None:
    convert = Conversion(tmp_path / "log")
    path = table_path("nasbench201", "csv", "0123456789abcdef" * 4, 1)
    assert path.parent == tables_dir() == isolated_cache / "tables"
    first, second = cached_table(path, convert), cached_table(path, convert)
    assert convert.count == 1
    assert first.data_hash() == second.data_hash()


def test_another_source_or_converter_is_another_file() -> None:
    names = {
        table_path("b", "csv", "a" * 64, 1),
        table_path("b", "csv", "b" * 64, 1),
        table_path("b", "csv", "a" * 64, 2),
        table_path("b", "nats", "a" * 64, 1),
    }
    assert len(names) == 4


def test_a_damaged_table_is_converted_again(tmp_path: Path) -> None:
    convert = Conversion(tmp_path / "log")
    path = tmp_path / "t"
    cached_table(path, convert)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert cached_table(path, convert).data_hash() == tiny_table(5).data_hash()
    path.write_bytes(content[:100])
    cached_table(path, convert)
    assert convert.count == 3
    BenchmarkTable.open(path)


def test_two_processes_convert_once(tmp_path: Path) -> None:
    convert = Conversion(tmp_path / "log", seconds=0.3)
    children = [fork.Process(target=cached_table, args=(tmp_path / "t", convert)) for _ in "ab"]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert convert.count == 1


def test_two_commands_convert_the_shipped_source_once(isolated_cache: Path) -> None:
    program = "from nasp_lightning.benchmark import load_benchmark; print(len(load_benchmark()))"
    children = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    told = [child.communicate(timeout=300)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert [text.strip() for text in told] == ["15625"] * 2
    assert len(list((isolated_cache / "tables").glob("*.safetensors"))) == 1


def test_after_a_kill_the_next_process_converts(tmp_path: Path) -> None:
    def die() -> BenchmarkTable:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    child = fork.Process(target=cached_table, args=(tmp_path / "t", die))
    child.start()
    child.join(60)
    assert not (tmp_path / "t").exists()
    convert = Conversion(tmp_path / "log")
    cached_table(tmp_path / "t", convert)
    assert convert.count == 1


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    def convert() -> BenchmarkTable:
        raise NaspError("the source is damaged")

    with pytest.raises(NaspError, match="the source is damaged"):
        cached_table(tmp_path / "t", convert)
    assert not (tmp_path / "t").exists()


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NASP_CACHE", str(tmp_path / "file"))
    with pytest.raises(NaspError, match="a file stands where a folder is needed"):
        cached_table(table_path("b", "csv", "a" * 64, 1), lambda: tiny_table(5))

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.record.store import ShardStore, fill


def test_what_is_put_is_got(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    assert store.get("abc") is None
    store.put("abc", {"losses": [0.1, None], "diverged": True})
    assert ShardStore(tmp_path).get("abc") == {"losses": [0.1, None], "diverged": True}


@pytest.mark.parametrize("cut", [0, 10, -2])
def test_a_file_cut_short_is_found_and_computed_again(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = ShardStore(tmp_path)
    store.put("abc", {"value": 1})
    store.put("abd", {"value": 2})
    path = store.path("abc")
    path.write_bytes(path.read_bytes()[:cut])
    computed: list[str] = []

    def compute(task: str) -> dict[str, Any]:
        computed.append(task)
        return {"value": 3}

    found = fill(store, {"abc": "a", "abd": "b"}, compute)
    assert found == {"abc": {"value": 3}, "abd": {"value": 2}}
    assert computed == ["a"]
    assert f"{path} is damaged or cut short" in caplog.text


def test_an_altered_number_is_found(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    store.put("abc", {"value": 123})
    path = store.path("abc")
    path.write_text(path.read_text().replace("123", "124"))
    assert store.get("abc") is None


def test_only_one_may_compute(tmp_path: Path) -> None:
    first, second = ShardStore(tmp_path), ShardStore(tmp_path)
    with first.claim("abc") as mine, second.claim("abc") as also:
        assert mine
        assert not also
        assert not second.once("abc", lambda task: pytest.fail("computed twice"), None)
    assert second.once("abc", lambda task: {"value": task}, 1)
    assert first.once("abc", lambda task: pytest.fail("computed twice"), None)
    assert list(tmp_path.rglob("*.lock")) == []


def test_what_fails_leaves_no_record(tmp_path: Path) -> None:
    def compute(task: Any) -> dict[str, Any]:
        if task == 2:
            raise NaspError("two is wrong")
        return {"value": task}

    store = ShardStore(tmp_path)
    with pytest.raises(NaspError, match="two is wrong"):
        fill(store, {"a": 1, "b": 2, "c": 3}, compute)
    assert store.get("a") == {"value": 1}
    assert store.get("b") is None
    assert fill(store, {"a": 1}, compute) == {"a": {"value": 1}}


def test_concurrent_must_be_a_number(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"estimation_code.concurrent=0"):
        fill(ShardStore(tmp_path), {}, dict, concurrent=0)


BUILDER = """
import sys, time, pathlib
from nasp_lightning.record.store import ShardStore, fill
folder, log, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
def compute(task):
    with open(log, "a") as file: file.write(f"{task}\\n")
    time.sleep(seconds)
    return {"value": task}
fill(ShardStore(folder), {f"key{n}": n for n in range(6)}, compute)
"""


def builder(folder: Path, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", BUILDER, str(folder), str(log), str(seconds)]
    return subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_killed_builder_loses_only_what_it_was_computing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = builder(tmp_path / "store", log, 0.5)
    deadline = time.monotonic() + 120
    while not log.exists() or len(log.read_text().split()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    started = log.read_text().split()
    assert builder(tmp_path / "store", log, 0).wait(timeout=120) == 0
    again = log.read_text().split()[len(started) :]
    assert again == [started[-1], *[str(n) for n in range(len(started), 6)]]
    assert ShardStore(tmp_path / "store").get("key5") == {"value": 5}


WORK = """
import os, pathlib, sys, time
from nasp_lightning.record.store import ShardStore, fill
folder = pathlib.Path(__file__).parent
def compute(task):
    with open(folder / "pids", "a") as file: file.write(f"{os.getpid()}\\n")
    if task == "die": os._exit(1)
    time.sleep(0.3)
    return {"value": task}
def main(concurrent=2):
    fill(ShardStore(folder / "store"), {f"key{n}": n for n in range(40)}, compute, concurrent)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that other processes can import."""
    (tmp_path / "store_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "store_work", raising=False)
    return importlib.import_module("store_work")


def alive(pid: str) -> bool:
    """Whether a process runs; one that ended and was not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_with_a_builder_that_is_killed(tmp_path: Path, work: ModuleType) -> None:
    words = [sys.executable, "-c", "import store_work; store_work.main()"]
    first = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    pids = tmp_path / "pids"
    deadline = time.monotonic() + 120
    while not pids.exists() or len(set(pids.read_text().split())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in set(pids.read_text().split())):
        assert time.monotonic() < deadline, "workers outlive the job that started them"
        time.sleep(0.05)
    finished = len(list((tmp_path / "store").rglob("*.json")))
    assert finished < 40


def test_a_worker_that_dies_is_told(tmp_path: Path, work: ModuleType) -> None:
    tasks = {"a": 1, "b": "die"}
    with pytest.raises(NaspError, match=r"died .*estimation_code.concurrent=2.*is kept"):
        fill(ShardStore(tmp_path / "store"), tasks, work.compute, concurrent=2)


def test_two_builders_share_the_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [builder(tmp_path / "store", log, 0.3) for _ in range(2)]
    assert [process.wait(timeout=200) for process in both] == [0, 0]
    assert sorted(log.read_text().split()) == [str(n) for n in range(6)]

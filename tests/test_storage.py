from __future__ import annotations

import csv
import errno
import io
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.storage import (
    atomic_path,
    cache_dir,
    csv_text,
    data_dir,
    explain_os_error,
    file_sha256,
    known_sha256,
    locked,
    write_json,
    write_text,
)

fork = multiprocessing.get_context("fork")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_text(path, "old")

    def half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["table"]


def test_a_write_makes_its_folder_and_keeps_the_users_mask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    previous = os.umask(0o027)
    try:
        write_text(path, "text")
    finally:
        os.umask(previous)
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_text(path, "old")

    def half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork.Process(target=half)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")  # what the killed process left is in nobody's way
    assert path.read_text() == "new"


def test_a_file_where_a_folder_is_needed_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NaspError, match="a file stands where a folder is needed"):
        write_text(tmp_path / "file" / "x", "text")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(NaspError, match="the disk is full"),
        atomic_path(tmp_path / "x"),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 100_000)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_refusals_of_the_system_name_the_remedy(number: int, words: str) -> None:
    error = explain_os_error(OSError(number, os.strerror(number)), Path("/a/b"), "write")
    assert words in str(error)
    assert "cannot write /a/b" in str(error)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [float("inf"), 1.5], 3: (None, "c")})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {
        "a": None,
        "b": [None, 1.5],
        "3": [None, "c"],
    }


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def work() -> None:
        with locked(tmp_path / "x"):
            for word in ("in", "out"):
                with open(log, "a") as file:
                    file.write(f"{word}\n")
                time.sleep(0.05)

    children = [fork.Process(target=work) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert log.read_text().split() == ["in", "out"] * 3


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    def die() -> None:
        with locked(tmp_path / "x"):
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork.Process(target=die)
    child.start()
    child.join(60)
    with locked(tmp_path / "x"):
        pass


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NaspError, match="a file stands where"), locked(tmp_path / "file" / "x"):
        pass


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    first = known_sha256(path)
    assert first == file_sha256(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    second = known_sha256(path)
    assert second == file_sha256(path) != first


def test_a_known_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    first = known_sha256(path)
    monkeypatch.setattr("nasp_lightning.storage.file_sha256", lambda path: pytest.fail("read"))
    assert known_sha256(path) == first


@pytest.mark.parametrize("content", ["", "short\nx", "\xff\xfe"])
def test_a_damaged_note_is_not_believed(tmp_path: Path, isolated_cache: Path, content: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    known_sha256(path)
    (note,) = (isolated_cache / "hashes").iterdir()
    note.write_bytes(content.encode("latin-1"))
    assert known_sha256(path) == file_sha256(path)


def test_hashing_needs_no_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"one")
    monkeypatch.setenv("NASP_CACHE", str(path))  # a file in place of the folder
    assert known_sha256(path) == file_sha256(path)


def test_hashing_tells_its_progress(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * (5 << 20))
    told: list[int] = []
    file_sha256(path, told.append)
    assert sum(told) == 5 << 20


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    for read in (known_sha256, file_sha256):
        with pytest.raises(NaspError, match=r"cannot read .*absent"):
            read(tmp_path / "absent")


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASP_CACHE", "~/somewhere")
    assert cache_dir() == Path.home() / "somewhere"
    monkeypatch.delenv("NASP_CACHE")
    assert cache_dir().name == "nasp_lightning"
    assert data_dir() is None
    monkeypatch.setenv("NASP_DATA", "/data")
    assert data_dir() == Path("/data")


def test_a_csv_is_read_back_as_it_was() -> None:
    rows = [["a,b", None, 0.1 + 0.2], ['"', 3, -0.0]]
    header, *found = csv.reader(io.StringIO(csv_text(["name", "count", "value"], rows)))
    assert header == ["name", "count", "value"]
    assert found == [["a,b", "", "0.30000000000000004"], ['"', "3", "-0.0"]]

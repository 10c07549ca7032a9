"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.commands import answer

# One thread for each test process: the suite itself runs on every core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background jobs ignore Ctrl-C, and hand that on: the tests send it to themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


GIVEN = os.environ.get("NASP_DATA")  # before any fixture takes it away


def find_data() -> Path | None:
    """Folder of real benchmark files: NASP_DATA, or ../shared/data where it exists."""
    folder = Path(GIVEN) if GIVEN else SHARED
    return folder if folder.is_dir() else None


@pytest.fixture
def data_dir() -> Path:
    """Real benchmark files; skips where they are absent."""
    folder = find_data()
    if folder is None:
        pytest.skip("real benchmark files are absent: set NASP_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def isolated_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty cache folder for each test; no source files unless the test names them."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NASP_CACHE", str(cache))
    monkeypatch.delenv("NASP_DATA", raising=False)
    return cache


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``python`` that runs nothing and writes down its words, in the file that is returned."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    for name in (
        "RUNS",
        "FILE",
        "PARTIAL",
        "SEEDS",
        "LARGE_SEEDS",
        "SPLITS",
        "BENCHMARKS",
        "WORDS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    answer("exit 0\n", tmp_path)
    return tmp_path / "calls"

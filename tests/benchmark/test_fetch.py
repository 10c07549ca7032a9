from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.benchmark.format.fetch import fetch
from nasp_lightning.error import NaspError

DATA = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves DATA, as badly as a test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []  # of each request
        self.cuts: list[int] = []  # how much of a request is served before the connection is cut
        self.codes: list[int] = []  # answers that come first
        self.supports_ranges = True
        self.data = DATA

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/some.tfrecord"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.codes:
            self.send_error(self.server.codes.pop(0))
            return
        data, start = self.server.data, 0
        if wanted and self.server.supports_ranges:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found
            start = int(found[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else len(data)
        self.wfile.write(data[start:end])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "some.tfrecord"


def part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def test_fetches_once(server: Server, target: Path) -> None:
    assert fetch(server.url, target, SHA256, len(DATA)) == target
    assert target.read_bytes() == DATA
    fetch(server.url, target, SHA256)
    assert server.ranges == [None]
    assert not part(target).exists()


def test_resumes_after_the_connection_is_cut(server: Server, target: Path) -> None:
    server.cuts = [100_000, 0, 250_000]
    fetch(server.url, target, SHA256, pause=0)
    assert target.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=350000-"]


def test_goes_on_with_what_an_earlier_process_left(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part(target).write_bytes(DATA[:300_000])
    fetch(server.url, target, SHA256, pause=0)
    assert server.ranges == ["bytes=300000-"]
    assert target.read_bytes() == DATA


def test_whole_part_needs_no_more_bytes(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part(target).write_bytes(DATA)
    fetch(server.url, target, SHA256, pause=0)
    assert server.ranges == [f"bytes={len(DATA)}-"]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_part_longer_than_the_file_is_begun_anew(
    server: Server, target: Path, size: int | None
) -> None:
    target.parent.mkdir()
    part(target).write_bytes(DATA + b"more")
    fetch(server.url, target, SHA256, size, pause=0)
    assert target.read_bytes() == DATA


def test_server_that_ignores_ranges(server: Server, target: Path) -> None:
    server.supports_ranges = False
    server.cuts = [100_000]
    fetch(server.url, target, SHA256, pause=0)
    assert target.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-"]


def test_wrong_hash_removes_the_file_and_names_both(server: Server, target: Path) -> None:
    server.data = b"<html>please log in</html>"
    found = hashlib.sha256(server.data).hexdigest()
    with pytest.raises(NaspError) as error:
        fetch(server.url, target, SHA256, pause=0)
    assert found in str(error.value)
    assert SHA256 in str(error.value)
    assert not target.exists()
    assert not part(target).exists()


def test_not_found_is_said_at_once(server: Server, target: Path) -> None:
    server.codes = [404]
    with pytest.raises(NaspError, match="404 Not Found"):
        fetch(server.url, target, SHA256, pause=0)
    assert len(server.ranges) == 1


def test_overloaded_server_is_asked_again(server: Server, target: Path) -> None:
    server.codes = [503, 429]
    fetch(server.url, target, SHA256, pause=0)
    assert target.read_bytes() == DATA


def test_gives_up_when_nothing_more_comes_and_keeps_the_rest(server: Server, target: Path) -> None:
    server.cuts = [1000, *[0] * 10]
    with pytest.raises(
        NaspError, match=r"cut after 1,000 of 700,000.*1,000 bytes received are kept"
    ):
        fetch(server.url, target, SHA256, attempts=3, pause=0)
    assert part(target).read_bytes() == DATA[:1000]
    server.cuts = []
    fetch(server.url, target, SHA256, pause=0)
    assert target.read_bytes() == DATA


def test_no_server_is_one_sentence(target: Path, server: Server) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(NaspError, match=r"cannot fetch http://.*refused.*network"):
        fetch(url, target, SHA256, attempts=2, pause=0)


def test_unknown_host_is_one_sentence(target: Path) -> None:
    with pytest.raises(NaspError, match=r"cannot fetch http://nasp\.invalid"):
        fetch("http://nasp.invalid/file", target, SHA256, attempts=1)


def test_no_url_is_one_sentence(target: Path) -> None:
    with pytest.raises(NaspError, match="cannot fetch nonsense"):
        fetch("nonsense", target, SHA256, attempts=1)


def test_small_disk_is_noticed_first(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    disk_usage = "nasp_lightning.benchmark.format.fetch.shutil.disk_usage"
    monkeypatch.setattr(disk_usage, lambda path: usage)
    with pytest.raises(NaspError, match="NASP_CACHE to a larger disk"):
        fetch(server.url, target, SHA256, pause=0)


def test_folder_that_cannot_be_made_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NaspError, match="a file stands where a folder is needed"):
        fetch(server.url, tmp_path / "file" / "some.tfrecord", SHA256, pause=0)


def test_another_file_in_its_place_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"something else")
    fetch(server.url, target, SHA256, pause=0)
    assert target.read_bytes() == DATA


def test_two_at_once_fetch_once(server: Server, target: Path) -> None:
    threads = [threading.Thread(target=fetch, args=(server.url, target, SHA256)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == DATA
    assert server.ranges == [None]

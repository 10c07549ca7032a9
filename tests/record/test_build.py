from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.record.build import (
    MANIFEST,
    Build,
    identity_hash,
    is_build,
    pack,
    read_build,
    record_key,
    write_manifest,
)
from tests.benchmark.tinynano_files import made_up, manifest, write


def test_a_folder_gives_what_was_written(tmp_path: Path) -> None:
    build = made_up()
    found = read_build(write(tmp_path / "a", build))
    assert found.records == build.records
    assert found.manifest == build.manifest
    assert found.damaged == ()
    assert is_build(tmp_path / "a")
    assert not is_build(tmp_path)


def test_packed_it_is_the_same(tmp_path: Path) -> None:
    build = made_up()
    pack(build, tmp_path / "a.json.gz")
    assert read_build(tmp_path / "a.json.gz") == build
    assert is_build(tmp_path / "a.json.gz")
    backwards = dict(reversed(build.records.items()))
    pack(Build(build.manifest, backwards), tmp_path / "b.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    with pytest.raises(NaspError, match=r"ends in \.json\.gz"):
        pack(build, tmp_path / "a.zip")


@pytest.mark.parametrize("damage", ["cut", "altered", "empty"])
def test_a_damaged_record_is_left_out(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build = made_up()
    write(tmp_path, build)
    file = sorted(tmp_path.glob("??/*.json"))[2]
    text = file.read_text()
    changed = {"cut": text[:80], "altered": text.replace("cpu", "gpu", 1), "empty": ""}[damage]
    file.write_text(changed)
    found = read_build(tmp_path)
    assert set(build.records) - set(found.records) == {file.stem}
    assert found.damaged == (file,)
    assert f"{file} is damaged or cut short" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "other", "bytes", "version"])
def test_a_damaged_packed_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    pack(made_up(), path)
    data = path.read_bytes()
    old = {"manifest": {"format": "another"}, "records": {}}
    changed = {
        "cut": data[:-20],
        "other": gzip.compress(b"[]"),
        "bytes": b"no gzip",
        "version": gzip.compress(json.dumps(old).encode()),
    }[damage]
    path.write_bytes(changed)
    with pytest.raises(NaspError, match=r"a\.json\.gz is no"):
        read_build(path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"holds no build\.json: give a folder that job="):
        read_build(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(NaspError, match=r"build\.json is damaged .* writes it again"):
        read_build(tmp_path)


def test_two_recipes_do_not_mix(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    write_manifest(tmp_path, manifest())
    with pytest.raises(
        NaspError, match=r"another training \(recipe\.epochs: 4 there, 5 now\): set job\.path"
    ):
        write_manifest(tmp_path, manifest(epochs=5))


def test_a_record_is_named_by_all_that_it_depends_on() -> None:
    codes, matrix = np.array([5, 10]), np.eye(2, dtype=int)
    one = record_key({"seed": 0}, codes, matrix)
    assert one == record_key({"seed": 0}, codes.astype(np.uint8), matrix)
    others = [
        record_key({"seed": 1}, codes, matrix),
        record_key({"seed": 0}, codes[::-1], matrix),
        record_key({"seed": 0}, codes, 1 - matrix),
        record_key({"seed": 0}, codes, None),
    ]
    assert len({one, *others}) == 5
    assert identity_hash(manifest()) != identity_hash(manifest(seed=1))
    assert identity_hash(manifest()) == identity_hash(manifest("renamed"))

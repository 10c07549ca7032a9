from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.image import folder as image_folder
from nasp_lightning.image.folder import (
    check_same_classes,
    list_folder,
    names_hash,
    readable,
    scan_folder,
)
from tests.image.files import CLASSES, damage, write_folder


def test_classes_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = list_folder(write_folder(tmp_path) / "train")
    assert folder.classes == CLASSES
    assert len(folder) == 12
    assert folder.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert [file[:3] for file in folder.files] == [CLASSES[label] for label in folder.labels]
    part = folder.rows(np.array([5, 0]))
    assert part.labels.tolist() == [1, 0]


def test_one_line_counts_what_is_not_plain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(tmp_path) / "train"
    damage(root, "n03/n03_1.JPEG")
    (root / "n02/n02_2.JPEG").write_bytes(b"")
    folder = list_folder(root)
    scan = scan_folder(folder)
    assert (scan.greyscale, scan.other) == (1, 1)
    assert scan.broken == ("n02/n02_2.JPEG", "n03/n03_1.JPEG")
    with caplog.at_level(logging.INFO):
        kept = readable(folder, scan, "leave_out")
    assert len(kept) == 10
    assert not set(scan.broken) & set(kept.files)
    assert len(caplog.messages) == 1
    assert (
        "12 images, of which 1 greyscale and 1 in other colours are read as RGB, and 2 broken"
        in (caplog.messages[0])
    )
    with pytest.raises(NaspError, match=r"n02_2.JPEG cannot be read, and 1 more of 12 images"):
        readable(folder, scan, "refuse")


def test_what_was_read_is_remembered_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path) / "train"
    first = scan_folder(list_folder(root))
    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "_scan", lambda *_: pytest.fail("read again"))
        assert scan_folder(list_folder(root)) == first
    damage(root, "n01/n01_1.JPEG")
    second = scan_folder(list_folder(root))
    assert second.broken == ("n01/n01_1.JPEG",)
    assert second.data_hash != first.data_hash


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    hashes = [
        scan_folder(list_folder(write_folder(tmp_path / name, seed=seed) / "train")).data_hash
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    folder = list_folder(tmp_path / "a" / "train")
    os.utime(folder.root / folder.files[0])
    assert scan_folder(folder).data_hash == hashes[0]
    assert names_hash(folder).startswith("names-")


def test_a_class_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    root = write_folder(tmp_path) / "train"
    for number in range(4):
        damage(root, f"n03/n03_{number}.JPEG")
    folder = list_folder(root)
    with pytest.raises(NaspError, match="n03: none of its images can be read"):
        readable(folder, scan_folder(folder), "leave_out")
    for file in (root / "n03").iterdir():
        file.unlink()
    with pytest.raises(NaspError, match="n03 holds no images"):
        list_folder(root)


def test_other_classes_are_one_sentence(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    train, val = list_folder(root / "train"), list_folder(root / "val")
    check_same_classes(train, val)
    (root / "val/n02").rename(root / "val/n99")
    with pytest.raises(NaspError, match=r"val has no folder n02, which .*train has \(1 such class"):
        check_same_classes(train, list_folder(root / "val"))
    (root / "train/n99").mkdir()
    with pytest.raises(NaspError, match="n99 holds no images"):
        list_folder(root / "train")


def test_no_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match="there is no such folder; expected train/<class>/"):
        list_folder(tmp_path / "train")
    (tmp_path / "val").mkdir()
    (tmp_path / "val/ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    with pytest.raises(NaspError, match="holds no class folders: sort its images"):
        list_folder(tmp_path / "val")

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.image.imagenet16 import TRAIN_FILES, load_imagenet16
from tests.image.files import write_batches


def test_the_first_120_classes_are_read(tmp_path: Path) -> None:
    write_batches(tmp_path)
    images = load_imagenet16(tmp_path, partial=True)
    assert images.pixels.shape == (240, 3, 16, 16)
    assert torch.equal(torch.bincount(images.labels), torch.full((120,), 2))
    content = pickle.loads((tmp_path / TRAIN_FILES[0]).read_bytes())
    wanted = content["data"][7].reshape(3, 16, 16)  # of class 8, label 7
    found = images.pixels[images.labels == 7].numpy()
    assert any((image == wanted).all() for image in found)
    assert len(load_imagenet16(tmp_path, train=False, partial=True)) == 120


def test_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASP_DATA", str(tmp_path))
    with pytest.raises(NaspError, match=r"ImageNet16-120 is not found .*set data\.path"):
        load_imagenet16()
    (tmp_path / "ImageNet16").mkdir()
    write_batches(tmp_path / "ImageNet16")
    assert len(load_imagenet16(partial=True)) == 240


def test_a_part_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    write_batches(tmp_path)
    with pytest.raises(NaspError, match=r"train_data_batch_3"):
        load_imagenet16(tmp_path)
    with pytest.raises(NaspError, match="120 test images of ImageNet16-120, expected 6000"):
        load_imagenet16(tmp_path, train=False)
    write_batches(tmp_path, classes=119)
    with pytest.raises(NaspError, match="class 120 of ImageNet16-120 has no images"):
        load_imagenet16(tmp_path, partial=True)


class Trap:
    def __reduce__(self) -> Any:
        return (os.system, ("touch sprung",))


@pytest.mark.parametrize(
    "content",
    [{"data": 3}, [1, 2], {"data": np.zeros((2, 5), np.uint8), "labels": [1, 2]}, {"data": Trap()}],
)
def test_a_foreign_file_is_one_sentence(tmp_path: Path, content: Any) -> None:
    write_batches(tmp_path)
    (tmp_path / TRAIN_FILES[1]).write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(NaspError, match=r"train_data_batch_2.*get (it|the file) again"):
        load_imagenet16(tmp_path, partial=True)

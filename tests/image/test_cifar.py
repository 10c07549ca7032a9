from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasp_lightning.error import NaspError
from nasp_lightning.image.cifar import Images, load_cifar
from tests.image.files import write_columns


@pytest.fixture
def tiny(tmp_path: Path) -> Images:
    return load_cifar("cifar10", write_columns(tmp_path / "tiny"), partial=True)


def test_every_image_keeps_its_label(tmp_path: Path) -> None:
    folder = write_columns(tmp_path)
    images = load_cifar("cifar10", folder, partial=True)
    assert images.pixels.shape == (20, 3, 32, 32)
    assert images.pixels.dtype == torch.uint8
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    labels = {image.tobytes(): place % 10 for place, image in enumerate(original)}
    for image, label in zip(images.pixels, images.labels, strict=True):
        assert labels[image.permute(1, 2, 0).numpy().tobytes()] == int(label)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path, tiny: Images) -> None:
    order = np.random.default_rng(5).permutation(20)
    other = load_cifar("cifar10", write_columns(tmp_path / "b", order=order), partial=True)
    assert other.data_hash == tiny.data_hash
    assert torch.equal(other.pixels, tiny.pixels)
    changed = load_cifar("cifar10", write_columns(tmp_path / "c", seed=1), partial=True)
    assert changed.data_hash != tiny.data_hash


def test_subset(tiny: Images) -> None:
    first, again, other = tiny.subset(6, 0), tiny.subset(6, 0), tiny.subset(6, 1)
    assert len(first) == 6
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert len({image.numpy().tobytes() for image in first.pixels}) == 6
    with pytest.raises(NaspError, match=r"21 images were asked for, but cifar10 has 20"):
        tiny.subset(21, 0)


def test_it_is_found_under_nasp_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_columns(tmp_path / "cifar10")
    monkeypatch.setenv("NASP_DATA", str(tmp_path))
    assert len(load_cifar("cifar10", train=False, partial=True)) == 20


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=r"no data set 'mnist'.*cifar10 or cifar100"):
        load_cifar("mnist")
    with pytest.raises(NaspError, match=r"cifar10 is not found .*download=true"):
        load_cifar("cifar10")
    with pytest.raises(NaspError, match=r"holds no cifar10: expected train_labels.npy"):
        load_cifar("cifar10", tmp_path)
    folder = write_columns(tmp_path / "part")
    with pytest.raises(NaspError, match=r"class 0 has 2 images, expected 5000.*partial=true"):
        load_cifar("cifar10", folder)
    np.save(folder / "train_labels.npy", np.full(20, 10))
    with pytest.raises(NaspError, match=r"labels of cifar10 go from 0 to 9, here from 10 to 10"):
        load_cifar("cifar10", folder, partial=True)
    np.save(folder / "train_labels.npy", np.zeros(20, np.int64))
    with pytest.raises(NaspError, match="class 0 has 20 images"):
        load_cifar("cifar10", folder, partial=True)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    folder = write_columns(tmp_path)
    file = folder / "train_001.webp"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NaspError, match=r"train_001.webp is damaged or cut short"):
        load_cifar("cifar10", folder, partial=True)
    file.unlink()
    with pytest.raises(NaspError, match=r"holds 15 images in 3 files .*get them again"):
        load_cifar("cifar10", folder, partial=True)
    Image.new("RGB", (31, 64)).save(file, lossless=True)
    with pytest.raises(NaspError, match=r"31 pixels wide and 64 high"):
        load_cifar("cifar10", folder, partial=True)
    (folder / "train_labels.npy").write_bytes(b"nothing")
    Image.new("RGB", (32, 160)).save(file, lossless=True)
    with pytest.raises(NaspError, match=r"train_labels.npy is damaged"):
        load_cifar("cifar10", folder, partial=True)


def test_torchvision_files_that_are_not_the_official_ones_are_not_unpickled(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(NaspError, match=r"torchvision cannot read cifar10 in .*download=true"):
        load_cifar("cifar10", tmp_path)


def test_the_real_test_set(data_dir: Path) -> None:
    images = load_cifar("cifar10", data_dir / "cifar10", train=False)
    assert len(images) == 10_000
    assert torch.bincount(images.labels).tolist() == [1000] * 10


def write_files(folder: Path, classes: int = 10) -> Path:
    """The tiny data set as image files in folders of classes."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in range(classes):
            place = folder / part / f"class_{label:03}"
            place.mkdir(parents=True)
            for number in range(2):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                pixels[0, 0] = label
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def test_image_files_are_read_by_their_folders(tmp_path: Path) -> None:
    folder = write_files(tmp_path)
    images = load_cifar("cifar10", folder, partial=True)
    assert images.pixels.shape == (20, 3, 32, 32)
    assert torch.equal(images.pixels[:, 0, 0, 0].long(), images.labels)
    assert torch.equal(torch.bincount(images.labels), torch.full((10,), 2))
    Image.new("RGB", (30, 32)).save(folder / "test/class_003/0.png")
    with pytest.raises(NaspError, match=r"0.png is 30 pixels wide and 32 high: expected 32 by 32"):
        load_cifar("cifar10", folder, train=False, partial=True)
    (folder / "train/class_003/0.png").write_bytes(b"nothing")
    with pytest.raises(NaspError, match=r"0.png is damaged or cut short"):
        load_cifar("cifar10", folder, partial=True)


def test_folders_of_other_images_are_not_taken_for_it(tmp_path: Path) -> None:
    folder = write_files(tmp_path, classes=9)
    with pytest.raises(NaspError, match=r"holds no cifar10: .* of 10 classes"):
        load_cifar("cifar10", folder, partial=True)

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.data.imagenet import ImageNetData, seeded
from nasp_lightning.error import NaspError
from tests.data.batches import at
from tests.image.files import damage, write_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images")


def data_of(root: Path, **options: Any) -> ImageNetData:
    small = {"side": 32, "batch_size": 4, "workers": 0}
    return ImageNetData(root, **{**small, **options})


def epoch_of(data: ImageNetData) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader())
    return torch.cat([item.images for item in batches]), torch.cat([b.labels for b in batches])


def test_images_are_normalised_and_keep_their_labels(root: Path) -> None:
    data = data_of(root)
    assert (data.classes, data.sizes) == (3, {"train": 12, "held_out": 0, "test": 12})
    for images, labels in (epoch_of(data), next(iter(data.plain_loader("test", 12)))):
        assert images.shape == (12, 3, 32, 32)
        assert images.dtype == torch.float32
        pixels = images * torch.tensor(data.std)[:, None, None]
        levels = 255 * (pixels + torch.tensor(data.mean)[:, None, None]).mean((1, 2, 3))
        told = ((levels - 60) / 80).round().long()  # the brightness that the class was drawn with
        coloured = labels != 1  # CMYK and back is no identity
        assert torch.equal(told[coloured], labels[coloured])
        assert sorted(labels.tolist()) == [0] * 4 + [1] * 4 + [2] * 4


def test_an_epoch_does_not_depend_on_processes_or_on_what_was_before(root: Path) -> None:
    """Augmentation follows from the seed, the epoch and the image alone."""
    options = {"auto_augment": "original", "color_jitter": 0.4}
    first = epoch_of(at(data_of(root, **options), 2))
    torch.rand(3), random.random()
    before = torch.get_rng_state(), random.getstate()
    other = epoch_of(at(data_of(root, **options, workers=1), 2))
    assert torch.equal(first[0], other[0])
    assert torch.equal(first[1], other[1])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert not torch.equal(first[0], epoch_of(at(data_of(root, **options), 3))[0])
    assert not torch.equal(first[0], epoch_of(at(data_of(root, **options, seed=1), 2))[0])


def test_evaluation_is_the_same_each_time(root: Path) -> None:
    data = data_of(root, held_out=5)
    first, again = (list(data.held_out_loader(2)) for _ in range(2))
    assert [len(batch.labels) for batch in first] == [2, 2, 1]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.images, other.images)
    assert data.val_dataloader()
    assert data_of(root).val_dataloader() == []


def test_random_labels_are_of_the_training_images_alone(root: Path) -> None:
    true, data = data_of(root, seed=3), data_of(root, seed=3, random_labels=True)
    images = epoch_of(true)[0], epoch_of(data)[0]
    assert torch.equal(*images)
    assert not torch.equal(epoch_of(true)[1], epoch_of(data)[1])
    assert torch.equal(epoch_of(data)[1], epoch_of(data)[1])
    tests = [torch.cat([b.labels for b in item.plain_loader("test", 5)]) for item in (true, data)]
    assert torch.equal(*tests)


def test_a_broken_image_is_left_out_or_told(root: Path) -> None:
    damage(root / "train", "n03/n03_1.JPEG")
    assert data_of(root).sizes["train"] == 11
    with pytest.raises(NaspError, match=r"n03_1.JPEG cannot be read, and 0 more"):
        data_of(root, broken="refuse")
    for workers in (0, 1):
        data = data_of(root, scan=False, workers=workers)
        assert data.sizes["train"] == 12
        with pytest.raises(NaspError) as error:
            epoch_of(data)
        assert str(error.value).startswith(str(root))
        assert "n03_1.JPEG cannot be read" in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"held_out": 12}, "has 12 training images here; hold out at most 11"),
        ({"batch_size": 13}, "data.batch_size=13 is more than the 12 training images"),
        ({"side": 0}, "data.side=0"),
        ({"scale": [0.5]}, "data.scale=[0.5]: write two shares"),
        ({"scale": [0.9, 0.5]}, "data.scale=[0.9, 0.5]: write two shares"),
        ({"crop_share": 0}, "data.crop_share=0: it must lie between"),
        ({"auto_augment": "best"}, "data.auto_augment=best: choose original"),
        ({"interpolation": "cubic"}, "data.interpolation=cubic: choose bilinear"),
        ({"broken": "keep"}, "data.broken=keep: choose leave_out or refuse"),
        ({"workers": -1}, "data.workers=-1"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(
    root: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(NaspError) as error:
        data_of(root, **options)
    assert told in str(error.value)


def test_it_is_looked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NaspError, match=r"imagenet is not found \(NASP_DATA is not set\)"):
        data_of(None)  # type: ignore[arg-type]
    monkeypatch.setenv("NASP_DATA", str(root.parent))
    with pytest.raises(NaspError, match=r"imagenet is not there\): set data.path"):
        data_of(None)  # type: ignore[arg-type]
    assert data_of(None, name="images").sizes["train"] == 12  # type: ignore[arg-type]


def test_the_real_ones(data_dir: Path) -> None:
    data = data_of(data_dir / "imagenet_mini", side=64, batch_size=50, held_out=100)
    assert (data.classes, data.sizes["train"], data.sizes["test"]) == (10, 900, 200)
    images, labels = next(iter(data.plain_loader("test", 100)))
    assert images.shape == (100, 3, 64, 64)
    assert len(set(labels.tolist())) == 10  # a few batches hold all classes
    assert abs(float(images.mean())) < 0.5
    assert 0.7 < float(images.std()) < 1.5


def test_a_block_of_its_own_random_numbers() -> None:
    drawn = []
    for _ in range(2):
        with seeded([1, 2, 3]):
            numbers = np.random.rand(), torch.rand(())  # noqa: NPY002
            drawn.append((random.random(), *map(float, numbers)))
    assert drawn[0] == drawn[1]

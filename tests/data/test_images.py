from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.data.base import held_out_rows, random_labels
from nasp_lightning.data.images import STATISTICS, ImageData
from nasp_lightning.error import NaspError
from nasp_lightning.image.cifar import load_cifar
from tests.data.test_imagenet16 import write_batches
from tests.image.test_cifar import write_columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("images"), count=40)


def data_of(folder: Path, **options: Any) -> ImageData:
    return ImageData("cifar10", folder, partial=True, **{"batch_size": 8, **options})


def at(data: ImageData, epoch: int, rank: int = 0, processes: int = 1) -> ImageData:
    """The data as a trainer would ask for them."""
    trainer = SimpleNamespace(
        current_epoch=epoch,
        global_rank=rank,
        world_size=processes,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.trainer = trainer  # type: ignore[assignment]
    return data


def epoch_of(data: ImageData) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == data.steps
    return torch.cat([item.images for item in batches]), torch.cat([b.labels for b in batches])


def test_an_epoch_shows_every_image_once_with_its_label(folder: Path) -> None:
    data = data_of(folder, pad=0, flip=0.0)
    images, labels = epoch_of(at(data, 0))
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    plain = next(iter(data.plain_loader("train", 40)))
    known = {tuple(image.flatten().tolist()): int(lab) for image, lab in zip(*plain, strict=True)}
    seen = [tuple(image.flatten().tolist()) for image in images]
    assert len(set(seen)) == 40
    assert all(known[image] == int(label) for image, label in zip(seen, labels, strict=True))


def test_an_epoch_follows_from_the_seed_and_its_number_alone(folder: Path) -> None:
    first = epoch_of(at(data_of(folder, cutout=8), 3))
    torch.rand(5)
    again = epoch_of(at(data_of(folder, cutout=8), 3))
    assert torch.equal(first[0], again[0])
    for other in (at(data_of(folder, cutout=8), 4), at(data_of(folder, cutout=8, seed=1), 3)):
        assert not torch.equal(first[0], epoch_of(other)[0])


def test_processes_share_an_epoch(folder: Path) -> None:
    whole = epoch_of(at(data_of(folder, batch_size=8), 1))
    parts = [epoch_of(at(data_of(folder, batch_size=8), 1, rank, 2)) for rank in (0, 1)]
    assert torch.equal(torch.stack([part[1] for part in parts], 1).flatten(), whole[1])
    assert torch.equal(parts[1][0], whole[0][1::2])
    with pytest.raises(NaspError, match="batch_size=8 is over all devices: choose a multiple of"):
        at(data_of(folder, batch_size=8), 0, 0, 3).check_batch()
    tests = [list(at(data_of(folder), 0, rank, 2).plain_loader("test", 15)) for rank in (0, 1)]
    assert [[len(batch.labels) for batch in part] for part in tests] == [[15, 10], [15]]
    # Too few batches for all processes: each has all of them.
    assert [len(at(data_of(folder), 0, rank, 2).plain_loader("test", 40)) for rank in (0, 1)] == [
        1,
        1,
    ]


def test_what_is_held_out_is_not_trained_on(folder: Path) -> None:
    data = data_of(folder, held_out=10, pad=0, flip=0.0)
    assert data.sizes == {"train": 30, "held_out": 10, "test": 40}
    parts = [next(iter(data.plain_loader(part, 40))).images for part in ("train", "held_out")]
    train, held = ({tuple(image.flatten().tolist()) for image in part} for part in parts)
    assert len(train | held) == 40
    again = data_of(folder, held_out=10, seed=5)  # another run of the chain
    assert torch.equal(next(iter(again.held_out_loader(10))).images, parts[1])
    other = data_of(folder, held_out=10, split_seed=5)
    assert not torch.equal(next(iter(other.held_out_loader(10))).images, parts[1])
    assert len(data_of(folder, held_out=10, train_images=16, test_images=7).parts["test"]) == 7
    assert data.val_dataloader()
    assert data_of(folder).val_dataloader() == []


def test_random_labels_are_of_the_training_images_alone(folder: Path) -> None:
    true, data = data_of(folder, held_out=10), data_of(folder, held_out=10, random_labels=True)
    for part in ("held_out", "test"):
        assert torch.equal(true.parts[part].labels, data.parts[part].labels)
    assert torch.equal(true.parts["train"].pixels, data.parts["train"].pixels)
    agree = float((true.parts["train"].labels == data.parts["train"].labels).float().mean())
    assert agree < 0.5
    assert torch.equal(epoch_of(at(data, 2))[1].sort()[0][:24], _first(data, 2))
    assert set(random_labels(1000, 10, 0)) == set(range(10))


def _first(data: ImageData, epoch: int) -> torch.Tensor:
    """Labels of the images of an epoch, from the order that is drawn for it."""
    order = data.epoch_rng(epoch).permutation(data.sizes["train"])[: data.steps * data.batch_size]
    return data.parts["train"].labels[torch.from_numpy(order)].sort()[0]


def test_the_statistics_are_the_data_sets_own(data_dir: Path) -> None:
    images = load_cifar("cifar100", data_dir / "cifar100", partial=True)
    scaled = images.pixels.double() / 255
    mean, std = STATISTICS["cifar100"]
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), mean, atol=0.01)  # a part of the data set
    np.testing.assert_allclose(scaled.std((0, 2, 3)), std, atol=0.01)


def test_imagenet16(tmp_path: Path) -> None:
    data = ImageData("imagenet16", write_batches(tmp_path), partial=True, pad=2, batch_size=16)
    assert (data.classes, data.side, data.sizes["train"]) == (120, 16, 240)
    assert next(iter(data.train_dataloader())).images.shape == (16, 3, 16, 16)
    assert data.describe()["mean"] == list(STATISTICS["imagenet16"][0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"held_out": 40}, "data.held_out=40: cifar10 has 40 training images here; hold out"),
        ({"held_out": -1}, "data.held_out=-1: it must be a whole number"),
        ({"batch_size": 0}, "data.batch_size=0"),
        ({"batch_size": 41}, "data.batch_size=41 is more than the 40 training images"),
        ({"train_images": 41}, "41 images were asked for"),
        ({"test_images": 0}, "data.test_images=0"),
        ({"pad": -1}, "data.pad=-1"),
    ],
)
def test_a_number_that_cannot_be_is_one_sentence(
    folder: Path, options: dict[str, int], told: str
) -> None:
    with pytest.raises(NaspError) as error:
        data_of(folder, **options)
    assert told in str(error.value)


def test_a_part_that_is_not_there(folder: Path) -> None:
    with pytest.raises(NaspError, match="no images are held out"):
        data_of(folder).held_out_loader(8)
    with pytest.raises(NaspError, match="part=val: choose train, held_out, test"):
        data_of(folder).plain_loader("val", 8)


def test_rows_are_divided() -> None:
    kept, held = held_out_rows(10, 3, 0, "x")
    assert sorted([*kept, *held]) == list(range(10))
    assert len(held) == 3
    assert len(held_out_rows(10, 0, 0, "x")[1]) == 0

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.image.augment import NO_AUGMENTATION, Augmentation, Draw, augment, draw

PIXELS = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
LABELS = torch.tensor([0, 1, 2, 3])


def manual(sign: float = 1, shift: tuple[float, float] = (0, 0), scale: float = 1) -> Draw:
    grid = np.zeros((4, 2, 4))
    grid[:, 0, 0], grid[:, 1, 0] = sign, 1
    grid[:, :, 1] = np.array(shift) * 2 / 32
    grid[:, :, 2] = scale
    return Draw(grid, np.array([1, 2, 3, 0]), np.ones(4))


def test_nothing_drawn_changes_nothing() -> None:
    images, targets = augment(PIXELS, LABELS, 10, draw(NO_AUGMENTATION, 4, 32, rng()))
    assert torch.equal(images, PIXELS.float() / 255)
    assert torch.equal(targets.argmax(1), LABELS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_flip_is_a_flip() -> None:
    images, _ = augment(PIXELS, LABELS, 10, manual(sign=-1))
    torch.testing.assert_close(images, PIXELS.float().flip(3) / 255, atol=1e-5, rtol=0)


def test_a_translation_moves_whole_pixels_and_leaves_black() -> None:
    images, _ = augment(PIXELS, LABELS, 10, manual(shift=(3, -2)))
    original = PIXELS.float() / 255
    torch.testing.assert_close(images[:, :, :-2, 3:], original[:, :, 2:, :-3], atol=1e-5, rtol=0)
    assert images[:, :, :, :3].abs().max() == 0
    assert images[:, :, -2:].abs().max() == 0


def test_a_crop_stretches_a_part_to_the_whole() -> None:
    flat = torch.arange(32).repeat(1, 1, 32, 1).expand(4, 3, 32, 32).byte() * 7
    images, _ = augment(flat, LABELS, 10, manual(scale=0.9))
    row = images[0, 0, 0] * 255 / 7
    expected = ((torch.arange(32) + 0.5) / 16 - 1) * 0.9 * 16 + 15.5
    torch.testing.assert_close(row, expected, atol=1e-3, rtol=0)


def test_mixup_mixes_images_and_labels_alike() -> None:
    drawn = Draw(manual().grid, np.array([1, 2, 3, 0]), np.array([0.25, 1, 1, 1]))
    images, targets = augment(PIXELS, LABELS, 10, drawn)
    original = PIXELS.float() / 255
    torch.testing.assert_close(images[0], 0.25 * original[0] + 0.75 * original[1])
    assert torch.equal(images[1:], original[1:])
    assert targets[0].tolist()[:2] == [0.25, 0.75]
    assert torch.allclose(targets.sum(1), torch.ones(4))


def test_each_happens_as_often_as_asked() -> None:
    drawn = draw(Augmentation(mixup=0.3, flip=0.2, crop=0.6, translate=0.7), 20_000, 32, rng())
    sign, shift, scale, centre = np.moveaxis(drawn.grid, 2, 0)
    assert (sign[:, 0] < 0).mean() == pytest.approx(0.2, abs=0.02)
    assert (sign[:, 1] == 1).all()
    assert (scale < 1).any(1).mean() == pytest.approx(0.6, abs=0.02)
    assert (drawn.weight < 1).mean() == pytest.approx(0.3, abs=0.02)
    mixed = drawn.weight[drawn.weight < 1]
    assert mixed.var() == pytest.approx(1 / 16, abs=0.005)  # of Beta(1.5, 1.5)
    moved = (shift != 0).any(1).mean()
    assert moved == pytest.approx(0.7 * (1 - 1 / 49), abs=0.02)
    assert np.abs(shift).max() == 3 * 2 / 32
    assert (np.abs(centre) + scale <= 1 + 1e-9).all()  # a crop stays inside the image
    assert (drawn.partner != np.arange(20_000)).all()


def test_images_are_mixed_within_their_batch() -> None:
    drawn = draw(Augmentation(), 64, 32, rng(), batch=16)
    assert (drawn.partner // 16 == np.arange(64) // 16).all()
    assert (drawn.partner != np.arange(64)).all()


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(NaspError, match=r"flip=1.5: it must lie between 0 and 1"):
        Augmentation(flip=1.5)
    with pytest.raises(NaspError, match=r"mixup_alpha=0: it must be above 0"):
        Augmentation(mixup_alpha=0)
    assert Augmentation(mixup_alpha=3.0).mixup_alpha == 3

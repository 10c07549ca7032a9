from __future__ import annotations

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.image.crop import (
    CropDraw,
    Cropping,
    crop,
    cut_out,
    draw_crops,
    normalise,
    pad_images,
)

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (6, 3, 8, 8), dtype=np.uint8))


def test_a_crop_is_the_one_that_a_loop_makes() -> None:
    cropping = Cropping(pad=2, flip=0.5)
    drawn = draw_crops(cropping, 40, 8, np.random.default_rng(1))
    rows = torch.arange(40) % 6
    images = crop(pad_images(PIXELS, cropping), rows, drawn, cropping)
    assert images.shape == (40, 3, 8, 8)
    for image, row, top, left, flip in zip(images, rows, *drawn[:3], strict=True):
        black = np.zeros((3, 12, 12), np.uint8)
        black[:, 2:10, 2:10] = PIXELS[row]
        wanted = black[:, top : top + 8, left : left + 8]
        wanted = wanted[:, :, ::-1] if flip else wanted
        np.testing.assert_array_equal(image, wanted)
    assert set(drawn.top.tolist()) == set(drawn.left.tolist()) == set(range(5))
    assert 5 < int(drawn.flip.sum()) < 35


def test_nothing_is_done_where_nothing_is_asked() -> None:
    cropping = Cropping(pad=0, flip=0.0, cutout=0)
    drawn = draw_crops(cropping, 6, 8, np.random.default_rng(0))
    images = crop(pad_images(PIXELS, cropping), torch.arange(6), drawn, cropping)
    assert torch.equal(images, PIXELS)
    floats = images.float()
    assert torch.equal(cut_out(floats.clone(), drawn.centre, 0), floats)


@pytest.mark.parametrize(("row", "column", "erased"), [(4, 4, 16), (0, 0, 4), (7, 4, 12)])
def test_cutout_reaches_beyond_the_border(row: int, column: int, erased: int) -> None:
    images = torch.ones(1, 3, 8, 8)
    cut = cut_out(images, torch.tensor([[row, column]]), 4)
    assert int((cut == 0).sum()) == 3 * erased
    inside = cut[0, 0, max(0, row - 2) : row + 2, max(0, column - 2) : column + 2]
    assert torch.equal(inside, torch.zeros_like(inside))


def test_normalised_images_have_the_mean_and_deviation_asked_for() -> None:
    scaled = PIXELS.double() / 255
    mean, std = scaled.mean((0, 2, 3)), scaled.std((0, 2, 3))
    images = normalise(PIXELS, mean.float(), std.float())
    torch.testing.assert_close(
        images, ((scaled - mean[:, None, None]) / std[:, None, None]).float()
    )


def test_draws_are_cut_and_moved_together() -> None:
    drawn = draw_crops(Cropping(), 10, 8, np.random.default_rng(0))
    part = drawn.to("cpu").rows(slice(2, 5))
    assert isinstance(part, CropDraw)
    assert [len(item) for item in part] == [3, 3, 3, 3]
    assert torch.equal(part.centre, drawn.centre[2:5])


@pytest.mark.parametrize("wrong", [{"pad": -1}, {"cutout": 1.5}, {"flip": 2}])
def test_a_number_that_cannot_be_is_one_sentence(wrong: dict[str, float]) -> None:
    with pytest.raises(NaspError, match=f"data.{next(iter(wrong))}="):
        Cropping(**wrong)  # type: ignore[arg-type]

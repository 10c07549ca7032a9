from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.callbacks.checkpoint import (
    ClockCheckpoint,
    checkpoint_path,
    random_states,
    restore_random_states,
)
from nasp_lightning.error import NaspError
from nasp_lightning.framework.supervised import Supervised
from tests.framework.runs import Linear, fit, make_data


def draw() -> list[float]:
    return [
        random.random(),
        float(np.random.rand()),  # noqa: NPY002
        float(np.random.randn()),  # noqa: NPY002
        float(torch.rand(1)),
    ]


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    draw()
    states = random_states()
    wanted = draw() + draw()
    torch.save(states, tmp_path / "s")
    restore_random_states(torch.load(tmp_path / "s", weights_only=True))
    assert draw() + draw() == wanted


def count_saves(clock: ClockCheckpoint, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    saved: list[int] = []
    original = clock.save

    def save(trainer: Any) -> None:
        saved.append(trainer.current_epoch)
        original(trainer)

    monkeypatch.setattr(clock, "save", save)
    return saved


@pytest.mark.parametrize(("seconds", "epochs"), [(0, [0, 1, 2, 3]), (1000, [])])
def test_it_saves_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, epochs: list[int]
) -> None:
    clock = ClockCheckpoint(tmp_path, seconds)
    saved = count_saves(clock, monkeypatch)
    fit(Supervised(), make_data(), 4, callbacks=(clock,))
    assert saved == epochs
    assert checkpoint_path(tmp_path).exists() == bool(epochs)


def test_a_checkpoint_is_plain_and_the_only_file(tmp_path: Path, monkeypatch: Any) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    folder = tmp_path / "run"
    clock = ClockCheckpoint(folder, 0)
    seen: list[str] = []
    original = ClockCheckpoint._count

    def spied(self: ClockCheckpoint) -> None:
        seen.extend(path.name for path in elsewhere.iterdir())
        original(self)

    monkeypatch.setattr(ClockCheckpoint, "_count", spied)
    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener._open", forbidden)
    fit(Supervised(), make_data(), 2, callbacks=(clock,))
    assert not seen
    assert [path.name for path in folder.iterdir()] == ["checkpoint.ckpt"]
    content = torch.load(clock.path, weights_only=True)
    assert content["epoch"] == 1


def forbidden(*arguments: Any) -> None:
    raise AssertionError("Lightning's own writer goes through the system's /tmp")


def test_the_time_of_all_attempts_is_added(tmp_path: Path) -> None:
    first = ClockCheckpoint(tmp_path, 0)
    trainer = fit(Supervised(), make_data(), 2, callbacks=(first,))
    first.save(trainer)
    second = ClockCheckpoint(tmp_path, 1000)
    fit(Supervised(), make_data(), 4, callbacks=(second,), checkpoint=first.path)
    assert second.fit_seconds > first.fit_seconds > 0


def test_a_resumed_fit_is_the_unbroken_one(tmp_path: Path) -> None:
    """The checkpoint of the beginning of epoch 3 leads to the same weights."""
    whole, again = Linear(), Linear()
    fit(Supervised(), make_data(), 6, whole)
    clock = ClockCheckpoint(tmp_path, 0)
    part = make_data()
    fit(Supervised(), part, 6, Linear(), callbacks=(clock,))
    assert torch.load(clock.path, weights_only=True)["epoch"] == 5
    fit(Supervised(), make_data(), 6, again, checkpoint=clock.path)
    assert torch.equal(whole.table, again.table)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nasp_lightning.callbacks.checkpoint.PlainFileIO.save_checkpoint", full)
    with pytest.raises(NaspError, match=r"cannot write .*checkpoint.ckpt: the disk is full"):
        fit(Supervised(), make_data(), 2, callbacks=(ClockCheckpoint(tmp_path, 0),))
    assert list(tmp_path.iterdir()) == []

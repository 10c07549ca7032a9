from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.run.repeats import (
    Repeat,
    read_repeat,
    remove_repeats,
    watched,
    write_repeat,
)

REPEAT = Repeat(
    np.array([4, 2]),
    np.array([0.5, 0.75]),
    np.nan,
    1.5,
    {"front": np.array([1]), "cost": np.ones(1)},
)


def test_what_was_written_is_read(tmp_path: Path):
    assert read_repeat(tmp_path, 3, "key") is None
    write_repeat(tmp_path, 3, "key", REPEAT)
    found = read_repeat(tmp_path, 3, "key")
    assert found is not None
    assert found.rows.tolist() == [4, 2]
    assert found.labels.tolist() == [0.5, 0.75]
    assert np.isnan(found.seconds)
    assert found.wall_seconds == 1.5
    assert {name: array.tolist() for name, array in found.extras.items()} == {
        "front": [1],
        "cost": [1.0],
    }
    remove_repeats(tmp_path)
    assert read_repeat(tmp_path, 3, "key") is None


def test_what_lower_labels_cost_is_kept(tmp_path: Path):
    write_repeat(tmp_path, 0, "key", REPEAT)
    found = read_repeat(tmp_path, 0, "key")
    assert found is not None
    assert (found.spent_at, found.bought, found.spent) == (None, None, None)
    spent = replace(REPEAT, spent_at=np.array([1.5, 2.5]), bought=np.array([8]), spent=2.75)
    write_repeat(tmp_path, 1, "key", spent)
    found = read_repeat(tmp_path, 1, "key")
    assert found is not None
    assert found.spent_at is not None
    assert found.bought is not None
    assert (found.spent_at.tolist(), found.bought.tolist(), found.spent) == ([1.5, 2.5], [8], 2.75)
    assert found.extras.keys() == REPEAT.extras.keys()


def test_a_damaged_repeat_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_repeat(tmp_path, 0, "key", REPEAT)
    (file,) = tmp_path.glob("repeats/*.npz")
    whole = file.read_bytes()
    for part in (b"", whole[: len(whole) // 2], b"nonsense"):
        file.write_bytes(part)
        with caplog.at_level(logging.WARNING):
            assert read_repeat(tmp_path, 0, "key") is None
    assert caplog.text.count("is damaged: this repeat is done again") == 3


def test_a_repeat_of_another_config_is_refused(tmp_path: Path):
    write_repeat(tmp_path, 0, "one", REPEAT)
    with pytest.raises(NaspError, match="belongs to a run with another config"):
        read_repeat(tmp_path, 0, "two")


def test_watching_changes_nothing():
    assert list(watched(range(4), "search")) == [0, 1, 2, 3]

"""Fully Top Sampling is Batch Top Sampling over the whole space, with the same settings."""

from __future__ import annotations

import pytest

from nasp_lightning.framework.batch_top_sampling import BatchTopSampling
from nasp_lightning.framework.fully_top_sampling import FullyTopSampling


def test_it_ranks_the_whole_space() -> None:
    settings = {"initial": 0.5, "updates": 4, "schedule": "paper", "warm_up": 0.1}
    more = {"replacement": False, "final_factor": 0.2, "selection_epochs": 2}
    framework = FullyTopSampling(**settings, **more)
    assert framework.share == 1.0
    for name, value in {**settings, **more}.items():
        assert getattr(framework, name) == value


def test_its_defaults_are_the_others() -> None:
    batch, fully = vars(BatchTopSampling()), vars(FullyTopSampling())
    plain = {name: value for name, value in batch.items() if isinstance(value, int | float | str)}
    assert len(plain) > 5
    for name in plain.keys() - {"share"}:
        assert fully[name] == plain[name], name


def test_a_share_of_the_space_is_none_of_its_settings() -> None:
    with pytest.raises(TypeError, match="share"):
        FullyTopSampling(share=0.5)

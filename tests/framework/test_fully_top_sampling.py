"""Fully Top Sampling is Batch Top Sampling over the whole space, with the same settings."""

from __future__ import annotations

import inspect

from nasp_lightning.framework.batch_top_sampling import BatchTopSampling
from nasp_lightning.framework.fully_top_sampling import FullyTopSampling


def test_it_ranks_the_whole_space() -> None:
    settings = {"initial": 0.5, "updates": 4, "schedule": "paper", "warm_up": 0.1}
    more = {"replacement": False, "final_factor": 0.2, "selection_epochs": 2}
    framework = FullyTopSampling(**settings, **more)
    assert framework.share == 1.0
    for name, value in {**settings, **more}.items():
        assert getattr(framework, name) == value


def test_its_settings_and_defaults_are_the_others() -> None:
    batch, fully = (
        {name: item.default for name, item in inspect.signature(kind).parameters.items()}
        for kind in (BatchTopSampling, FullyTopSampling)
    )
    batch.pop("share")
    assert fully == batch

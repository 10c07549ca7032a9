"""The frame of every job: in this order, once, its results last."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from nasp_lightning.job.base import Job
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.results import BuildResults
from tests.tiny import compose_config


class Noted(Job[BuildResults]):
    """Notes what is asked of it."""

    def __init__(self, info: RunInfo, folder: Path) -> None:
        super().__init__(info, folder)
        self.asked: list[str] = []

    def prepare(self) -> None:
        self.asked.append("prepare")

    def describe(self) -> str:
        self.asked.append("describe")
        return "a noted run begins"

    def do(self) -> BuildResults:
        self.asked.append("do")
        assert (self.folder / "config.yaml").exists()
        assert not (self.folder / "results.json").exists()
        return BuildResults(
            origin=self.info.origin(),
            benchmark="tinynano",
            fidelity="cpu",
            recipe_hash="0",
            epochs=1,
            path="somewhere",
            members=1,
            first_member=0,
            diverged=0,
            test_accuracy_mean=0.5,
            test_accuracy_best=None,
            seconds_mean=1.0,
            seconds_sum=1.0,
            files={},
        )

    def tell(self, results: BuildResults) -> None:
        self.asked.append("tell")
        assert json.loads((self.folder / "results.json").read_text()) == results.to_json()


def test_a_job_is_done_in_order_and_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    info = RunInfo.of(compose_config("benchmark=nasbench201"))
    job = Noted(info, tmp_path)
    with caplog.at_level(logging.INFO):
        content = job.once()
    assert job.asked == ["prepare", "describe", "do", "tell"]
    assert "a noted run begins" in caplog.text
    assert content["config_hash"] == info.config_hash
    again = Noted(info, tmp_path)
    assert again.once() == content
    assert again.asked == []

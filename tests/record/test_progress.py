from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from nasp_lightning.record import progress
from nasp_lightning.record.progress import progress_bar


def test_nothing_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 10, "records") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_hours_of_work_are_told_in_lines_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 10.0, 30.0, 45.0, 90.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with (
        caplog.at_level(logging.INFO),
        progress_bar("trainings", 9, "architectures", per_minute=True) as advance,
    ):
        for _ in range(4):
            advance(1)
    assert caplog.messages == [
        "trainings: 2 of 9 architectures, 4.0 a minute",
        "trainings: 4 of 9 architectures, 2.7 a minute",
    ]


@pytest.mark.parametrize("unit", ["bytes", "records"])
@pytest.mark.parametrize("total", [10, None])
def test_bar_on_a_terminal(
    unit: str,
    total: int | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading it", total, unit) as advance:
        advance(3)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "reading it" in shown

from __future__ import annotations

import io
import logging

import pytest

from nasp_lightning.callbacks.monitor import Monitor
from nasp_lightning.callbacks.progress import Progress
from nasp_lightning.framework.self_evolution import SelfEvolution
from nasp_lightning.framework.supervised import Supervised
from tests.framework.runs import fit, make_data


def test_lines_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nasp_lightning")
    callbacks = (Monitor(1), Progress(every_seconds=0))
    fit(SelfEvolution(iterations=1), make_data(), 2, callbacks=callbacks)
    lines = [record.getMessage() for record in caplog.records if ": epoch" in record.getMessage()]
    assert [line.split(" loss")[0] for line in lines] == [
        "supervised: epoch 1/3",
        "supervised: epoch 2/3",
        "self_evolution: epoch 3/3",
    ]
    assert all(" tau " in line for line in lines)


def test_nothing_where_nothing_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nasp_lightning")
    for callback in (Progress(enabled=False, every_seconds=0), Progress(every_seconds=1000)):
        fit(Supervised(), make_data(), 2, callbacks=(callback,))
    assert not [record for record in caplog.records if ": epoch" in record.getMessage()]


def test_a_bar_on_a_terminal_is_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress()
    fit(Supervised(), make_data(), 3, callbacks=(progress,))
    assert progress._bar is None
    assert "3/3" in screen.getvalue()
    assert "loss" in screen.getvalue()

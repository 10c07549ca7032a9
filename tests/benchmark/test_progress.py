from __future__ import annotations

import sys

import pytest

from nasp_lightning.benchmark.progress import progress_bar


def test_nothing_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 10, "records") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


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

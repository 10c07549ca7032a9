from __future__ import annotations

from pathlib import Path

import pytest

from nasp_lightning.job import train_predictor
from nasp_lightning.report import finished
from nasp_lightning.report.finished import print_summary
from tests.tiny import make_config, tiny_table


def test_what_the_run_ends_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("framework=self_evolution", "framework.iterations=1", "trainer.max_epochs=1")
    results = train_predictor.run(make_config(*words), tmp_path, tiny_table())
    told = capsys.readouterr().out
    for phase, labels in (("supervised", 20), ("self_evolution", 30)):
        (line,) = [line for line in told.splitlines() if f"({phase}, mse)" in line]
        assert f" {labels} " in line
        assert f"{results['phases'][phase]['kendall_tau']:.4f}" in line
    assert f"{100 * results['best_in_top_k']:.2f} %" in told
    assert f"{100 * results['regret_at_k']:.2f} points below the best" in told
    assert f"{100 * results['best_percent_in_top_k']:.0f} % of them in the best 1 %" in told
    assert f"true best 10 %: {results['kendall_tau_top_tenth']:.3f}" in told
    assert "another protocol" not in told  # no paper has this benchmark
    assert "data.train_on_validation=true" in told  # the control of self-evolution
    assert str(tmp_path / "results.json") in told.replace("\n", "")


def test_a_tau_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = train_predictor.run(make_config("trainer.max_epochs=1"), tmp_path, tiny_table())
    results["phases"]["supervised"]["kendall_tau_excluding_train"] = None
    capsys.readouterr()
    print_summary(results, tmp_path)
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(("published", "told"), [("0.600*", True), ("0.600", False)])
def test_a_published_number_under_another_protocol(
    published: str,
    told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finished, "published_text", lambda folder, phase: published)
    train_predictor.run(make_config("trainer.max_epochs=1"), tmp_path, tiny_table())
    printed = capsys.readouterr().out
    assert published in printed
    assert ("under another protocol" in printed) == told

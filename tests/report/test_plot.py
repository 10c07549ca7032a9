from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report import collect_runs, summarise
from nasp_lightning.report.figure.plot import plot_rows, scatter
from tests.report.conftest import WriteRun, self_evolution


def test_one_figure_for_each_benchmark(write_run: WriteRun, tmp_path: Path):
    pytest.importorskip("matplotlib")
    for seed in range(2):
        for size in (100, 424):
            write_run(seed=seed, **self_evolution(0.7, train_size=size))
    write_run(test_size=100)
    write_run(benchmark="macro", source="csv", train_size=50)
    rows = summarise(collect_runs([tmp_path]), include_published=True)
    written = plot_rows(rows, tmp_path / "figures")
    assert sorted(path.name for path in written) == [
        "macro_cifar10_csv_423624.png",
        "macro_cifar10_csv_423624.svg",
        "nasbench101_cifar10_official_423624.png",
        "nasbench101_cifar10_official_423624.svg",
    ]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    text = next(path for path in written if path.match("nasbench101*.svg")).read_text()
    for word in ("tnasp + SE", "published", "ranking 100 architectures", "training labels"):
        assert f">{word}" in text
    assert ">pinat" not in text  # not run: in the table only
    again = plot_rows(rows, tmp_path / "again")
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(written, again, strict=True))


def test_a_legend_of_many_long_names_is_not_cut(write_run: WriteRun, tmp_path: Path):
    pytest.importorskip("matplotlib")
    from nasp_lightning.report.figure import plot
    from nasp_lightning.report.figure.style import styled_figure

    for predictor in ("neural_predictor", "nao", "tnasp"):
        write_run(predictor=predictor)
        write_run(predictor=predictor, framework="seminas")
        write_run(predictor=predictor, **self_evolution(0.7))
        write_run(predictor=predictor, train_on_validation=True)
    rows = summarise(collect_runs([tmp_path]))
    with styled_figure(plot.WIDTH, 6) as figure:
        plot._draw(figure, rows)
        figure.canvas.draw()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
    assert len(plot.plot_rows(rows, tmp_path / "figures")) == 2


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NaspError, match=r"pip install 'nasp-lightning\[report\]'"):
        plot_rows([], tmp_path)


@pytest.mark.parametrize(("count", "drawn"), [(100, "PathCollection"), (6000, "PolyCollection")])
def test_scatter_shows_points_or_their_density(count: int, drawn: str):
    pytest.importorskip("matplotlib")
    predicted = np.linspace(0, 1, count)
    figure = scatter(predicted, predicted[::-1], "a title")
    panel = figure.axes[0]
    assert [type(item).__name__ for item in panel.collections] == [drawn]
    assert panel.get_title() == "a title"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("predicted", "true accuracy")
    assert len(figure.axes) == (1 if count == 100 else 2)  # the colour bar of the counts
    figure.canvas.draw()


def test_scatter_without_matplotlib(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NaspError, match=r"pip install 'nasp-lightning\[report\]'"):
        scatter(np.arange(2.0), np.arange(2.0))

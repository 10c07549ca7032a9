from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.report.figure.drawing import draw_architecture, draw_front
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.mobilenet import MobileNet

pytest.importorskip("matplotlib")


def texts(path: Path) -> str:
    return path.with_suffix(".svg").read_text(encoding="utf-8")


def test_a_chain_shows_its_blocks_stage_by_stage(tmp_path: Path):
    space = MobileNet()
    operations, _ = space.from_string("206220240442424200022")
    written = draw_architecture(tmp_path, "best", space, operations)
    assert [path.name for path in written] == ["best.png", "best.svg"]
    drawn = texts(written[0])
    assert drawn.count("mb3 k5") == "206220240442424200022".count("2")
    assert drawn.count("identity") == 1
    draw_architecture(tmp_path, "macro", Macro(), np.array([0, 1, 2, 0, 1, 2, 0, 1]))
    assert texts(tmp_path / "macro.png").count("mb6 k5") == 2


def test_cells_are_drawn_as_graphs(tmp_path: Path):
    space = Darts()
    operations, adjacency = space.sample(np.random.default_rng(0), 1)
    draw_architecture(tmp_path, "cells", space, operations[0], adjacency[0])
    assert "reduction cell" in texts(tmp_path / "cells.png")


def test_the_front_is_drawn(tmp_path: Path):
    scores, cost = np.array([0.5, 0.6, 0.4]), np.array([1e6, 2e6, 3e6])
    written = draw_front(tmp_path, scores, cost, np.array([0, 1]))
    assert "multiply-adds (millions)" in texts(written[0])

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from nasp_lightning.error import NaspError
from nasp_lightning.report.figure.chain import FIXED, LEAST, TALLEST, draw_boxes, draw_chain
from nasp_lightning.report.figure.style import COLOURS, styled_figure
from nasp_lightning.space.chain import Box
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.mobilenet import MobileNet
from nasp_lightning.space.nasbench201 import NASBench201

RLNAS = "206220240442424200022"


def test_a_drawing_names_layers_widths_and_costs(tmp_path: Path) -> None:
    space = MobileNet()
    operations, _ = space.from_string(RLNAS)
    files = draw_chain(space, operations, tmp_path, "best", "5.3 M parameters")
    assert [path.name for path in files] == ["best.png", "best.svg"]
    text = files[1].read_text(encoding="utf-8")
    for word in ("MB3 5×5", "MB3 7×7", "identity", "conv 1×1", "1728", "56²", "5.3 M parameters"):
        assert word in text, word
    assert text.count("MB3 5×5") == RLNAS.count("2")
    assert "MB6" not in text
    draw_chain(space, operations, tmp_path, "again", "5.3 M parameters")
    assert (tmp_path / "again.svg").read_text() == text, "the same architecture, the same file"


def test_any_chain_is_drawn(tmp_path: Path) -> None:
    space = Macro()
    files = draw_chain(space, space.from_string("02012100")[0], tmp_path)
    assert files[1].name == "architecture.svg"
    text = files[1].read_text(encoding="utf-8")
    assert (text.count("MB6 5×5"), text.count("MB3 3×3"), text.count("identity")) == (2, 2, 4)


def test_colours_are_the_kernels_and_heights_the_expansions() -> None:
    boxes = [
        Box("a", "3×3", 1.0, "8"),
        Box("b", "5×5", 0.75, "8"),
        Box("c", None, 0.1, "9"),
        Box("d", None, 0.0),
    ]
    with styled_figure(4, 2) as figure:
        draw_boxes(figure, boxes, ["1×1", "3×3", "5×5"], "title")
        (panel,) = figure.axes
        found = [(to_hex(p.get_facecolor()).upper(), p.get_height()) for p in panel.patches]
        assert found == [
            (COLOURS[1], TALLEST),
            (COLOURS[2], TALLEST * 0.75),
            (FIXED.upper(), LEAST),
            ("#FFFFFF", LEAST),
        ]
        assert [text.get_text() for text in panel.texts] == ["a", "b", "c", "d", "8", "9"]
        legend = panel.get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["1×1", "3×3", "5×5"]


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match="only chains of layers"):
        draw_chain(NASBench201(), np.zeros(6, dtype=np.uint8), tmp_path)
    with pytest.raises(NaspError, match="identity"):
        draw_chain(MobileNet(), np.full(21, 6), tmp_path)
    assert not list(tmp_path.iterdir())

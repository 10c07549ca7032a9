from __future__ import annotations

from nasp_lightning.report.figure.style import COLOURS, look


def test_no_two_methods_look_alike():
    looks = [look(index) for index in range(3 * len(COLOURS))]
    assert len(set(looks)) == len(looks)
    without_marker = [(colour, dashes) for colour, _, dashes in looks]
    assert len(set(without_marker)) == len(looks)
    without_dashes = [each[:2] for each in looks]
    assert len(set(without_dashes)) == len(looks)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report.figure.genotype import columns, draw_genotype, operation_label
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.darts_genotype import OPERATIONS, parse
from tests.space.genotypes import PC_DARTS, V2

pytest.importorskip("matplotlib")


def test_both_cells_are_drawn(tmp_path: Path) -> None:
    written = draw_genotype(parse(PC_DARTS), tmp_path, "best", "3.63 M parameters")
    assert [path.name for path in written] == ["best.png", "best.svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    text = written[1].read_text()
    for name in ("normal cell", "reduction cell", "3.63 M parameters"):
        assert name in text
    assert text.count(">sep conv 3×3<") == 7
    assert text.count(">dil conv 3×3<") == 2
    assert text.count(">skip<") == text.count(">avg pool 3×3<") == 1
    assert text.count(">+<") == 8


def test_the_same_genotype_gives_the_same_files(tmp_path: Path) -> None:
    first = draw_genotype(PC_DARTS, tmp_path, "first")
    second = draw_genotype(parse(PC_DARTS), tmp_path, "second")
    other = draw_genotype(V2, tmp_path, "other")
    for mine, same, differs in zip(first, second, other, strict=True):
        assert mine.read_bytes() == same.read_bytes() != differs.read_bytes()


def test_any_architecture_is_drawn(tmp_path: Path) -> None:
    space = Darts()
    operations, adjacency = space.sample(np.random.default_rng(0), 1)
    assert len(draw_genotype(space.genotype(operations[0], adjacency[0]), tmp_path)) == 2


def test_nothing_stands_on_anothers_wire() -> None:
    taps, sums = columns()
    places = sorted([*taps, *sums])
    assert min(np.diff(places)) >= 0.6  # wide enough for half an operation's name
    assert all(taps[2 * node + 1] < sums[node] for node in range(4))


def test_labels() -> None:
    labels = [operation_label(name) for name in OPERATIONS]
    assert labels[:3] == ["max pool 3×3", "avg pool 3×3", "skip"]
    assert len(set(labels)) == 7


def test_no_genotype(tmp_path: Path) -> None:
    with pytest.raises(NaspError, match="is no genotype"):
        draw_genotype("02012", tmp_path)
    assert not list(tmp_path.iterdir())

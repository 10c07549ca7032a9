from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import SearchRun, collect
from nasp_lightning.report.paired import compare, main, to_csv
from tests.report.searches import write_search


def write(folder: Path, name: str, n: int, final: Any, **changes: Any) -> None:
    """A run of N + 10 whose repeats end with that regret ``[R]``."""
    final = np.asarray(final, dtype=float)
    settings = {"train_size": n, "top_k": 10}
    hashes = {"family_hash": name, "config_hash": f"{folder.name}/{name}{n}"}
    changes = {"settings": settings, "anytime": False, **hashes, **changes}
    regret = np.tile(final[:, None], (1, n + settings["top_k"]))
    write_search(folder / f"{name}{n}", regret, search="n_plus_k", name=name, **changes)


def found(folder: Path) -> list[SearchRun]:
    return collect([folder]).searches


def test_the_difference_within_repeats(tmp_path: Path) -> None:
    """Seeds differ far more than the methods: only the pairs show which one is better."""
    seeds = np.random.default_rng(0).random(40)
    write(tmp_path, "code", 20, seeds - 0.01)
    write(tmp_path, "naive", 20, seeds)
    write(tmp_path, "code", 60, seeds[:30])
    write(tmp_path, "naive", 60, seeds)
    write(tmp_path, "code", 90, seeds)  # the other has no such point
    at20, at60, everywhere = compare(found(tmp_path), "code", "naive")
    assert (at20.train_size, at20.repeats) == (20, 40)
    assert [at20.mean, *at20.interval] == pytest.approx([-0.01] * 3, abs=1e-6)
    assert (at60.train_size, at60.repeats, at60.mean) == (60, 30, 0)
    assert (everywhere.train_size, everywhere.repeats) == (None, 30)
    assert everywhere.mean == pytest.approx(-0.005, abs=1e-6)
    rows = list(csv.DictReader(to_csv([at20, everywhere]).splitlines()))
    assert [row["train_size"] for row in rows] == ["20", ""]


def test_data_sets_and_k_are_not_mixed(tmp_path: Path) -> None:
    for dataset, gap in (("cifar10", 0.1), ("cifar100", 0.2)):
        write(tmp_path / dataset, "code", 20, [gap, 0.3 + gap], dataset=dataset)
        write(tmp_path / dataset, "naive", 20, [0.0, 0.3], dataset=dataset)
    settings = {"train_size": 20, "top_k": 5}
    write(tmp_path / "k", "naive", 20, [0.9, 0.9], settings=settings, family_hash="k")
    rows = compare(found(tmp_path), "code", "naive")
    assert [row.key[1] for row in rows] == ["cifar10", "cifar100"]
    assert [row.mean for row in rows] == pytest.approx([0.1, 0.2])


def test_repeats_of_other_seeds_are_no_pairs(tmp_path: Path) -> None:
    """Repeat 0 of ``seed=0`` and of ``seed=1`` have other splits."""
    write(tmp_path / "0", "code", 20, [0.1, 0.2], seed=0)
    write(tmp_path / "1", "code", 20, [0.3, 0.4, 0.5], seed=1)
    write(tmp_path / "1", "naive", 20, [0.2, 0.3, 0.4], seed=1)
    (row,) = compare(found(tmp_path), "code", "naive")
    assert (row.repeats, row.mean) == (3, pytest.approx(0.1, abs=1e-6))
    write(tmp_path / "0", "naive", 20, [0.1, 0.2], seed=0)
    (row,) = compare(found(tmp_path), "code", "naive")
    assert (row.repeats, row.mean) == (5, pytest.approx(0.06, abs=1e-6))


def test_a_damaged_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("code", "naive"):
        write(tmp_path, name, 20, [0.1, 0.2])
    write(tmp_path, "code", 60, [0.1, 0.2])
    (tmp_path / "code60" / "curves.npz").write_bytes(b"PK")
    assert main([str(tmp_path), "--pair", "code", "naive"]) == 0
    assert "code60: curves.npz is absent or damaged" in capsys.readouterr().err


def test_what_cannot_be_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "code", 20, [0.1, 0.2])
    write(tmp_path, "single", 20, [0.1])
    write(tmp_path, "later", 60, [0.1, 0.2])
    with pytest.raises(NaspError, match="named 'bts'; there are code, later, single"):
        compare(found(tmp_path), "code", "bts")
    for other in ("single", "later"):
        with pytest.raises(NaspError, match=f"code and {other} share no data set, N and K with"):
            compare(found(tmp_path), "code", other)
    write(tmp_path / "again", "code", 20, [0.1, 0.2], family_hash="other")
    with pytest.raises(NaspError, match="the same seed and 20 labels"):
        compare(found(tmp_path), "code", "later")
    assert main([str(tmp_path), "--pair", "code", "later"]) == 2
    assert "code20 and another run named code" in capsys.readouterr().err


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "runs", "code", 20, [0.1, 0.2])
    write(tmp_path / "runs", "naive", 20, [0.2, 0.2])
    files = ["--csv", str(tmp_path / "paired.csv"), "--markdown", str(tmp_path / "paired.md")]
    pairs = ["--pair", "code", "naive", "--pair", "naive", "code"]
    assert main([str(tmp_path / "runs"), *pairs, *files]) == 0
    text = (tmp_path / "paired.md").read_text()
    assert capsys.readouterr().out == text
    assert "| code | naive | 20 | -5.000 (" in text
    assert "| naive | code | 20 | +5.000 (" in text
    assert len((tmp_path / "paired.csv").read_text().splitlines()) == 3

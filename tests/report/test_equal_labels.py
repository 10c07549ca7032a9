from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import collect
from nasp_lightning.report.equal_labels import (
    Curve,
    choose,
    compare,
    compare_all,
    labels_for,
    main,
    read_curves,
    to_csv,
    to_markdown,
)
from nasp_lightning.report.regret import regret_csv, summarise_searches
from tests.report.searches import write


def curve(
    method: str, regrets: list[float], spread: float = 0.0, codes: float | None = 0.0
) -> Curve:
    labels = tuple(60.0 + 40 * place for place in range(len(regrets)))
    return Curve(
        *("spikenas", "cifar10", f"{method}, N+30"),
        labels=labels,
        regrets=tuple(regrets),
        intervals=tuple((regret - spread, regret + spread) for regret in regrets),
        codes=(codes,) * len(regrets),
        code_labels=(0.0 if codes == 0 else None,) * len(regrets),
    )


@pytest.mark.parametrize(
    ("target", "needed"),
    [(0.5, 60), (0.4, 60), (0.3, 80), (0.2, 100), (0.15, 130), (0.1, 140), (0.05, None)],
)
def test_labels_between_the_points_of_a_curve(target: float, needed: float | None) -> None:
    """The third point is worse than the second, as noisy means are: the first crossing counts."""
    found = labels_for((60, 100, 120, 140), (0.4, 0.2, 0.2, 0.1), target)
    assert found == (None if needed is None else pytest.approx(needed))


def test_what_the_code_saves() -> None:
    without = curve("naive", [0.4, 0.3, 0.2, 0.1])
    first, last = compare(curve("siamese", [0.25, 0.15], 0.01, codes=100), without, 0.003)
    assert first.needed == pytest.approx(120)
    assert list(first.interval) == pytest.approx([116, 124])
    assert first.code_labels == pytest.approx(0.3)
    assert first.ratio == pytest.approx(60.3 / 120)
    assert (first.saves, last.saves) == ("yes", "yes")


def test_what_is_within_the_interval_is_open() -> None:
    without = curve("naive", [0.4, 0.3, 0.2])
    _, second = compare(curve("siamese", [0.35, 0.3], 0.05, codes=100), without, 0.003)
    assert list(second.interval) == pytest.approx([80, 120])
    assert second.saves == "open"
    (worse,) = compare(curve("siamese", [0.5], 0.05), without)
    assert (worse.needed, worse.saves, worse.ratio) == (60, "open", 1.0)
    (dearer,) = compare(curve("siamese", [0.5], 0.05, codes=100), without, 0.003)
    assert dearer.saves == "no"


def test_beyond_what_was_run() -> None:
    without = curve("naive", [0.4, 0.3])
    (far,) = compare(curve("siamese", [0.1], 0.01), without)
    assert (far.needed, far.interval, far.ratio, far.saves) == (None, (None, None), None, "yes")
    assert "> 100 (> 100 to > 100)" in to_markdown([far])
    (row,) = csv.DictReader(to_csv([far]).splitlines())
    assert (row["labels_without"], row["saves"]) == ("", "yes")
    later = compare(curve("siamese", [0.4, 0.3, 0.1], 0.01), without)[2]
    assert later.saves == "open", "at 140 labels, nobody knows what the other does beyond 100"


def test_a_cost_that_is_not_stated() -> None:
    (item,) = compare(curve("siamese", [0.3], codes=100), curve("naive", [0.4, 0.2]))
    assert (item.code_labels, item.ratio) == (None, None)
    assert "not stated" in to_markdown([item])


def test_each_on_its_data_set_and_k() -> None:
    naive, siamese = curve("naive", [0.4, 0.2]), curve("siamese", [0.3])
    elsewhere = replace(siamese, dataset="cifar100")
    other_k = replace(siamese, method="siamese, N+5")
    found = compare_all([naive, siamese, elsewhere, other_k], "naive", ["siamese"], None)
    assert [item.curve for item in found] == [siamese]
    with pytest.raises(NaspError, match="no method 'bts' in this file; it has naive, N"):
        choose([naive, siamese], "bts")


def test_from_runs_to_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, n in enumerate((20, 60)):
        write(tmp_path / f"a{n}", n, 10)
        more = {"family_hash": "b" * 12, "queried_codes": 100.0, "code_labels": None}
        write(tmp_path / f"b{n}", n, 10, repeats=5 + number, **more)
    measured = tmp_path / "measured.csv"
    measured.write_text(regret_csv(summarise_searches(collect([tmp_path]).searches)))
    names = [item.method for item in read_curves(measured)]
    assert len(names) == 2
    words = [str(measured), "--without", names[0], "--with", names[1], "--code-cost", "0.003"]
    files = ["--csv", str(tmp_path / "equal.csv"), "--markdown", str(tmp_path / "equal.md")]
    assert main([*words, *files]) == 0
    assert capsys.readouterr().out == (tmp_path / "equal.md").read_text()
    assert len((tmp_path / "equal.csv").read_text().splitlines()) == 3


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--without", "naive", "--with", "siamese"]
    assert main([str(tmp_path / "nothing.csv"), *words]) == 2
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main([str(tmp_path / "other.csv"), *words]) == 2
    told = capsys.readouterr().err
    assert "nothing.csv" in told
    assert "it needs the columns method" in told

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from nasp_lightning.report import collect_runs, summarise
from nasp_lightning.report.table import (
    HEADER,
    PAIRED,
    build_tables,
    control_notice,
    print_tables,
    to_csv,
    to_markdown,
)
from tests.report.conftest import WriteRun, self_evolution


def cells(tmp_path: Path, **options) -> list[dict[str, str]]:
    rows = summarise(collect_runs([tmp_path]), **options)
    return [
        dict(zip((*HEADER, PAIRED), line, strict=True))
        for table in build_tables(rows)
        for section in table.sections
        for line in section
    ]


def test_cells_of_a_comparable_row(write_run: WriteRun, tmp_path: Path):
    write_run(seed=0, **self_evolution(0.7, kendall_tau=0.73))
    write_run(seed=1, **self_evolution(0.7, kendall_tau=0.75))
    assert cells(tmp_path)[1] == {
        "split": "424/all",
        "method": "tnasp + SE",
        "Kendall's tau": "0.740 ± 0.014",
        "top 10 % tau": "",
        "in best 1 %": "",
        "regret": "0.30 ± 0.00",
        "seeds": "2",
        "labels": "424 + 200",
        "selection": "",
        "published": "0.722",
        "difference": "+0.018",
        "over plain": "+0.040 (2 seeds)",
    }


def test_methods_are_set_beside_the_plain_one_seed_by_seed(write_run: WriteRun, tmp_path: Path):
    """Seed 1 is hard: the mean over seeds 0 and 1 of the plain one is below what SM has on 0."""
    write_run(seed=0, kendall_tau=0.70)
    write_run(seed=1, kendall_tau=0.60)
    write_run(seed=0, framework="seminas", kendall_tau=0.68)
    gcn = {"variant": {"predictor.encoder": "gcn"}}
    write_run(seed=1, kendall_tau=0.63, config_hash="a", **gcn)
    write_run(seed=2, kendall_tau=0.90, config_hash="b", **gcn)
    write_run(seed=0, predictor="mlp", framework="seminas", kendall_tau=0.5)
    shown = {cell["method"]: cell["over plain"] for cell in cells(tmp_path)}
    assert shown == {
        "tnasp": "",
        "tnasp + SM": "-0.020 (1 seed)",
        "tnasp, GCN instead of transformer": "+0.030 (1 seed)",
        "mlp + SM": "",
    }


def test_not_comparable_is_marked_with_its_reason(write_run: WriteRun, tmp_path: Path):
    write_run(space_size=20001, partial=True, test_metric="validation_accuracy")
    rows = summarise(collect_runs([tmp_path]))
    (table,) = build_tables(rows)
    assert table.sections[0][0][-3:] == ("(0.705)", "not comparable [1]", "")
    assert table.notes == [
        "20,001 of 423,624 architectures; "
        "tested on validation accuracy (mean), published test accuracy (mean)"
    ]


def test_one_footnote_for_one_reason(write_run: WriteRun, tmp_path: Path):
    for size in (100, 172, 424):
        write_run(train_size=size, source="csv")
    (table,) = build_tables(summarise(collect_runs([tmp_path])))
    assert len(table.sections) == 3
    assert len(table.notes) == 1


def test_first_phase_and_unconfirmed_are_marked(write_run: WriteRun, tmp_path: Path):
    write_run(seed=0, **self_evolution(0.7))
    write_run(seed=1)
    shown = {cell["method"]: cell for cell in cells(tmp_path, include_published=True)}
    assert shown["tnasp"]["seeds"] == "2 [1]"
    assert shown["nn_former"]["published"] == "(0.809 †)"
    assert shown["nar_former_v2"]["published"] == "(0.773 ?)"
    assert shown["nn_former"]["selection"] == "(1024)"
    assert (shown["pinat"]["selection"], shown["renas"]["selection"]) == ("(0)", "")
    assert shown["nn_former"]["Kendall's tau"] == "not run"
    assert shown["pinat"]["published"] == "(0.772)"


def test_the_top_of_the_ranking_is_beside_tau(write_run: WriteRun, tmp_path: Path):
    for seed, (tau, share) in enumerate([(0.2, 0.5), (0.3, 0.7)]):
        top = {"kendall_tau_top_tenth": tau, "best_percent_in_top_k": share}
        write_run(seed=seed, selection_labels=3 * seed, **top)
    write_run(predictor="mlp", top_k=50, regret_at_k=0.0)
    by_method = {cell["method"]: cell for cell in cells(tmp_path)}
    plain, mlp = by_method["tnasp"], by_method["mlp"]
    assert plain["top 10 % tau"] == "0.250 ± 0.071"
    assert plain["in best 1 %"] == "60 ± 14 %"
    assert plain["regret"] == "0.30 ± 0.00 [2]"  # two K are in one table, so each says its own
    assert plain["selection"] == "3"
    assert (mlp["top 10 % tau"], mlp["in best 1 %"]) == ("", "")  # of an older version
    assert (mlp["regret"], mlp["selection"]) == ("0.00 [1]", "")
    rows = summarise(collect_runs([tmp_path]))
    assert build_tables(rows)[0].notes == ["K = 50", "K = 10"]
    record = {row["method"]: row for row in csv.DictReader(io.StringIO(to_csv(rows)))}["tnasp"]
    assert float(record["kendall_tau_top_tenth_mean"]) == pytest.approx(0.25)
    assert float(record["best_percent_in_top_k_mean"]) == pytest.approx(0.6)
    assert record["selection_labels"] == "3"


def test_what_the_published_one_selected_on(write_run: WriteRun, tmp_path: Path):
    write_run(predictor="nn_former", loss="mse", selection_labels=0)
    write_run(predictor="pinat", selection_labels=0)
    shown = {cell["method"]: cell for cell in cells(tmp_path)}
    assert shown["nn_former"]["selection"] == "0 (1024)"
    assert shown["nn_former"]["difference"] == "not comparable [1]"
    assert (shown["pinat"]["selection"], shown["pinat"]["difference"]) == ("0", "-0.072")


def test_halves_are_a_split_of_their_own(write_run: WriteRun, tmp_path: Path):
    write_run(train_size=72, test_size=7290, pool_size=7290)
    write_run(train_size=72, test_size=7290, kendall_tau=0.6)
    assert [cell["split"] for cell in cells(tmp_path)] == ["72/7290", "72 of 7290/7290"]


@pytest.mark.parametrize("width", [80, 140])
def test_a_terminal_shows_every_column(write_run: WriteRun, tmp_path: Path, width: int):
    write_run(kendall_tau_top_tenth=0.25, best_percent_in_top_k=0.5)
    console = Console(width=width, record=True, file=io.StringIO())
    print_tables(summarise(collect_runs([tmp_path])), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    headings = [line.split() for line in lines if line.strip().startswith("method")]
    assert len(headings) == (1 if width == 140 else 2)  # a narrow one has two tables
    assert sum(len(words) for words in headings) >= len(" ".join(HEADER[1:]).split())
    assert any("0.250" in line and "50 %" in line for line in lines)


def test_control_notice(write_run: WriteRun, tmp_path: Path):
    write_run(**self_evolution(0.7))
    rows = summarise(collect_runs([tmp_path]))
    notice = control_notice(rows)
    assert notice is not None
    assert "nasbench101 424/all tnasp + SE" in notice
    assert "data.train_on_validation=true" in notice
    assert notice in to_markdown(rows)
    write_run(train_on_validation=True)
    assert control_notice(summarise(collect_runs([tmp_path]))) is None


def test_markdown_is_a_table(write_run: WriteRun, tmp_path: Path):
    write_run(variant={"predictor.x": "a|b"})
    lines = to_markdown(summarise(collect_runs([tmp_path]))).splitlines()
    assert lines[0] == "## nasbench101, cifar10, source official, 423,624 architectures, K = 10"
    body = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert len(body) == 3
    assert {line.count("|") for line in body} == {len(HEADER) + 2}
    assert any(line.startswith("- [1] changed: predictor.x=a|b") for line in lines)


def test_csv_is_unrounded(write_run: WriteRun, tmp_path: Path):
    taus = [0.701234567890123, 0.7]
    for seed, tau in enumerate(taus):
        write_run(seed=seed, kendall_tau=tau)
    write_run(source="csv", variant={"predictor.layers": 2})
    write_run(predictor="mine")
    records = list(csv.DictReader(io.StringIO(to_csv(summarise(collect_runs([tmp_path]))))))
    assert len(records) == 3
    by_method = {record["method"]: record for record in records}
    plain = by_method["tnasp"]
    assert float(plain["kendall_tau_mean"]) == pytest.approx(sum(taus) / 2, abs=1e-15)
    assert float(plain["difference"]) == pytest.approx(sum(taus) / 2 - 0.705, abs=1e-15)
    assert (plain["n_seeds"], plain["seeds"], plain["comparable"]) == ("2", "0 1", "yes")
    assert (plain["published_kendall_tau"], plain["published_confirmed"]) == ("0.705", "yes")
    changed = by_method["tnasp, predictor.layers=2"]
    assert changed["variant"] == '{"predictor.layers": 2}'
    assert (changed["comparable"], changed["difference"]) == ("no", "")
    assert "source csv" in changed["not_comparable_because"]
    assert by_method["mine"]["published_kendall_tau"] == ""


@pytest.mark.parametrize(
    ("spent", "told", "note", "budget"),
    [
        (0.215, "424 + 0.215 [1]", "what the Estimation Codes cost, in labels", "424.215"),
        (None, "424 [1]", "and codes or proxies, whose cost is not stated", ""),
        (0.0, "424", None, "424"),
    ],
)
def test_labels_and_what_codes_cost(
    spent: float | None,
    told: str,
    note: str | None,
    budget: str,
    write_run: WriteRun,
    tmp_path: Path,
):
    code = {"estimation_code": "train", "queried_codes": 143, "code_labels": spent}
    write_run(predictor="siamese", variant={"estimation_code": "train"}, **code)
    (cell,) = cells(tmp_path)
    assert cell["labels"] == told
    rows = summarise(collect_runs([tmp_path]))
    (table,) = build_tables(rows)
    assert table.notes == ([] if note is None else [note])
    (record,) = csv.DictReader(io.StringIO(to_csv(rows)))
    assert record["budget"] == budget

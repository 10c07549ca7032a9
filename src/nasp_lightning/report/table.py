"""The rows as tables: on the terminal, as Markdown and as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from nasp_lightning.report.collect import SCORES
from nasp_lightning.report.row import Row, missing_controls
from nasp_lightning.run.results import FitResults
from nasp_lightning.storage import csv_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

HEADER = ("split", "method", "Kendall's tau", "seeds", "labels", "published", "difference")
PAIRED = "over plain"  # too wide for a terminal of 80 columns
RIGHT = {"Kendall's tau", "seeds", "labels", "published", PAIRED}
PROTOCOL = (
    *("epochs", "data_hash", "validation_size", "top_k"),
    *("train_metric", "train_reduction", "test_metric", "test_reduction", "partial"),
)
NARROW = 78  # columns below which every cell of the terminal's table may be folded
LEGEND = (
    "Kendall's tau: mean ± sample standard deviation over seeds. Labels: fitted on, + asked for "
    "besides. Published: ? not confirmed at its source; (in parentheses) for orientation only."
)

OVER_PLAIN = (
    "Over plain: mean difference of tau to the same predictor trained plainly, on the seeds that "
    "both have; means over different seeds say less, since splits are not equally hard."
)


@dataclass
class Table:
    """One benchmark's rows as text.

    Attributes:
        title: benchmark, data set, source and size of the space.
        sections: the cells of :data:`HEADER` and :data:`PAIRED` of each row, in one list for each
            split.
        notes: footnotes; the cells refer to them as ``[1]``, ``[2]``, …
    """

    title: str
    sections: list[list[tuple[str, ...]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> str:
        """The mark of a footnote, added if it is new."""
        if text not in self.notes:
            self.notes.append(text)
        return f"[{self.notes.index(text) + 1}]"


def build_tables(rows: Sequence[Row]) -> list[Table]:
    """One table for each benchmark, data set and source; ``rows`` in :func:`summarise`'s order."""
    tables = []
    for title, of_table in groupby(rows, key=_title):
        table = Table(title)
        for _, of_split in groupby(of_table, key=lambda row: row.split):
            table.sections.append([_cells(row, table) for row in of_split])
        tables.append(table)
    return tables


def _title(row: Row) -> str:
    return f"{row.benchmark}, {row.dataset}, source {row.source}, {row.space_size:,} architectures"


def _cells(row: Row, table: Table) -> tuple[str, ...]:
    seeds = str(len(row.seeds)) if row.seeds else ""
    if row.first_phase_seeds:
        share = f"{row.first_phase_seeds} of {len(row.seeds)} seeds"
        which = "all seeds" if row.first_phase_seeds == len(row.seeds) else share
        seeds += " " + table.note(f"{which} from the self-evolution runs' first phase")
    published, difference = _published_cells(row, table)
    told = (row.split, row.method, _tau(row), seeds, _labels(row, table), published, difference)
    return *told, _over_plain(row)


def _over_plain(row: Row) -> str:
    if row.over_plain is None:
        return ""
    seeds = "1 seed" if row.pairs == 1 else f"{row.pairs} seeds"
    return f"{row.over_plain:+.3f} ({seeds})"


def _tau(row: Row) -> str:
    if (tau := row.scores.get("kendall_tau")) is None:
        return "not run"
    return f"{tau.mean:.3f}" + ("" if tau.deviation is None else f" ± {tau.deviation:.3f}")


def _labels(row: Row, table: Table) -> str:
    if row.train_labels is None or row.queried_labels is None:
        return ""
    extra = row.queried_labels - row.train_labels
    told = f"{row.train_labels} + {extra}" if extra > 0 else str(row.train_labels)
    if row.code_labels:
        told += (
            f" + {row.code_labels:.3g} {table.note('what the Estimation Codes cost, in labels')}"
        )
    elif row.codes and row.code_labels is None:
        told += f" {table.note('and codes or proxies, whose cost is not stated')}"
    return told


def _published_cells(row: Row, table: Table) -> tuple[str, str]:
    if row.published is None:
        return "", ""
    value = f"{row.published.kendall_tau:.3f}" + ("" if row.published.confirmed else " ?")
    if row.run is None:
        return f"({value})", ""
    if row.difference is not None:
        return value, f"{row.difference:+.3f}"
    return f"({value})", f"not comparable {table.note('; '.join(row.reasons))}"


def control_notice(rows: Sequence[Row]) -> str | None:
    """A line for the reader where self-evolution stands without its control."""
    alone = missing_controls(rows)
    if not alone:
        return None
    named = ", ".join(dict.fromkeys(f"{row.benchmark} {row.split} {row.method}" for row in alone))
    return (
        f"No control for {named}: self-evolution asks for the validation labels too; for a plain "
        "predictor trained on as many labels, run with framework=supervised "
        "data.train_on_validation=true."
    )


def print_tables(rows: Sequence[Row], console: Console) -> None:
    """Print every table with its footnotes to a terminal, from 80 columns on without cut cells."""
    from rich.text import Text

    for table in build_tables(rows):
        console.print(Text(table.title, style="bold"))
        console.print(_rich_table(table, folded=console.width < NARROW))
        for index, note in enumerate(table.notes, 1):
            console.print(Text(f"[{index}] {note}", style="dim"))
        console.print()
    console.print(Text(LEGEND, style="dim"))


def _rich_table(table: Table, folded: bool) -> RichTable:
    """The split as a line over its methods, since a terminal is narrow."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in HEADER[1:]:
        shown.add_column(
            name,
            justify="right" if name in RIGHT else "left",
            overflow="fold",
            no_wrap=not folded and name != "method",
        )
    for section in table.sections:
        shown.add_row(Text(section[0][0], style="bold"))
        for cells in section:
            shown.add_row(*(Text(cell) for cell in cells[1:-1]))
        shown.add_section()
    return shown


def to_markdown(rows: Sequence[Row]) -> str:
    """The same tables as Markdown, with their footnotes."""
    blocks = []
    for table in build_tables(rows):
        header = (*HEADER, PAIRED)
        rule = ["---:" if name in RIGHT else "---" for name in header]
        body = [cells for section in table.sections for cells in section]
        lines = [f"## {table.title}", ""]
        lines += [_markdown_line(cells) for cells in (header, rule, *body)]
        if table.notes:
            lines += ["", *(f"- [{index}] {note}" for index, note in enumerate(table.notes, 1))]
        blocks.append("\n".join(lines))
    closing = [text for text in (LEGEND, OVER_PLAIN, control_notice(rows)) if text]
    return "\n\n".join([*blocks, *closing]) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def to_csv(rows: Sequence[Row]) -> str:
    """One line for each row with every number, unrounded; empty where there is none."""
    records = [dict(_record(row)) for row in rows]
    return csv_text(list(records[0]), (record.values() for record in records)) if records else ""


def _record(row: Row) -> Iterator[tuple[str, object]]:
    run, published = row.run, row.published
    results = None if run is None else run.results
    yield "benchmark", row.benchmark
    yield "dataset", row.dataset
    yield "source", row.source
    yield "space_size", row.space_size
    yield "split", row.split
    yield "train_size", row.train_size
    yield "test_size", row.test_size
    yield "method", row.method
    yield "predictor", row.predictor
    yield "framework", row.framework
    yield "loss", row.loss
    yield "control", _yes(row.control)
    variant = results.variant if results else {}
    yield "variant", json.dumps(variant, sort_keys=True) if variant else ""
    yield from zip(PROTOCOL, _protocol(results), strict=True)
    yield "n_seeds", len(row.seeds)
    yield "seeds", " ".join(map(str, row.seeds))
    yield "first_phase_seeds", row.first_phase_seeds
    yield "over_plain", row.over_plain
    yield "over_plain_seeds", row.pairs
    yield "train_labels", row.train_labels
    yield "queried_labels", row.queried_labels
    yield "code_labels", row.code_labels
    yield "budget", budget(row)
    for name in SCORES:
        spread = row.scores.get(name)
        yield f"{name}_mean", spread.mean if spread else None
        yield f"{name}_std", spread.deviation if spread else None
    yield "fit_seconds_mean", row.fit_seconds
    yield "published_kendall_tau", published.kendall_tau if published else None
    yield "published_confirmed", _yes(published.confirmed) if published else None
    yield "published_source", published.source if published else None
    yield "published_note", published.note if published else None
    yield "comparable", _yes(not row.reasons) if published and run else None
    yield "not_comparable_because", "; ".join(row.reasons) if run else None
    yield "difference", row.difference


def _protocol(results: FitResults | None) -> tuple[object, ...]:
    """Values of :data:`PROTOCOL`; None for a method that was not run."""
    if results is None:
        return (None,) * len(PROTOCOL)
    return (
        *(results.source.epochs, results.source.data_hash),
        *(results.validation_size, results.scores.top_k),
        *(results.train_metric, results.train_reduction),
        *(results.test_metric, results.test_reduction),
        _yes(results.source.partial),
    )


def budget(row: Row) -> float | None:
    """Labels and codes of a run together, in labels; None where the codes' cost is not stated."""
    if row.queried_labels is None or (row.codes and row.code_labels is None):
        return None
    return row.queried_labels + (row.code_labels or 0)


def _yes(value: bool) -> str:
    return "yes" if value else "no"

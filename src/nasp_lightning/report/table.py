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

TOP = ("top 10 % tau", "in best 1 %", "regret")
SELECTED = "selection"
HEADER = (
    *("split", "method", "Kendall's tau", *TOP),
    *("seeds", "labels", SELECTED, "published", "difference"),
)
PAIRED = "over plain"  # left out on a terminal
RIGHT = {"Kendall's tau", *TOP, "seeds", "labels", SELECTED, "published", PAIRED}
PROTOCOL = (
    *("epochs", "data_hash", "validation_size", "pool_size", "top_k"),
    *("train_metric", "train_reduction", "test_metric", "test_reduction", "partial"),
)
NARROW = 78  # columns below which every cell of the terminal's table may be folded
WIDE = 136  # columns from which one table on the terminal has all of HEADER; else two share it
SECOND_HAND, FROM_MEMORY = "†", "?"
LEGEND = (
    "Kendall's tau: mean ± sample standard deviation over seeds; so are the next three. Top 10 % "
    "tau: within the true best tenth. In best 1 %: share of the predicted top K that is in the "
    "true best 1 %. Regret: points from the best of that top K to the best of all. Labels: fitted "
    "on, + asked for besides. Selection: those asked for besides that chose weights or settings, "
    "(published); empty: not stated. Published: "
    f"{SECOND_HAND} second hand, {FROM_MEMORY} from memory, neither confirmed at its source; (in "
    "parentheses) for orientation only."
)

OVER_PLAIN = (
    "Over plain: mean difference of tau to the same predictor trained plainly, on the seeds that "
    "both have; means over different seeds say less, since splits are not equally hard."
)


@dataclass
class Table:
    """One benchmark's rows as text.

    Attributes:
        title: benchmark, data set, source, size of the space, and K where its rows have one.
        sections: the cells of :data:`HEADER` and :data:`PAIRED` of each row, in one list for each
            split.
        top_ks: K of its rows; where they differ each says its own.
        notes: footnotes; the cells refer to them as ``[1]``, ``[2]``, …
    """

    title: str
    sections: list[list[tuple[str, ...]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    top_ks: frozenset[int] = frozenset()

    def note(self, text: str) -> str:
        """The mark of a footnote, added if it is new."""
        if text not in self.notes:
            self.notes.append(text)
        return f"[{self.notes.index(text) + 1}]"


def build_tables(rows: Sequence[Row]) -> list[Table]:
    """One table for each benchmark, data set and source; ``rows`` in :func:`summarise`'s order."""
    tables = []
    for title, of_table in groupby(rows, key=_title):
        members = list(of_table)
        top_ks = frozenset(k for row in members if (k := _top_k(row)))
        said = f", K = {min(top_ks)}" if len(top_ks) == 1 else ""
        table = Table(f"{title}{said}", top_ks=top_ks)
        for _, of_split in groupby(members, key=lambda row: row.split):
            table.sections.append([_cells(row, table) for row in of_split])
        tables.append(table)
    return tables


def _title(row: Row) -> str:
    return f"{row.benchmark}, {row.dataset}, source {row.source}, {row.space_size:,} architectures"


def _top_k(row: Row) -> int | None:
    return None if row.run is None else row.run.results.scores.top_k


def _cells(row: Row, table: Table) -> tuple[str, ...]:
    seeds = str(len(row.seeds)) if row.seeds else ""
    if row.first_phase_seeds:
        share = f"{row.first_phase_seeds} of {len(row.seeds)} seeds"
        which = "all seeds" if row.first_phase_seeds == len(row.seeds) else share
        seeds += " " + table.note(f"{which} from the self-evolution runs' first phase")
    published, difference = _published_cells(row, table)
    return (
        *(row.split, row.method, _tau(row), *_top(row, table)),
        *(seeds, _labels(row, table), _selected(row), published, difference),
        _over_plain(row),
    )


def _over_plain(row: Row) -> str:
    if row.over_plain is None:
        return ""
    seeds = "1 seed" if row.pairs == 1 else f"{row.pairs} seeds"
    return f"{row.over_plain:+.3f} ({seeds})"


def _tau(row: Row) -> str:
    return _spread(row, "kendall_tau", 1, 3) or "not run"


def _top(row: Row, table: Table) -> tuple[str, str, str]:
    """The cells of :data:`TOP`; empty where the runs are of an older version."""
    tau = _spread(row, "kendall_tau_top_tenth", 1, 3)
    share = _spread(row, "best_percent_in_top_k", 100, 0)
    regret = _spread(row, "regret_at_k", 100, 2)
    if len(table.top_ks) > 1 and regret:
        regret += f" {table.note(f'K = {_top_k(row)}')}"
    return tau, f"{share} %" if share else "", regret


def _spread(row: Row, name: str, factor: float, decimals: int) -> str:
    if (found := row.scores.get(name)) is None:
        return ""
    told = f"{factor * found.mean:.{decimals}f}"
    if found.deviation is not None:
        told += f" ± {factor * found.deviation:.{decimals}f}"
    return told


def _selected(row: Row) -> str:
    """Labels that a run selected on, and in parentheses those of the published one, if others."""
    own = row.selection_labels
    paper = None if row.published is None else row.published.selection_labels
    told = [] if own is None else [str(own)]
    if paper is not None and paper != own:
        told.append(f"({paper})")
    return " ".join(told)


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
    mark = {"second hand": f" {SECOND_HAND}", "from memory": f" {FROM_MEMORY}"}
    value = f"{row.published.kendall_tau:.3f}{mark.get(row.published.confirmed, '')}"
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
        folded = console.width < NARROW
        for names in _shown(console.width):
            console.print(_rich_table(table, names, folded))
        for index, note in enumerate(table.notes, 1):
            console.print(Text(f"[{index}] {note}", style="dim"))
        console.print()
    console.print(Text(LEGEND, style="dim"))


def _shown(width: int) -> list[tuple[str, ...]]:
    """Columns of each of a terminal's tables, which are two where one would be too wide."""
    if width >= WIDE:
        return [HEADER[1:]]
    return [
        tuple(name for name in HEADER[1:] if name not in (*TOP, SELECTED)),
        ("method", *TOP, SELECTED),
    ]


def _rich_table(table: Table, names: Sequence[str], folded: bool) -> RichTable:
    """The split as a line over its methods, since a terminal is narrow."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in names:
        shown.add_column(
            name,
            justify="right" if name in RIGHT else "left",
            overflow="fold",
            no_wrap=not folded and name != "method",
        )
    for section in table.sections:
        shown.add_row(Text(section[0][0], style="bold"))
        for cells in section:
            of_name = dict(zip((*HEADER, PAIRED), cells, strict=True))
            shown.add_row(*(Text(of_name[name]) for name in names))
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
    yield "selection_labels", row.selection_labels
    yield "code_labels", row.code_labels
    yield "budget", budget(row)
    for name in SCORES:
        spread = row.scores.get(name)
        yield f"{name}_mean", spread.mean if spread else None
        yield f"{name}_std", spread.deviation if spread else None
    yield "fit_seconds_mean", row.fit_seconds
    yield "published_kendall_tau", published.kendall_tau if published else None
    yield "published_selection_labels", published.selection_labels if published else None
    yield "published_confirmed", published.confirmed if published else None
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
        *(results.validation_size, results.pool_size, results.scores.top_k),
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

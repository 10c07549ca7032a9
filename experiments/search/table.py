"""Tables of ``run.sh``'s runs: measured.csv, measured.md, and the search's table of README.md.

    python experiments/search/table.py runs/search

Without a folder it makes them of measured.csv as it is.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nasp_lightning.storage import csv_text, write_text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BEGIN, END = "<!-- search:begin -->", "<!-- search:end -->"
MARKS = (20, 25, 30, 50, 60, 80, 100, 150)
BENCHMARKS = {
    "cifar10": "NAS-Bench-201, CIFAR-10",
    "cifar100": "NAS-Bench-201, CIFAR-100",
    "ImageNet16-120": "NAS-Bench-201, ImageNet16-120",
    "nasbench101": "NAS-Bench-101's 20,001",
    "macro": "NAS-Bench-Macro",
    "spikenas": "SpikeNAS-Bench",
}
METHODS = {
    "random": "random search",
    "evolution": "regularised evolution",
    "local": "local search",
    "bananas": "BANANAS",
    "npenas": "NPENAS, plain Gaussian process",
    "weaknas": "WeakNAS, gradient boosting",
    "brp": "BRP-NAS' sampling, plain Gaussian process",
    "bts": "Batch Top Sampling, plain Gaussian process",
    "bonas": "BONAS, multiview",
    "plain": "Bayesian optimization, plain Gaussian process",
    "own": "**Bayesian optimization, multiview** (ours)",
    "unlisted": "the same, nothing listed",
    "fidelities": "several budgets, multiview (ours)",
    "successive_halving": "successive halving",
    "hyperband": "Hyperband",
    "dehb": "DEHB",
}
README_COLUMNS = tuple(
    (name, mark) for name in ("cifar10", "cifar100", "ImageNet16-120") for mark in (50, 100)
)
README_ROWS = ("random", "evolution", "local", "own")
ROW = dict[str, Any]


def read(runs: Path) -> list[ROW]:
    """A row for each method, benchmark and number of labels; regrets in points."""
    rows: list[ROW] = []
    curves: dict[tuple[str, str], Any] = {}
    for file in sorted(runs.glob("*/*/results.json")):
        with np.load(file.parent / "curves.npz") as stored:
            curves[file.parent.parent.name, file.parent.name] = dict(stored)
    for (benchmark, method), found in curves.items():
        results = json.loads((runs / benchmark / method / "results.json").read_text())
        own = curves.get((benchmark, "own"))
        for mark in (mark for mark in MARKS if mark <= found["regret"].shape[1]):
            regret = 100 * found["regret"][:, mark - 1]
            row = {
                "benchmark": benchmark,
                "method": method,
                "labels": mark,
                "repeats": len(regret),
                "seed": results["seed"],
                **moments("regret", regret),
                **moments("recommended", 100 * found["recommended_regret"][:, mark - 1]),
                **moments("oracle", 100 * found["oracle_regret"][:, mark - 1]),
                **moments("behind_ours", np.array([])),
                "seconds": round(results["wall_seconds_mean"], 3),
            }
            if own is not None and method != "own" and mark <= own["regret"].shape[1]:
                both = min(len(regret), len(own["regret"]))
                gap = regret[:both] - 100 * own["regret"][:both, mark - 1]
                row.update(moments("behind_ours", gap))
            rows.append(row)
    return rows


def moments(name: str, values: Any) -> ROW:
    """Mean and standard error."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {f"{name}_mean": "", f"{name}_error": ""}
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return {f"{name}_mean": round(float(values.mean()), 5), f"{name}_error": round(float(error), 5)}


def cell(row: ROW | None, name: str = "regret", digits: int = 3) -> str:
    """Mean ± standard error."""
    if row is None or row[f"{name}_mean"] == "":
        return ""
    return f"{float(row[f'{name}_mean']):.{digits}f} ± {float(row[f'{name}_error']):.{digits}f}"


def markdown(rows: list[ROW]) -> str:
    """A table for each benchmark: the best label's regret, ours by its recommendation, too."""
    parts = []
    for benchmark, title in BENCHMARKS.items():
        mine = [row for row in rows if row["benchmark"] == benchmark]
        marks = [mark for mark in MARKS if any(int(row["labels"]) == mark for row in mine)]
        if not mine:
            continue
        head = " | ".join(f"{mark}" for mark in marks)
        lines = [
            f"| {title}: labels | {head} | repeats |",
            "| --- |" + " ---: |" * (len(marks) + 1),
        ]
        for method, name in METHODS.items():
            own = {int(row["labels"]): row for row in mine if row["method"] == method}
            if not own:
                continue
            repeats = next(iter(own.values()))["repeats"]
            kinds = [("regret", name)]
            if method in ("own", "fidelities"):
                kinds.append(("recommended", f"{name}, what it recommends"))
            for kind, said in kinds:
                cells = " | ".join(cell(own.get(mark), kind) for mark in marks)
                lines.append(f"| {said} | {cells} | {repeats} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def readme_table(rows: list[ROW]) -> str:
    """Some methods on NAS-Bench-201's three data sets."""
    found = {(row["benchmark"], row["method"], int(row["labels"])): row for row in rows}
    titles = ("CIFAR-10, 50 labels", "100", "CIFAR-100, 50", "100", "ImageNet16-120, 50", "100")
    lines = ["| | " + " | ".join(titles) + " |", "| --- |" + " ---: |" * len(titles)]
    for method in README_ROWS:
        cells = [
            cell(found.get((name, method, mark)), "regret", 2) for name, mark in README_COLUMNS
        ]
        lines.append(f"| {METHODS[method]} | " + " | ".join(cells) + " |")
    cells = [
        cell(found.get((name, "own", mark)), "recommended", 2) for name, mark in README_COLUMNS
    ]
    lines.append("| what it recommends | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read, and write all tables."""
    file = HERE / "measured.csv"
    if len(sys.argv) > 1:
        rows = read(Path(sys.argv[1]))
        write_text(file, csv_text(list(rows[0]), (list(row.values()) for row in rows)))
    with open(file, newline="", encoding="utf-8") as stored:
        kept = list(csv.DictReader(stored))
    write_text(HERE / "measured.md", markdown(kept))
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    table = f"{BEGIN}\n{readme_table(kept)}\n{END}"
    write_text(readme, re.sub(f"{BEGIN}.*?{END}", lambda _: table, text, flags=re.DOTALL))


if __name__ == "__main__":
    main()

"""Regret and hypervolume against the true Pareto front, from the runs' ``results.json``.

    python experiments/tnasp_chain_macro/fronts.py runs experiments/tnasp_chain_macro

writes ``fronts.csv`` (unrounded) and ``measured.md``, which has both tables.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from nasp_lightning.run.folder import stem
from nasp_lightning.storage import csv_text, write_text

MARKS = ("50", "100", "200")
FIELDS = ("method", "labels", "repeats", "regret", "regret_error", "front_regret")
FIELDS = (*FIELDS, "front_regret_error", "hypervolume", "hypervolume_error")


def name_of(content: dict[str, Any]) -> str:
    evolution = content["settings"].get("evolution")
    if not evolution:
        return str(content["search"])
    batch = content["settings"]["batch"]
    return f"{stem(evolution['_target_'])} over {content['predictor']}, batches of {batch}"


def rows_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    rows, repeats = [], content["repeats"]
    for mark in MARKS:
        regret, front = content["regret_at"].get(mark), content["front_at"].get(mark)
        if regret is None or front is None:
            continue
        values = (
            (regret["mean"], regret["std"]),
            (front["regret_mean"], front["regret_std"]),
            (front["hypervolume_mean"], front["hypervolume_std"]),
        )
        numbers = [
            number
            for mean, std in values
            for number in (mean, math.nan if std is None else std / math.sqrt(repeats))
        ]
        known = (name_of(content), int(mark), repeats, *numbers)
        rows.append(dict(zip(FIELDS, known, strict=True)))
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    tables = (
        ("Regret against the best mean accuracy, in points", "regret", 100, 3),
        ("Regret of the choice against the true front at its own cost, in points", *FRONT),
        ("Hypervolume of the found front, as a share of the true front's", *VOLUME),
    )
    lines = []
    methods = list(dict.fromkeys((row["method"], row["repeats"]) for row in rows))
    for title, field, scale, digits in tables:
        lines += [f"{title}, mean ± standard error:", ""]
        lines += ["| | 50 labels | 100 | 200 | repeats |", "| --- | --- | --- | --- | --- |"]
        for method, repeats in methods:
            cells = []
            for mark in MARKS:
                found = [r for r in rows if (r["method"], r["labels"]) == (method, int(mark))]
                cells.append(
                    f"{scale * found[0][field]:.{digits}f} ± "
                    f"{scale * found[0][field + '_error']:.{digits}f}"
                    if found
                    else ""
                )
            lines.append(f"| {method} | {' | '.join(cells)} | {repeats} |")
        lines.append("")
    return "\n".join(lines)


FRONT = ("front_regret", 100, 3)
VOLUME = ("hypervolume", 1, 4)


def main() -> None:
    runs, folder = Path(sys.argv[1]), Path(sys.argv[2])
    rows = []
    for file in sorted(runs.glob("macro_search_*/*/results.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if "front_at" in content:
            rows += rows_of(content)
    rows.sort(key=lambda row: (row["method"], row["labels"]))
    numbers = csv_text(FIELDS, ([row.get(name) for name in FIELDS] for row in rows))
    write_text(folder / "fronts.csv", numbers)
    (folder / "measured.md").write_text(markdown(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

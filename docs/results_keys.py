"""Writes the tables of keys in docs/results.md from the classes that declare them.

    python docs/results_keys.py

``tests/test_docs.py`` finds out when the page is older than the code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # this clone's code, whatever is installed

from nasp_lightning.run import results, search_results  # noqa: E402
from nasp_lightning.run.json_form import keys_of  # noqa: E402
from nasp_lightning.run.results_file import JOBS  # noqa: E402

PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->\n"
# Objects within results that have keys of their own.
WITHIN = (results.PhaseResults, results.Calibration, search_results.RegretAt)
WITHIN += (search_results.FrontAt, search_results.MeanAt, results.Product, results.Best)


def table(kind: type) -> str:
    """The keys of a class as a Markdown table."""
    lines = ["| key | type | meaning |", "| --- | --- | --- |"]
    for name, words, key in keys_of(kind):
        null = f"; null: {key.null}" if key.null else ""
        meaning = f"{key.meaning.replace('``', '`')}{null}" or "see below"
        lines.append(f"| `{name}` | {words} | {meaning} |")
    return "\n".join(lines) + "\n"


def generated() -> str:
    """All tables, a heading for each."""
    jobs: dict[type[results.Results], list[str]] = {}
    for job, kind in JOBS.items():
        jobs.setdefault(kind, []).append(f"`job={job}`")
    parts = []
    for kind, names in jobs.items():
        parts.append(f"### {' and '.join(names)}\n\nFormat `{kind.FORMAT}`.\n\n{table(kind)}")
    for within in WITHIN:
        get_type_hints(within)  # a name that is not there fails here, with its class
        told = (within.__doc__ or "").split("\n")[0]
        parts.append(f"### Within: `{within.__name__}`\n\n{told}\n\n{table(within)}")
    return "\n" + "\n".join(parts)


def renewed(page: str) -> str:
    """The page with the tables as the code has them now."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + generated() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

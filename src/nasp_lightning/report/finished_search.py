"""The table at the end of a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nasp_lightning.report.finished import cost_text
from nasp_lightning.run.search_results import Budgets, MeanAt, RegretAt, SearchResults


def print_search(results: SearchResults, folder: Path) -> None:
    """Print what was found, beside what random search would have found in expectation."""
    found, source = results.found, results.source
    table = Table(
        title=f"{source.benchmark} {source.dataset}: {results.search}"
        + (f" with {results.predictor}" if results.predictor else "")
    )
    given = results.recommended
    further = given.recommend == "posterior"
    for column in (
        _unit(results),
        "regret of the best label",
        *(("of the recommended",) if further else ()),
        *("of the best evaluated (oracle)", "random search, expected"),
    ):
        table.add_column(column, justify="right")
    for mark, at in found.regret_at.items():
        if not results.anytime and int(mark) != results.labels:
            continue
        cells = [_mean(at, results.repeats)]
        if further and given.recommended_regret_at:
            cells.append(_mean(given.recommended_regret_at[mark], results.repeats))
        oracle = (given.oracle_regret_at or {}).get(mark)
        cells.append("" if oracle is None else _mean(oracle, results.repeats))
        table.add_row(mark, *cells, f"{100 * at.random_expected:.3f}")
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    spread = found.best_found_std
    console.print(
        f"mean {results.test_metric.replace('_', ' ')} of what was found: "
        f"{100 * found.best_found_mean:.2f}"
        + ("" if spread is None else f" ± {100 * spread:.2f}")
        + f" %; best reachable: {100 * results.best_reachable:.2f} %",
        highlight=False,
    )
    console.print(
        f"{results.repeats} repeats of {results.labels} {_unit(results)}, "
        f"{found.wall_seconds_mean:.2f} s each",
        highlight=False,
    )
    for line in _budget_lines(results.budgets):
        console.print(line, highlight=False, markup=False)
    if given.recommended_architecture is not None:
        which = "" if results.repeats == 1 else " by the first repeat"
        console.print(
            f"recommended{which}: {given.recommended_architecture}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if found.training_seconds_mean is not None:
        hours = found.training_seconds_mean / 3600
        console.print(
            f"training that a repeat would have cost: {hours:,.0f} hours", highlight=False
        )
    if results.codes is not None and results.codes.queried_codes:
        console.print(f"in the mean, {cost_text(results.to_json())}", highlight=False)
    console.print(f"results: {folder / 'results.json'}", highlight=False, soft_wrap=True)


def _unit(results: SearchResults) -> str:
    return "labels" if results.budgets.fidelities is None else "label equivalents"


def _budget_lines(budgets: Budgets) -> Iterator[str]:
    """What labels at lower training budgets are, and how many a repeat bought."""
    if not budgets.fidelities:
        return
    bought, metrics = budgets.fidelity_labels_mean or {}, budgets.fidelity_metrics or {}
    for name, cost in budgets.fidelities.items():
        budget = f"{name} epochs" if name.isdecimal() else name
        yield (
            f"at {budget}: {bought.get(name, 0):g} labels in the mean, each "
            f"{metrics.get(name, 'accuracy').replace('_', ' ')} and {cost:g} of a full label"
        )
    yield (
        f"full labels: {budgets.full_labels_mean:g} in the mean; spent in all: "
        f"{budgets.spent_mean:.2f}"
    )
    if budgets.fidelity_notes:
        yield f"the source's notes: {budgets.fidelity_notes}"


def _mean(at: RegretAt | MeanAt, repeats: int) -> str:
    """Points of accuracy and their standard error."""
    error = "" if at.std is None else f" ± {100 * at.std / repeats**0.5:.3f}"
    return f"{100 * at.mean:.3f}{error}"

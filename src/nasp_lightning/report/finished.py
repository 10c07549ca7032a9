"""The table at the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(results: dict[str, Any], folder: Path) -> None:
    """Print what was measured, and beside it what the paper says, with its protocol's difference.

    Args:
        results: content of ``results.json``.
        folder: the run's folder.
    """
    table = Table(title=f"{results['benchmark']} {results['dataset']} {results['split']}")
    for column in ("method", "labels", "Kendall's tau", "without training", "published"):
        table.add_column(column, justify="left" if column == "method" else "right")
    published = {phase: published_text(folder, phase) for phase in results["phases"]}
    for phase, values in results["phases"].items():
        without = values["kendall_tau_excluding_train"]
        table.add_row(
            f"{results['predictor']} ({phase}, {results['loss']})",
            str(values["queried_labels"]),
            f"{values['kendall_tau']:.4f}",
            "" if without is None else f"{without:.4f}",
            published[phase],
        )
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    console.print(
        f"best true accuracy in the predicted top {results['top_k']}: "
        f"{100 * results['best_in_top_k']:.2f} %   fit {results['fit_seconds']:.1f} s, "
        f"ranking {results['rank_seconds']:.2f} s",
        highlight=False,
    )
    if results["queried_codes"]:
        console.print(cost_text(results), highlight=False)
    if any(text.endswith("*") for text in published.values()):
        console.print(
            "* under another protocol; `python -m nasp_lightning.report` says how it differs"
        )
    if results["framework"] == "self_evolution":
        console.print(
            "self-evolution used further labels for its evaluations; its control trains on them: "
            "framework=supervised data.train_on_validation=true",
            highlight=False,
        )
    console.print(f"results: {folder / 'results.json'}", highlight=False, soft_wrap=True)


def cost_text(results: dict[str, Any]) -> str:
    """What the extra inputs of architectures cost, beside the labels."""
    name, count, cost = (results[key] for key in ("estimation_code", "queried_codes", "code_cost"))
    what = "extra inputs" if name is None else f"Estimation Codes ({name})"
    many = f"{count:,.0f}" if count == int(count) else f"on average {count:,.1f}"  # over repeats
    told = f"{what} of {many} architectures: "
    if cost is None:
        return f"{told}their cost is not stated, nor is the whole budget"
    return (
        f"{told}{results['code_labels']:.4g} labels at {100 * cost:.3g} % of one each; "
        f"budget {results['budget']:.4g} labels"
    )


def published_text(folder: Path, phase: str) -> str:
    """The published tau of a run's phase, with ``*`` where the protocols differ; empty for none."""
    from nasp_lightning.report.collect import read_run
    from nasp_lightning.report.published import differences, find_published, load_published
    from nasp_lightning.report.summary import first_phase

    run = read_run(folder)
    if phase != run.framework:
        first = first_phase(run)
        if first is None or first.framework != phase:
            return ""
        run = first
    row = find_published(run, load_published())
    if row is None:
        return ""
    return f"{row.kendall_tau:.3f}" + ("*" if differences(run, row) else "")

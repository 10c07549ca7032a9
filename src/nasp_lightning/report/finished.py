"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nasp_lightning.report.collect import Run
from nasp_lightning.report.protocol import first_phase
from nasp_lightning.report.published import differences, find_published, load_published
from nasp_lightning.run.json_form import from_json
from nasp_lightning.run.results import RESULTS, Codes, FitResults
from nasp_lightning.run.results_file import parse_results


def print_summary(content: Mapping[str, object], folder: Path) -> None:
    """Print what was measured, and beside it what the paper says, with its protocol's difference.

    Args:
        content: of ``results.json``.
        folder: the run's folder.
    """
    results = parse_results(FitResults, content)
    table = Table(title=f"{results.source.benchmark} {results.source.dataset} {results.split}")
    for column in ("method", "labels", "Kendall's tau", "without training", "published"):
        table.add_column(column, justify="left" if column == "method" else "right")
    run = Run(folder, results)
    published = {phase: published_text(run, phase) for phase in results.phases}
    for phase, values in results.phases.items():
        without = values.scores.kendall_tau_excluding_train
        table.add_row(
            f"{results.predictor} ({phase}, {results.loss})",
            str(values.queried_labels),
            f"{values.scores.kendall_tau:.4f}",
            "" if without is None else f"{without:.4f}",
            published[phase],
        )
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    best = results.scores.best_in_top_k or 0.0
    console.print(
        f"best true accuracy in the predicted top {results.scores.top_k}: "
        f"{100 * best:.2f} %   fit {results.fit_seconds or 0.0:.1f} s, "
        f"ranking {results.rank_seconds or 0.0:.2f} s",
        highlight=False,
    )
    if results.codes.queried_codes:
        console.print(cost_text(content), highlight=False)
    if any(text.endswith("*") for text in published.values()):
        console.print(
            "* under another protocol; `python -m nasp_lightning.report` says how it differs"
        )
    if results.framework == "self_evolution":
        console.print(
            "self-evolution used further labels for its evaluations; its control trains on them: "
            "framework=supervised data.train_on_validation=true",
            highlight=False,
        )
    console.print(f"results: {folder / RESULTS}", highlight=False, soft_wrap=True)


def cost_text(content: Mapping[str, object]) -> str:
    """What the extra inputs of architectures cost, beside the labels.

    Args:
        content: of ``results.json``, of a fit or a search.
    """
    name, codes = content.get("estimation_code"), from_json(Codes, content)
    count = codes.queried_codes
    what = "extra inputs" if name is None else f"Estimation Codes ({name})"
    many = f"{count:,.0f}" if count == int(count) else f"on average {count:,.1f}"  # over repeats
    told = f"{what} of {many} architectures: "
    if codes.code_cost is None or codes.code_labels is None or codes.budget is None:
        return f"{told}their cost is not stated, nor is the whole budget"
    return (
        f"{told}{codes.code_labels:.4g} labels at {100 * codes.code_cost:.3g} % of one each; "
        f"budget {codes.budget:.4g} labels"
    )


def published_text(run: Run, phase: str) -> str:
    """The published tau of a run's phase, with ``*`` where the protocols differ; empty for none."""
    if phase != run.results.framework:
        first = first_phase(run)
        if first is None or first.results.framework != phase:
            return ""
        run = first
    row = find_published(run, load_published())
    if row is None:
        return ""
    return f"{row.kendall_tau:.3f}" + ("*" if differences(run, row) else "")

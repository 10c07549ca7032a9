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
from nasp_lightning.run.results import RESULTS, Codes, FitResults, Scores
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
    console.print(top_text(results.scores), highlight=False)
    tau = results.scores.kendall_tau_top_tenth
    console.print(
        ("" if tau is None else f"tau within the true best 10 %: {tau:.3f}   ")
        + f"fit {results.fit_seconds or 0.0:.1f} s, ranking {results.rank_seconds or 0.0:.2f} s",
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


def top_text(scores: Scores) -> str:
    """What the top of a predictor's ranking holds."""
    best = 100 * (scores.best_in_top_k or 0.0)
    said = [f"best true accuracy in the predicted top {scores.top_k}: {best:.2f} %"]
    if scores.regret_at_k is not None:
        said.append(f"{100 * scores.regret_at_k:.2f} points below the best")
    if scores.best_percent_in_top_k is not None:
        said.append(f"{100 * scores.best_percent_in_top_k:.0f} % of them in the best 1 %")
    return ", ".join(said)


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

"""Which runs are measured alike, and which are seeds of one method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nasp_lightning.report.collect import Problem, Run
from nasp_lightning.report.method import variant_text

CONTROL = "data.train_on_validation"

Key = tuple[object, ...]


def protocol(run: Run) -> Key:
    """What must agree for two runs to be measured alike."""
    results, source = run.results, run.results.source
    return (
        *(source.benchmark, source.dataset, source.source, source.epochs, source.space_size),
        *(source.partial, source.data_hash),
        *(results.train_size, results.pool_size, run.test_size),
        *(results.train_metric, results.train_reduction),
        *(results.test_metric, results.test_reduction),
    )


def method_key(run: Run) -> Key:
    """Protocol and method; the validation set counts only where its labels are used."""
    results = run.results
    uses_validation = results.train_on_validation or results.framework == "self_evolution"
    return (
        *protocol(run),
        *(results.predictor, results.framework, results.loss, results.train_on_validation),
        variant_text(results.variant),
        results.validation_size if uses_validation else None,
        results.scores.top_k,
    )


def plain_variant(variant: Mapping[str, object]) -> dict[str, object]:
    """Deviating settings without those of the framework and of the control itself."""
    return {
        name: value
        for name, value in variant.items()
        if not name.startswith("framework.") and name != CONTROL
    }


def first_phase(run: Run) -> Run | None:
    """The plain predictor inside a run of another framework, as a run of its own."""
    results = run.results
    phase = results.phases.get("supervised")
    if results.framework == "supervised" or phase is None:
        return None
    plain = replace(
        results,
        framework="supervised",
        scores=replace(
            phase.scores, top_k=results.scores.top_k, train_labels=results.scores.train_labels
        ),
        queried_labels=phase.queried_labels,
        selection_labels=phase.selection_labels,
        codes=phase.codes,
        fit_seconds=None,
        rank_seconds=None,
        variant=plain_variant(results.variant),
        phases={},
    )
    return Run(run.folder, plain, first_phase=True)


def choose_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Problem]]:
    """Each seed of a method once: plain runs, then the first phases of self-evolution runs.

    Two plain runs of one seed differ in a setting that the results do not name; the first one
    counts, and the other is given back as a problem.
    """
    runs = list(runs)
    kept: dict[Key, Run] = {}
    problems = []
    for run in runs:
        key = (*method_key(run), run.seed)
        if key in kept:
            reason = f"same method and seed as {kept[key].folder}"
            problems.append(Problem("repeated", run.folder, reason))
        else:
            kept[key] = run
    for run in runs:
        if (phase := first_phase(run)) is not None:
            kept.setdefault((*method_key(phase), phase.seed), phase)
    return list(kept.values()), problems

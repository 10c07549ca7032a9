"""From runs to rows: mean and spread over seeds of each benchmark, split and method."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasp_lightning.report.collect import SCORES, Problem, Run, number
from nasp_lightning.report.method import (
    FRAMEWORK_ORDER,
    UNSAID_LOSSES,
    deviations,
    method_name,
    variant_text,
)
from nasp_lightning.report.published import (
    Published,
    differences,
    find_published,
    load_published,
)

CONTROL = "data.train_on_validation"

Key = tuple[object, ...]


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, and sample standard deviation (N - 1), None for a single seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Row:
    """One benchmark, split and method.

    Attributes:
        run: one of the runs, for everything that they have in common; None for a published
            method that was not run.
        method: name for a reader, such as ``tnasp + SE``.
        seeds: the seeds counted, sorted.
        first_phase_seeds: how many of them are the first phase of a self-evolution run.
        scores: mean and deviation by the names of :data:`~.collect.SCORES`.
        train_labels: labels that the predictor was fitted on.
        queried_labels: all labels asked for, those included.
        codes: whether extra inputs (Estimation Codes, proxies) of architectures were used.
        code_labels: what those cost in labels, the mean over seeds; None where that is not stated.
        taus: Kendall's tau of each seed.
        over_plain: tau less that of the same predictor, trained plainly with the same loss and its
            own settings, on the seeds that both have; None where there is none, or it is that.
        pairs: number of those seeds.
        published: the paper's number, or None.
        reasons: why the two cannot be compared; empty where they can.
    """

    benchmark: str
    dataset: str
    source: str
    space_size: int
    train_size: int
    test_size: str
    predictor: str
    framework: str
    loss: str
    variant: str
    control: bool
    method: str
    run: Run | None = None
    seeds: tuple[int, ...] = ()
    first_phase_seeds: int = 0
    scores: dict[str, Spread] = field(default_factory=dict)
    fit_seconds: float | None = None
    train_labels: int | None = None
    queried_labels: int | None = None
    codes: bool = False
    code_labels: float | None = None
    taus: tuple[float | None, ...] = ()
    over_plain: float | None = None
    pairs: int = 0
    published: Published | None = None
    reasons: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """Training and test size, such as ``424/all``."""
        return f"{self.train_size}/{self.test_size}"

    @property
    def difference(self) -> float | None:
        """Mean tau minus the published one, where they may be compared."""
        if self.published is None or self.reasons or "kendall_tau" not in self.scores:
            return None
        return self.scores["kendall_tau"].mean - self.published.kendall_tau


def summarise(
    runs: Iterable[Run],
    published: Sequence[Published] | None = None,
    include_published: bool = False,
) -> list[Row]:
    """One row for each benchmark, split and method, in the order in which a reader expects them.

    Args:
        runs: what :func:`~.collect.collect_runs` gives.
        published: rows to set beside them; those of the package by default.
        include_published: also the published methods of these benchmarks and splits that no
            run covers.
    """
    published = load_published() if published is None else published
    kept, _ = choose_runs(runs)
    groups: dict[Key, list[Run]] = defaultdict(list)
    for run in kept:
        groups[_key(run)].append(run)
    rows = _tell_apart(_paired([_row(group, published) for group in groups.values()]))
    if include_published:
        rows += _not_run(rows, published)
    return sorted(rows, key=_order)


def choose_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Problem]]:
    """Each seed of a method once: plain runs, then the first phases of self-evolution runs.

    Two plain runs of one seed differ in a setting that the results do not name; the first one
    counts, and the other is given back as a problem.
    """
    runs = list(runs)
    kept: dict[Key, Run] = {}
    problems = []
    for run in runs:
        if (*_key(run), run.seed) in kept:
            first = kept[(*_key(run), run.seed)].folder
            problems.append(Problem("repeated", run.folder, f"same method and seed as {first}"))
        else:
            kept[(*_key(run), run.seed)] = run
    for run in runs:
        if (phase := first_phase(run)) is not None:
            kept.setdefault((*_key(phase), phase.seed), phase)
    return list(kept.values()), problems


def first_phase(run: Run) -> Run | None:
    """The plain predictor inside a run of another framework, as a run of its own."""
    phase = run.phases.get("supervised")
    if run.framework == "supervised" or phase is None:
        return None
    scores = {name: number(phase.get(name)) for name in SCORES}
    if scores["kendall_tau"] is None:
        return None
    labels = number(phase.get("queried_labels"))
    return replace(
        run,
        framework="supervised",
        scores=scores,
        queried_labels=run.train_labels if labels is None else int(labels),
        queried_codes=int(number(phase.get("queried_codes")) or 0),
        code_labels=number(phase.get("code_labels")),
        fit_seconds=number(phase.get("fit_seconds")),
        rank_seconds=None,
        variant=_plain_variant(run.variant),
        phases={},
        first_phase=True,
    )


def missing_controls(rows: Sequence[Row]) -> list[Row]:
    """Self-evolution rows whose control (trained on n + validation labels) was not run."""
    controls = {_control_key(row) for row in rows if row.control}
    return [
        row
        for row in rows
        if row.run is not None
        and row.framework == "self_evolution"
        and not row.control
        and _control_key(row) not in controls
    ]


def only_table(rows: Sequence[Row], table: Sequence[Published]) -> list[Row]:
    """Rows of the splits and methods that a paper's table has, and self-evolution's controls.

    Of a benchmark that the table does not have, the same methods on all splits.

    Args:
        rows: what :func:`summarise` gives.
        table: the table's numbers, of :func:`~.published.of_table`.
    """
    benchmarks = {paper.benchmark for paper in table}
    return [
        row
        for row in rows
        if any(
            _same_method(row, paper)
            and (
                row.benchmark not in benchmarks
                or (paper.benchmark, paper.train_size, paper.test_size)
                == (row.benchmark, row.train_size, row.test_size)
            )
            for paper in table
        )
    ]


def _same_method(row: Row, paper: Published) -> bool:
    framework = "self_evolution" if row.control else row.framework
    return (
        (paper.predictor, paper.framework, paper.variant) == (row.predictor, framework, row.variant)
    ) and paper.loss in ("", row.loss)


def _control_key(row: Row) -> Key:
    assert row.run is not None
    run = row.run
    variant = variant_text(_plain_variant(run.variant))
    protocol = _protocol(run)
    return (*protocol, run.predictor, run.loss, run.validation_size, variant)


def _plain_variant(variant: Mapping[str, object]) -> dict[str, object]:
    """Deviating settings without those of the framework and of the control itself."""
    return {
        name: value
        for name, value in variant.items()
        if not name.startswith("framework.") and name != CONTROL
    }


def _protocol(run: Run) -> Key:
    """What must agree for two runs to be measured alike."""
    return (
        *(run.benchmark, run.dataset, run.source, run.epochs, run.space_size, run.partial),
        *(run.data_hash, run.train_size, run.test_size),
        *(run.train_metric, run.train_reduction, run.test_metric, run.test_reduction),
    )


def _key(run: Run) -> Key:
    """Protocol and method; the validation set counts only where its labels are used."""
    uses_validation = run.train_on_validation or run.framework == "self_evolution"
    return (
        *_protocol(run),
        *(run.predictor, run.framework, run.loss, run.train_on_validation),
        variant_text(run.variant),
        run.validation_size if uses_validation else None,
        run.top_k,
    )


def _row(runs: list[Run], published: Sequence[Published]) -> Row:
    runs = sorted(runs, key=lambda run: run.seed)
    run = runs[0]
    found = find_published(run, published)
    deviating = deviations(run)
    deviating.pop(CONTROL, None)
    variant = variant_text(deviating)
    scores = {
        name: spread
        for name in SCORES
        if (spread := _spread([run.scores.get(name) for run in runs])) is not None
    }
    fit = _spread([run.fit_seconds for run in runs])
    codes = any(run.queried_codes for run in runs)
    code_labels = _spread([run.code_labels for run in runs]) if codes else None
    return Row(
        benchmark=run.benchmark,
        dataset=run.dataset,
        source=run.source,
        space_size=run.space_size,
        train_size=run.train_size,
        test_size=run.test_size,
        predictor=run.predictor,
        framework=run.framework,
        loss=run.loss,
        variant=variant,
        control=_is_control(run),
        method=method_name(
            run.predictor,
            run.framework,
            run.loss,
            variant,
            trained_on_validation=run.train_on_validation,
        ),
        run=run,
        seeds=tuple(run.seed for run in runs),
        first_phase_seeds=sum(run.first_phase for run in runs),
        scores=scores,
        fit_seconds=None if fit is None else fit.mean,
        train_labels=max(run.train_labels for run in runs),
        queried_labels=max(run.queried_labels for run in runs),
        codes=codes,
        code_labels=None if code_labels is None else code_labels.mean,
        taus=tuple(run.scores.get("kendall_tau") for run in runs),
        published=found,
        reasons=differences(run, found) if found is not None else (),
    )


def _paired(rows: list[Row]) -> list[Row]:
    """Set every method beside the plain one, seed by seed: seeds are not equally hard."""
    plain = {
        (_protocol(row.run), row.predictor, row.loss): dict(zip(row.seeds, row.taus, strict=True))
        for row in rows
        if row.run is not None and _is_plain(row)
    }
    return [
        row
        if row.run is None or _is_plain(row)
        else _beside(row, plain.get((_protocol(row.run), row.predictor, row.loss), {}))
        for row in rows
    ]


def only_plain(rows: Sequence[Row]) -> list[Row]:
    """Rows of plain training by a predictor's own recipe, its loss included, and its variants."""
    return [
        row
        for row in rows
        if row.framework == "supervised" and not row.control and row.loss in UNSAID_LOSSES
    ]


def _is_plain(row: Row) -> bool:
    return row.framework == "supervised" and not row.control and not row.variant


def _beside(row: Row, plain: Mapping[int, float | None]) -> Row:
    gains = [
        tau - base
        for seed, tau in zip(row.seeds, row.taus, strict=True)
        if tau is not None and (base := plain.get(seed)) is not None
    ]
    return replace(row, over_plain=statistics.fmean(gains), pairs=len(gains)) if gains else row


def _is_control(run: Run) -> bool:
    return run.train_on_validation and run.framework == "supervised"


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Spread(statistics.fmean(known), deviation)


def _tell_apart(rows: list[Row]) -> list[Row]:
    """Add to equal names what the runs differ in: labels, epochs, data, validation set."""
    names = Counter((_table_key(row), row.split, row.method) for row in rows)
    return [
        replace(row, method=f"{row.method} [{_distinction(row.run)}]")
        if row.run is not None and names[_table_key(row), row.split, row.method] > 1
        else row
        for row in rows
    ]


def _distinction(run: Run) -> str:
    labels = f"{run.train_metric} {run.train_reduction} to {run.test_metric} {run.test_reduction}"
    return (
        f"{labels}, {run.epochs} epochs, data {run.data_hash}, "
        f"validation {run.validation_size}, top {run.top_k}"
    )


def _table_key(row: Row) -> tuple[str, str, str, int]:
    return row.benchmark, row.dataset, row.source, row.space_size


def _not_run(rows: Sequence[Row], published: Sequence[Published]) -> list[Row]:
    """Published methods of the rows' benchmarks and splits, for each table of the report."""
    shown = {(_table_key(row), row.published) for row in rows}
    splits = {(_table_key(row), row.split): row for row in rows}
    return [
        Row(
            benchmark=row.benchmark,
            dataset=row.dataset,
            source=row.source,
            space_size=row.space_size,
            train_size=row.train_size,
            test_size=row.test_size,
            predictor=paper.predictor,
            framework=paper.framework,
            loss=paper.loss,
            variant=paper.variant,
            control=False,
            method=method_name(paper.predictor, paper.framework, paper.loss, paper.variant),
            published=paper,
            reasons=("not run here",),
        )
        for (table, _), row in splits.items()
        for paper in published
        if (paper.benchmark, paper.dataset) == (row.benchmark, row.dataset)
        and (paper.train_size, paper.test_size) == (row.train_size, row.test_size)
        and (table, paper) not in shown
    ]


def _order(row: Row) -> tuple[object, ...]:
    """Benchmark, split, predictor, loss; then the framework, the control right after SE."""
    framework = "self_evolution" if row.control else row.framework
    known = framework in FRAMEWORK_ORDER
    plain = row.variant if row.run is None else variant_text(_plain_variant(deviations(row.run)))
    return (
        *_table_key(row),
        row.train_size,
        float("inf") if row.test_size == "all" else int(row.test_size),
        not row.seeds,
        row.predictor,
        row.loss if row.loss != "mse" else "",
        plain,
        FRAMEWORK_ORDER.index(framework) if known else len(FRAMEWORK_ORDER),
        framework,
        row.control,
        row.variant,
        row.method,
    )

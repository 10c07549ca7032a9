"""From runs to rows: mean and spread over seeds of each benchmark, split and method."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nasp_lightning.report.collect import SCORES, Run, score_values
from nasp_lightning.report.method import deviations, method_name, place, variant_text
from nasp_lightning.report.protocol import (
    CONTROL,
    Key,
    choose_runs,
    method_key,
    plain_variant,
    protocol,
)
from nasp_lightning.report.published import (
    Published,
    differences,
    find_published,
    load_published,
)
from nasp_lightning.report.row import Row, Spread


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
        groups[method_key(run)].append(run)
    rows = _tell_apart(_paired([_row(group, published) for group in groups.values()]))
    if include_published:
        rows += _not_run(rows, published)
    return sorted(rows, key=_order)


def _row(runs: list[Run], published: Sequence[Published]) -> Row:
    runs = sorted(runs, key=lambda run: run.seed)
    run, results, source = runs[0], runs[0].results, runs[0].results.source
    found = find_published(run, published)
    deviating = deviations(run)
    deviating.pop(CONTROL, None)
    variant = variant_text(deviating)
    fit = _spread([run.results.fit_seconds for run in runs])
    codes = any(run.results.codes.queried_codes for run in runs)
    code_labels = _spread([run.results.codes.code_labels for run in runs]) if codes else None
    return Row(
        benchmark=source.benchmark,
        dataset=source.dataset,
        source=source.source,
        space_size=source.space_size,
        train_size=results.train_size,
        test_size=run.test_size,
        predictor=results.predictor,
        framework=results.framework,
        loss=results.loss,
        variant=variant,
        control=results.train_on_validation and results.framework == "supervised",
        method=method_name(
            results.predictor,
            results.framework,
            results.loss,
            variant,
            trained_on_validation=results.train_on_validation,
        ),
        run=run,
        seeds=tuple(run.seed for run in runs),
        first_phase_seeds=sum(run.first_phase for run in runs),
        scores=_scores(runs),
        fit_seconds=None if fit is None else fit.mean,
        train_labels=max(run.results.scores.train_labels for run in runs),
        queried_labels=max(run.results.queried_labels for run in runs),
        selection_labels=_most([run.results.selection_labels for run in runs]),
        codes=codes,
        code_labels=None if code_labels is None else code_labels.mean,
        taus=tuple(run.results.scores.kendall_tau for run in runs),
        published=found,
        pool_size=results.pool_size,
        reasons=differences(run, found) if found is not None else (),
    )


def _most(labels: Sequence[int | None]) -> int | None:
    known = [count for count in labels if count is not None]
    return max(known) if len(known) == len(labels) else None


def _scores(runs: Sequence[Run]) -> dict[str, Spread]:
    values = [score_values(run.results.scores) for run in runs]
    spreads = {name: _spread([value[name] for value in values]) for name in SCORES}
    return {name: spread for name, spread in spreads.items() if spread is not None}


def _paired(rows: list[Row]) -> list[Row]:
    """Set every method beside the plain one, seed by seed: seeds are not equally hard."""
    plain = {
        (protocol(row.run), row.predictor, row.loss): dict(zip(row.seeds, row.taus, strict=True))
        for row in rows
        if row.run is not None and _is_plain(row)
    }
    return [
        row
        if row.run is None or _is_plain(row)
        else _beside(row, plain.get((protocol(row.run), row.predictor, row.loss), {}))
        for row in rows
    ]


def _is_plain(row: Row) -> bool:
    return row.framework == "supervised" and not row.control and not row.variant


def _beside(row: Row, plain: Mapping[int, float]) -> Row:
    gains = [
        tau - base
        for seed, tau in zip(row.seeds, row.taus, strict=True)
        if (base := plain.get(seed)) is not None
    ]
    return replace(row, over_plain=statistics.fmean(gains), pairs=len(gains)) if gains else row


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
    results, source = run.results, run.results.source
    labels = (
        f"{results.train_metric} {results.train_reduction} to "
        f"{results.test_metric} {results.test_reduction}"
    )
    return (
        f"{labels}, {source.epochs} epochs, data {source.data_hash}, "
        f"validation {results.validation_size}, top {results.scores.top_k}"
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
            pool_size=row.pool_size,
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
    plain = row.variant if row.run is None else variant_text(plain_variant(deviations(row.run)))
    return (
        *_table_key(row),
        row.train_size,
        float("inf") if row.test_size == "all" else int(row.test_size),
        row.pool_size or 0,
        not row.seeds,
        row.predictor,
        row.loss if row.loss != "mse" else "",
        plain,
        place(framework),
        framework,
        row.control,
        row.variant,
        row.method,
    )

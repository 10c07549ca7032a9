"""Runs of N + K seen otherwise: by a smaller K, or along K from a fixed N.

A predictor's top K are evaluated best first, so a run of N + K holds those of every smaller K:
Siamese-NAS (arXiv 2210.00546), Figure 6 (a) needs one run of each method, Figure 7 (a) and (b)
the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.report.collect import SearchRun

JOB = "n_plus_k"


def view_runs(
    runs: Sequence[SearchRun], top_k: Sequence[int] | None = None, fixed_n: bool = False
) -> list[SearchRun]:
    """The runs that a report is made of.

    Args:
        runs: finished ones.
        top_k: what each run of N + K is cut to, in turn; None: its own K.
        fixed_n: each is a curve from its N on, and not one point.

    Raises:
        NaspError: if no run has evaluated so many.
    """
    chosen = most_repeats(runs)
    others = [run for run in chosen if run.results.search != JOB]
    own = [run for run in chosen if run.results.search == JOB]
    if top_k:
        own = [cut for k in top_k for cut in cut_runs(own, k)]
    if fixed_n:
        own = [along_k(run) for run in own]
    return [*others, *own]


def most_repeats(runs: Sequence[SearchRun]) -> list[SearchRun]:
    """Of runs that differ in nothing but their repeats the longest, which holds the others'."""
    longest: dict[tuple[object, ...], SearchRun] = {}
    for run in sorted(runs, key=lambda run: -len(run.regret)):
        results, source = run.results, run.results.source
        data = (source.benchmark, source.dataset, source.source, source.data_hash)
        key = (*data, results.family_hash, results.labels, results.origin.seed)
        longest.setdefault(key, run)
    kept = {id(run) for run in longest.values()}
    return [run for run in runs if id(run) in kept]


def cut_runs(runs: Sequence[SearchRun], top_k: int) -> list[SearchRun]:
    """Runs as they would be with a smaller K; those that have evaluated fewer are left out.

    Raises:
        NaspError: if all have, or K is no positive number.
    """
    check_whole("--top-k", top_k)
    found = [_cut(run, top_k) for run in runs if run.setting("top_k") >= top_k]
    if not found:
        raise NaspError(f"--top-k {top_k}: no run of N + K has evaluated so many")
    return found


def _cut(run: SearchRun, top_k: int) -> SearchRun:
    labels = run.setting("train_size") + top_k
    results = replace(
        run.results,
        settings={**run.results.settings, "top_k": top_k},
        labels=labels,
        family_hash=f"{run.results.family_hash}-{top_k}",
    )
    return replace(run, results=results, regret=run.regret[:, :labels], best=run.best[:, :labels])


def along_k(run: SearchRun) -> SearchRun:
    """A run as a curve of what was found after each of its K, from its N on."""
    begin = run.setting("train_size")
    family = f"{run.results.family_hash}-{begin}"
    return replace(run, results=replace(run.results, anytime=True, family_hash=family), begin=begin)

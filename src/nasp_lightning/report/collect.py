"""Find finished runs in folders and read their ``results.json``; a bad one stops no report."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasp_lightning.error import NaspError

FORMAT = "nasp_lightning.results/1"
_NAME = FORMAT.split("/")[0]
RESULTS = "results.json"
CONFIG = "config.yaml"

SCORES = (
    "kendall_tau",
    "kendall_tau_excluding_train",
    "spearman",
    "pearson",
    "best_in_top_k",
    "regret_at_k",
    "precision_at_k",
)

_TEXT = (
    *("config_hash", "benchmark", "source", "dataset", "data_hash"),
    *("predictor", "framework", "loss"),
    *("train_metric", "train_reduction", "test_metric", "test_reduction"),
)
_WHOLE = (
    *("space_size", "train_size", "validation_size", "seed"),
    *("train_labels", "queried_labels"),
)
_FLAG = ("partial", "train_on_validation")


@dataclass(frozen=True)
class Run:
    """One finished run, as its ``results.json`` tells it.

    Attributes:
        folder: the run's folder.
        epochs: training epochs of the benchmark's labels (not of the predictor), or a word, such
            as ``final``, where the benchmark does not count them.
        space_size: architectures in the table that was used.
        test_size: ``all`` or a number of architectures, as text.
        train_labels: labels that the predictor was fitted on.
        queried_labels: all labels that the method asked for, those included.
        scores: the values of :data:`SCORES`; None where the run has none.
        queried_codes: architectures whose extra inputs (codes, proxies) were used.
        code_labels: what those cost in labels; None where that is not stated.
        variant: settings that deviate from the method's defaults, by their config path.
        phases: the scores and labels after each training phase, by the phase's name.
        first_phase: whether this is the plain predictor inside a self-evolution run.
    """

    folder: Path
    config_hash: str
    benchmark: str
    source: str
    dataset: str
    data_hash: str
    predictor: str
    framework: str
    loss: str
    train_metric: str
    train_reduction: str
    test_metric: str
    test_reduction: str
    epochs: int | str
    space_size: int
    train_size: int
    validation_size: int
    seed: int
    train_labels: int
    queried_labels: int
    partial: bool
    train_on_validation: bool
    test_size: str
    scores: dict[str, float | None] = field(default_factory=dict)
    top_k: int | None = None
    fit_seconds: float | None = None
    rank_seconds: float | None = None
    queried_codes: int = 0
    code_labels: float | None = None
    variant: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    first_phase: bool = False


class OtherJobError(NaspError):
    """Results of a job that the report has no table for, such as a trained network's."""


@dataclass(frozen=True)
class Problem:
    """A folder that the report leaves out: its kind (``damaged``, ``unfinished``, …) and why."""

    kind: str
    folder: Path
    reason: str = ""


@dataclass(frozen=True)
class Collection:
    """What the folders hold: finished runs, and those left out."""

    runs: list[Run]
    problems: list[Problem]


def collect_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Finished runs in run folders, or in folders that contain them at any depth.

    Raises:
        NaspError: if a path does not exist, or there is no finished run in any of them.
    """
    return collect(paths).runs


def collect(paths: Iterable[str | Path]) -> Collection:
    """As :func:`collect_runs`, with the unfinished and damaged runs named beside the others.

    A result found twice (the same configuration hash and seed, as in a copied folder) counts once.

    Raises:
        NaspError: if a path does not exist, or there is no finished run in any of them.
    """
    roots = [Path(path) for path in paths]
    runs: dict[tuple[str, int], Run] = {}
    problems: list[Problem] = []
    for folder, finished in _run_folders(roots):
        if not finished:
            problems.append(Problem("unfinished", folder))
            continue
        try:
            run = read_run(folder)
        except OtherJobError:
            problems.append(Problem("of another job", folder))
        except NaspError as error:
            problems.append(Problem("damaged", folder, str(error)))
        else:
            runs.setdefault((run.config_hash, run.seed), run)
    if not runs:
        named = ", ".join(str(path) for path in roots) or "no folder"
        also = f" ({describe_problems(problems)})" if problems else ""
        raise NaspError(
            f"no finished run in {named}{also}: name folders in which runs have left a {RESULTS}"
        )
    return Collection(list(runs.values()), problems)


def describe_problems(problems: Sequence[Problem], most: int = 8) -> str:
    """One line that counts the problems by kind and names up to ``most`` of each."""
    parts = []
    for kind in dict.fromkeys(problem.kind for problem in problems):
        of_kind = [problem for problem in problems if problem.kind == kind]
        named = [
            f"{problem.folder}: {problem.reason}" if problem.reason else str(problem.folder)
            for problem in of_kind[:most]
        ]
        if len(of_kind) > most:
            named.append(f"and {len(of_kind) - most} more")
        parts.append(f"{len(of_kind)} {kind} ({'; '.join(named)})")
    return ", ".join(parts)


def read_run(folder: Path) -> Run:
    """Read one run folder's results.

    Raises:
        NaspError: if they are absent, not JSON, of another format, or lack a field.
    """
    try:
        content = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except OSError as error:
        raise NaspError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NaspError("not JSON") from error
    if not isinstance(content, dict):
        raise NaspError("not a JSON object")
    found = content.get("format")
    if found != FORMAT:
        own = str(found).startswith("nasp_lightning.") and str(found).split("/")[0] != _NAME
        kind = OtherJobError if own else NaspError
        raise kind(f"format {found!r} instead of {FORMAT!r}")
    return _parse(folder, content)


def _parse(folder: Path, content: dict[str, Any]) -> Run:
    values: dict[str, Any] = {}
    values |= {name: _typed(content, name, str) for name in _TEXT}
    values |= {name: _typed(content, name, int) for name in _WHOLE}
    values |= {name: _typed(content, name, bool) for name in _FLAG}
    values["epochs"] = _typed(content, "epochs", (int, str))
    test_size = content.get("test_size")
    if isinstance(test_size, bool) or not (test_size == "all" or str(test_size).isdecimal()):
        raise NaspError(f"test_size is {test_size!r}, neither 'all' nor a whole number")
    scores = {name: number(content.get(name)) for name in SCORES}
    if scores["kendall_tau"] is None:
        raise NaspError("no kendall_tau")
    top_k = number(content.get("top_k"))
    return Run(
        folder=folder,
        **values,
        test_size=str(test_size),
        scores=scores,
        top_k=None if top_k is None else int(top_k),
        fit_seconds=number(content.get("fit_seconds")),
        rank_seconds=number(content.get("rank_seconds")),
        queried_codes=int(number(content.get("queried_codes")) or 0),
        code_labels=number(content.get("code_labels")),
        variant=_table(content, "variant"),
        phases={
            name: phase
            for name, phase in _table(content, "phases").items()
            if isinstance(phase, dict)
        },
    )


def number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _typed(content: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    if name not in content:
        raise NaspError(f"no {name}")
    value = content[name]
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise NaspError(f"{name} is {value!r}")
    return value


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name) or {}
    if not isinstance(value, dict):
        raise NaspError(f"{name} is {value!r}")
    return value


def _run_folders(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Each run folder once, with whether it is finished, in a stable order."""
    seen: set[Path] = set()
    for path in paths:
        start = path.parent if path.name == RESULTS else path
        if not start.is_dir():
            raise NaspError(f"{path} is no folder: name run folders, or folders that contain them")
        for parent, folders, files in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if not {RESULTS, CONFIG} & set(files):
                continue
            folder = Path(parent)
            if (resolved := folder.resolve()) not in seen:
                seen.add(resolved)
                yield folder, RESULTS in files

"""Find runs in folders and read what they left; here alone a report opens ``results.json``.

A bad run stops no report: it becomes a :class:`Problem`, named beside the others.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError
from nasp_lightning.run.results import RESULTS, FitResults, Scores
from nasp_lightning.run.results_file import OtherFormatError, parse_results, read_content
from nasp_lightning.run.search_results import SearchResults

if TYPE_CHECKING:  # the report starts without numpy
    from nasp_lightning.array import Array

CONFIG = "config.yaml"
CURVES = "curves.npz"

SCORES = (
    "kendall_tau",
    "kendall_tau_excluding_train",
    "spearman",
    "pearson",
    "best_in_top_k",
    "regret_at_k",
    "precision_at_k",
    "best_percent_in_top_k",
    "kendall_tau_top_tenth",
)


@dataclass(frozen=True)
class Run:
    """One finished fit.

    Attributes:
        folder: the run's folder.
        results: what it left.
        first_phase: whether this is the plain predictor inside a self-evolution run.
    """

    folder: Path
    results: FitResults
    first_phase: bool = False

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.results.origin.seed

    @property
    def test_size(self) -> str:
        """``all`` or a number of architectures, as text."""
        return str(self.results.test_size)


@dataclass(frozen=True)
class SearchRun:
    """One finished run of ``job=search`` or ``job=n_plus_k`` with its curves.

    Attributes:
        folder: the run's folder.
        results: what it left.
        regret: ``[R, L]`` regret of each repeat after each label, or label equivalent; NaN before
            its first full label.
        best: ``[R, L]`` accuracy found, likewise.
        begin: labels from which on the curves are shown.
        recommended: ``[R, L]`` regret of what would be handed over, where a rule of its own decides
            that and not the best label; else None.
    """

    folder: Path
    results: SearchResults
    regret: Array
    best: Array
    begin: int = 0
    recommended: Array | None = None

    @property
    def handed_over(self) -> SearchRun | None:
        """The same with curves of what would be handed over, where that is not the best label."""
        if self.recommended is None:
            return None
        best = self.results.best_reachable - self.recommended
        return replace(self, regret=self.recommended, best=best, recommended=None)

    def setting(self, name: str) -> int:
        """A whole number of the search's own settings, such as ``top_k``.

        Raises:
            NaspError: that names the run, if there is none.
        """
        value = self.results.settings.get(name)
        if not isinstance(value, int):
            raise NaspError(f"{self.folder}: settings.{name} is {value!r}, not a whole number")
        return value


@dataclass(frozen=True)
class Problem:
    """A folder that the report leaves out: its kind (``damaged``, ``unfinished``, …) and why."""

    kind: str
    folder: Path
    reason: str = ""


@dataclass(frozen=True)
class Collection:
    """What folders hold: finished fits and searches, and what is left out."""

    runs: list[Run] = field(default_factory=list)
    searches: list[SearchRun] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def score_values(scores: Scores) -> dict[str, float | None]:
    """Values by the names of :data:`SCORES`; None where a run has none."""
    values = (
        scores.kendall_tau,
        scores.kendall_tau_excluding_train,
        scores.spearman,
        scores.pearson,
        scores.best_in_top_k,
        scores.regret_at_k,
        scores.precision_at_k,
        scores.best_percent_in_top_k,
        scores.kendall_tau_top_tenth,
    )
    return dict(zip(SCORES, values, strict=True))


def collect_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Finished fits in run folders, or in folders that contain them at any depth.

    Raises:
        NaspError: if a path does not exist, or there is no finished fit in any of them.
    """
    roots = [Path(path) for path in paths]
    found = collect(roots)
    if not found.runs:
        raise nothing_found(roots, found.problems)
    return found.runs


def nothing_found(paths: Sequence[Path], problems: Sequence[Problem]) -> NaspError:
    """The error where folders hold nothing to report."""
    named = ", ".join(str(path) for path in paths) or "no folder"
    also = f" ({describe_problems(problems)})" if problems else ""
    return NaspError(
        f"no finished run in {named}{also}: name folders in which runs have left a {RESULTS}"
    )


def collect(paths: Iterable[str | Path]) -> Collection:
    """Fits and searches in folders, with the unfinished and damaged runs named beside them.

    A result found twice (the same configuration hash and seed, as in a copied folder) counts once.

    Raises:
        NaspError: if a path does not exist.
    """
    runs: dict[tuple[str, int], Run] = {}
    searches: dict[tuple[str, int], SearchRun] = {}
    problems: list[Problem] = []
    for folder, finished in _run_folders([Path(path) for path in paths]):
        if not finished:
            problems.append(Problem("unfinished", folder))
            continue
        try:
            run = _read(folder)
        except OtherFormatError:
            problems.append(Problem("of another job", folder))
        except NaspError as error:
            problems.append(Problem("damaged", folder, str(error)))
        else:
            origin = run.results.origin
            identity = (origin.config_hash, origin.seed)
            if isinstance(run, Run):
                runs.setdefault(identity, run)
            else:
                searches.setdefault(identity, run)
    return Collection(list(runs.values()), list(searches.values()), problems)


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
    """Read one fit's folder.

    Raises:
        OtherFormatError: if the results are another job's.
        NaspError: if they are absent, not JSON, of no format of this package, or lack a key.
    """
    return _run(folder, parse_results(FitResults, read_content(folder / RESULTS)))


def _read(folder: Path) -> Run | SearchRun:
    content = read_content(folder / RESULTS)
    if content.get("format") == SearchResults.FORMAT:
        return _search(folder, parse_results(SearchResults, content))
    return _run(folder, parse_results(FitResults, content))


def _run(folder: Path, results: FitResults) -> Run:
    size = results.test_size
    if not (size == "all" or str(size).isdecimal()):
        raise NaspError(f"test_size is {size!r}, neither 'all' nor a whole number")
    return Run(folder, results)


def _search(folder: Path, results: SearchResults) -> SearchRun:
    import numpy as np

    try:
        with np.load(folder / CURVES, allow_pickle=False) as file:
            regret, best = file["regret"].astype(float), file["best"].astype(float)
            handed = None
            if results.recommended.recommend == "posterior":
                handed = file["recommended_regret"].astype(float)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise NaspError(f"{CURVES} is absent or damaged") from error
    if regret.ndim != 2 or not regret.size or regret.shape != best.shape:
        raise NaspError(f"{CURVES} is absent or damaged")
    known = np.isfinite(regret).all(axis=0)
    if not known[-1]:
        raise NaspError(f"{CURVES} is absent or damaged")
    # With several training budgets, curves are shown from where every repeat has a full label.
    return SearchRun(folder, results, regret, best, int(known.argmax()), handed)


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

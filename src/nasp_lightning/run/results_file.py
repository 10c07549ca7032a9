"""Read ``results.json`` back, of whichever job, checked key by key.

Example:
    >>> results = read_results(Path("runs/nb201_tnasp/0123456789ab"))  # doctest: +SKIP
    >>> results.scores.kendall_tau  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from nasp_lightning.error import NaspError
from nasp_lightning.run.json_form import from_json
from nasp_lightning.run.results import (
    RESULTS,
    BuildResults,
    FitResults,
    NetworkResults,
    NetworkSearchResults,
    Results,
    SubnetsResults,
)
from nasp_lightning.run.search_results import SearchResults

JOBS: dict[str, type[Results]] = {
    "train_predictor": FitResults,
    "search": SearchResults,
    "n_plus_k": SearchResults,
    "search_network": NetworkSearchResults,
    "label_subnets": SubnetsResults,
    "train_network": NetworkResults,
    "build_benchmark": BuildResults,
}


R = TypeVar("R", bound=Results)


class OtherFormatError(NaspError):
    """Results that are none of the kinds asked for, though this package wrote them."""


def read_content(path: Path) -> dict[str, object]:
    """The JSON object of a results file, whatever its format.

    Raises:
        NaspError: if it is absent, unreadable, or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NaspError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NaspError("not JSON") from error
    if not isinstance(content, dict):
        raise NaspError("not a JSON object")
    return content


def parse_results(kind: type[R], content: Mapping[str, object]) -> R:
    """Results of one kind.

    Raises:
        OtherFormatError: if they are of another job.
        NaspError: if they are of no format of this package, or a key is missing or wrong.
    """
    found = content.get("format")
    if found != kind.FORMAT:
        own = str(found).split("/")[0] in {item.FORMAT.split("/")[0] for item in JOBS.values()}
        same = str(found).split("/")[0] == kind.FORMAT.split("/")[0]
        error = OtherFormatError if own and not same else NaspError
        raise error(f"format {found!r} instead of {kind.FORMAT!r}")
    return from_json(kind, content)


def read_results(folder: Path) -> Results:
    """Results of a run's folder, of whichever job.

    Raises:
        NaspError: that names the file and what is wrong with it.
    """
    path = folder / RESULTS
    try:
        content = read_content(path)
        for kind in JOBS.values():
            if content.get("format") == kind.FORMAT:
                return parse_results(kind, content)
        known = ", ".join(sorted({kind.FORMAT for kind in JOBS.values()}))
        raise NaspError(f"format {content.get('format')!r} is none of {known}")
    except NaspError as error:
        raise NaspError(f"{path}: {error}") from error

"""Chains of jobs: a stage leaves word of its product, the next stage finds it.

``paths.chain`` is a folder with one small file for each finished stage, ``supernet.json``,
``sample.json``, ``search.json``, ``retrain.json``, that says where its product lies. A config
takes it as ``${left:supernet}``, when the config is composed: so the path is part of the config,
and a run with another product is another run. Whoever names the path needs no chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nasp_lightning.error import NaspError
from nasp_lightning.storage import write_json

STAGES = ("supernet", "sample", "search", "retrain")


def leave(chain: Path | str | None, stage: str, product: Path) -> None:
    """Say where a finished stage's product lies; nothing where the run is of no chain.

    Args:
        chain: folder in which stages leave word, ``paths.chain``, or None.
        stage: one of :data:`STAGES`.
        product: its file or folder.
    """
    if chain:
        write_json(_file(Path(chain), stage), {"path": str(Path(product).absolute())})


def leave_again(chain: Path | str | None, folder: Path, results: Mapping[str, object]) -> None:
    """Say once more where a run's product lies, which was finished before: perhaps in a new chain.

    Args:
        chain: as of :func:`leave`.
        folder: the run's.
        results: of it; nothing happens where they name no product.
    """
    found = results.get("product")
    if isinstance(found, dict):
        leave(chain, str(found["stage"]), folder / str(found["name"]))


def left(stage: str, folder: str | None) -> str | None:
    """Where a stage's product lies, for configs; None where there is none yet."""
    if not folder:
        return None
    try:
        content = json.loads(_file(Path(folder), stage).read_text(encoding="utf-8"))
        return str(content["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(chain: Path | None, stage: str, setting: str, told: object) -> Path:
    """The product of the stage before, as a setting names it.

    Args:
        chain: as of :func:`leave`.
        stage: whose product.
        setting: its name, such as ``job.supernet``.
        told: its value; null where nothing was found.

    Raises:
        NaspError: if nothing was found, or what is named is not there.
    """
    if told is None:
        where = "paths.chain is not set" if not chain else f"{chain} has no {stage}.json"
        raise NaspError(
            f"{setting}=null: the stage before, {stage}, has left nothing ({where}): run it first, "
            f"or set {setting} to its product"
        )
    path = Path(str(told)).expanduser()
    if not path.exists():
        raise NaspError(f"{setting}={told}: there is no such file or folder; run the stage {stage}")
    return path


def _file(folder: Path, stage: str) -> Path:
    if stage not in STAGES:
        raise NaspError(f"left:{stage}: the stages of a chain are {', '.join(STAGES)}")
    return folder.expanduser() / f"{stage}.json"

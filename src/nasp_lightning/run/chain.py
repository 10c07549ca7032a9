"""Chains of jobs: a stage leaves word of its product, the next stage finds it.

``paths.chain`` is a folder with one small file for each finished stage, ``supernet.json``,
``sample.json``, ``search.json``, ``retrain.json``, that says where its product lies. A config
takes it as ``${left:supernet}``, when the config is composed: so the path is part of the config,
and a run with another product is another run. Whoever names the path needs no chain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nasp_lightning.error import NaspError
from nasp_lightning.storage import write_json

Config = dict[str, Any]

STAGES = ("supernet", "sample", "search", "retrain")


def leave(config: Config, stage: str, product: Path) -> None:
    """Say where a finished stage's product lies; nothing where the run is of no chain.

    Args:
        config: of the run.
        stage: one of :data:`STAGES`.
        product: its file or folder.
    """
    folder = (config.get("paths") or {}).get("chain")
    if folder:
        write_json(_file(Path(folder), stage), {"path": str(Path(product).absolute())})


def product(stage: str, name: str) -> Config:
    """The entry ``product`` of a stage's results: its file or folder, relative to the run's."""
    return {"stage": stage, "name": name}


def leave_again(config: Config, folder: Path, results: Config) -> None:
    """Say once more where a run's product lies, which was finished before: perhaps in a new chain.

    Args:
        config: of the run.
        folder: the run's.
        results: of it; nothing happens where they name no product.
    """
    found = results.get("product")
    if isinstance(found, dict):
        leave(config, str(found["stage"]), folder / str(found["name"]))


def left(stage: str, folder: str | None) -> str | None:
    """Where a stage's product lies, for configs; None where there is none yet."""
    if not folder:
        return None
    try:
        content = json.loads(_file(Path(folder), stage).read_text(encoding="utf-8"))
        return str(content["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(config: Config, stage: str, setting: str, told: Any) -> Path:
    """The product of the stage before, as a setting names it.

    Args:
        config: of the run.
        stage: whose product.
        setting: its name, such as ``job.supernet``.
        told: its value; null where nothing was found.

    Raises:
        NaspError: if nothing was found, or what is named is not there.
    """
    folder = (config.get("paths") or {}).get("chain")
    if told is None:
        where = "paths.chain is not set" if not folder else f"{folder} has no {stage}.json"
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

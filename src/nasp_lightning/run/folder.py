"""A run's identity: the hash of what determines its result, and whether its folder is finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nasp_lightning.error import NaspError
from nasp_lightning.storage import known_sha256

Config = dict[str, Any]  # resolved: plain containers, as YAML has them

# What does not change a result stays out of the hash: where files go, what is shown, who is told.
NOT_HASHED = ("hydra", "paths", "logger", "callbacks", "name", "threads")
NOT_HASHED_WITHIN = {"estimation_code": ("concurrent", "folder"), "job": ("compile",)}


def resolved(composed: DictConfig) -> Config:
    """A composed config as plain containers, interpolations resolved, without Hydra's own node."""
    container = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(container, dict)
    container.pop("hydra", None)
    plain = OmegaConf.to_container(OmegaConf.create(container), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def config_hash(config: DictConfig | Config, without: tuple[str, ...] = ()) -> str:
    """Twelve hexadecimal digits that name a run.

    Args:
        config: composed or already resolved config.
        without: further keys to leave out, such as ``("seed",)`` for what all seeds share.
    """
    plain = resolved(config) if isinstance(config, DictConfig) else config
    kept = _set({key: value for key, value in plain.items() if key not in (*NOT_HASHED, *without)})
    for group, names in NOT_HASHED_WITHIN.items():
        if isinstance(kept.get(group), dict):
            kept[group] = {key: item for key, item in kept[group].items() if key not in names}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def method_hash(config: Config) -> str:
    """Hash of what all seeds of a method share: no seed, neither the run's nor of its parts."""
    shared = {
        key: {name: item for name, item in value.items() if name != "seed"}
        if isinstance(value, dict)
        else value
        for key, value in config.items()
    }
    return config_hash(shared, without=("seed",))


def _set(value: Any) -> Any:
    """Leave out what is null: a later version's new setting keeps the names of finished runs."""
    if isinstance(value, dict):
        return {key: _set(item) for key, item in value.items() if item is not None}
    return value


def finished_results(folder: Path, expected_hash: str) -> Config | None:
    """Results of a finished run, or None.

    ``results.json`` must be whole and carry the hash, and the files outside the run's folder that
    it lists under ``files`` must have the sizes that they had.
    """
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(results, dict) or results.get("config_hash") != expected_hash:
        return None
    sizes = results.get("files") or {}
    return results if all(_size(path) == size for path, size in sizes.items()) else None


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def check_source(results: Mapping[str, object], path: str | None) -> None:
    """Refuse to call a run finished whose benchmark file has another content by now.

    A run's hash knows the file by its path alone.

    Args:
        results: of the finished run.
        path: the file, or None where the benchmark's own was looked for.

    Raises:
        NaspError: if the file was changed since.
    """
    recorded = results.get("source_sha256")
    if not path or not recorded or not Path(path).is_file():
        return
    if known_sha256(Path(path)) != recorded:
        raise NaspError(
            f"{path} was changed since the run {results['config_hash']} of "
            f"{results.get('name')} read it (SHA-256 {str(recorded)[:12]}…): give the changed file "
            "another name, or move the run's folder away to run again"
        )


def stem(target: str) -> str:
    """Name of a component: the module of its ``_target_``, such as ``tnasp``."""
    parts = str(target).split(".")
    return parts[-2] if len(parts) > 1 else parts[0]

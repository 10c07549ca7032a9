"""What a run does differently from the shipped defaults of its parts."""

from __future__ import annotations

from typing import Any

import yaml

from nasp_lightning.run.folder import stem
from nasp_lightning.shipped import conf_dir

# These name the method or the split and have columns of their own.
NAMED_ELSEWHERE = {
    "data.train_size",
    "data.test_size",
    "data.validation_size",
    "data.train_on_validation",
    "task.loss",
}
# Where codes are computed, and the network of the space.
NOT_COMPARED = ("network", "concurrent", "device", "folder", "images")


def variant(config: dict[str, Any]) -> dict[str, Any]:
    """Settings that deviate from the defaults of the chosen parts, by their dotted path.

    Args:
        config: resolved config.

    Returns:
        such as ``{"predictor.positional_branch": False}``; empty for a run by the book.
    """
    defaults = {
        "predictor": stem(config["predictor"]["_target_"]),
        "framework": stem(config["framework"]["_target_"]),
        "optimizer": "adam",
        "scheduler": "cosine",
        "trainer": "default",
        "task": "predictor",
        "data": "architectures",
        "space": config["benchmark"]["name"],
    }
    found: dict[str, Any] = {}
    for group, name in defaults.items():
        default = _load(group, name)
        if default is not None and isinstance(config.get(group), dict):
            _compare(group, config[group], default, found)
    found |= _code(config)
    return {path: value for path, value in found.items() if path not in NAMED_ELSEWHERE}


def _code(config: dict[str, Any]) -> dict[str, Any]:
    """The Estimation Code, which a run by the book has none of, and what is changed of it."""
    code = config.get("estimation_code")
    if not code or "_target_" not in code:  # what an experiment has set, with estimation_code=none
        return {}
    name = stem(code["_target_"])
    found: dict[str, Any] = {"estimation_code": name}
    kept = {key: item for key, item in code.items() if key not in NOT_COMPARED}
    default = _load("estimation_code", name, with_defaults=True)
    if default is not None:
        _compare("estimation_code", kept, default, found)
    if code.get("network"):
        network = stem(code["network"]["_target_"])
        _compare("estimation_code.network", code["network"], _load("network", network) or {}, found)
    return found


def _load(group: str, name: str, with_defaults: bool = False) -> dict[str, Any] | None:
    path = conf_dir() / group / f"{name}.yaml"
    if not path.is_file():
        return None  # a part of the user's own: it has its own name
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or ("defaults" in content and not with_defaults):
        return None
    return content


def _compare(
    path: str, value: dict[str, Any], default: dict[str, Any], found: dict[str, Any]
) -> None:
    for key, item in value.items():
        expected = default.get(key)
        if isinstance(item, dict) and isinstance(expected, dict):
            _compare(f"{path}.{key}", item, expected, found)
        elif item != expected and not (isinstance(expected, str) and "${" in expected):
            found[f"{path}.{key}"] = item

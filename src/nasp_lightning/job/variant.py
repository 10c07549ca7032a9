"""What a run does differently from the shipped defaults of its parts."""

from __future__ import annotations

from typing import Any

import yaml

from nasp_lightning.run_folder import stem

# These name the method or the split and have columns of their own.
NAMED_ELSEWHERE = {
    "data.train_size",
    "data.test_size",
    "data.validation_size",
    "data.train_on_validation",
    "task.loss",
}


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
    return {path: value for path, value in found.items() if path not in NAMED_ELSEWHERE}


def _load(group: str, name: str) -> dict[str, Any] | None:
    from nasp_lightning.cli import conf_dir

    path = conf_dir() / group / f"{name}.yaml"
    if not path.is_file():
        return None  # a part of the user's own: it has its own name
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) and "defaults" not in content else None


def _compare(
    path: str, value: dict[str, Any], default: dict[str, Any], found: dict[str, Any]
) -> None:
    for key, item in value.items():
        expected = default.get(key)
        if isinstance(item, dict) and isinstance(expected, dict):
            _compare(f"{path}.{key}", item, expected, found)
        elif item != expected and not (isinstance(expected, str) and "${" in expected):
            found[f"{path}.{key}"] = item

"""The shipped choices of config groups, as their YAML files have them: no config is composed."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import yaml

from nasp_lightning.shipped import conf_dir

Settings = Mapping[str, object]


@functools.cache
def read_choice(group: str, name: str) -> Settings | None:
    """Content of ``conf/<group>/<name>.yaml``; None where there is none: a choice of the user's.

    Interpolations stay as they are written.

    Args:
        group: such as ``predictor``; empty for the root's ``config.yaml``.
        name: such as ``tnasp``.
    """
    path = conf_dir() / group / f"{name}.yaml"
    if not path.is_file():
        return None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else None


def choices(content: Settings) -> dict[str, str]:
    """Groups and names that a file's defaults list chooses, such as ``{"predictor": "nao"}``."""
    entries = content.get("defaults")
    return {
        str(group).removeprefix("override ").removeprefix("/"): str(name)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        for group, name in entry.items()
    }


def default_choices() -> dict[str, str]:
    """What a run chooses that chooses nothing: the defaults list of ``conf/config.yaml``."""
    root = read_choice("", "config")
    assert root is not None
    return choices(root)


def names_of(group: str) -> tuple[str, ...]:
    """Names of a group's choices, sorted."""
    return tuple(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))

"""What a run does differently from the shipped defaults of its parts."""

from __future__ import annotations

from collections.abc import Mapping

from nasp_lightning.run.choice import Settings, default_choices, read_choice
from nasp_lightning.run.folder import NOT_HASHED, stem

# The parts that name a method: a run is compared with its own choice of them.
METHOD = ("predictor", "framework")
# Groups that are no parts of a method: they say on what it runs, and in which job.
NO_PARTS = (*NOT_HASHED, "benchmark", "job", "estimation_code")
# These name the method or the split and have columns of their own.
NAMED_ELSEWHERE = {
    "data.train_size",
    "data.test_size",
    "data.validation_size",
    "data.pool_size",
    "data.train_on_validation",
    "task.loss",
}
# Where codes are computed, and the network of the space.
NOT_COMPARED = ("network", "concurrent", "device", "folder", "images")


def parts() -> dict[str, str]:
    """Groups of a method's parts and their default choices, the method's own groups first."""
    chosen = {
        group: name
        for group, name in default_choices().items()
        if group.partition("/")[0] not in NO_PARTS
    }
    return {**{group: chosen[group] for group in METHOD}, **chosen}


def variant(groups: Settings) -> dict[str, object]:
    """Settings that deviate from the defaults of the chosen parts, by their dotted path.

    Args:
        groups: settings of each config group, resolved.

    Returns:
        such as ``{"predictor.positional_branch": False}``; empty for a run by the book.
    """
    own = {group: stem(str(_group(groups, group)["_target_"])) for group in METHOD}
    space = {"space": str(_group(groups, "benchmark")["name"])}  # a benchmark's has its name
    found: dict[str, object] = {}
    for group, name in {**parts(), **own, **space}.items():
        default, settings = _load(group, name), groups.get(group)
        if default is not None and isinstance(settings, Mapping):
            _compare(group, settings, default, found)
    found |= _code(groups)
    return {path: value for path, value in found.items() if path not in NAMED_ELSEWHERE}


def _group(groups: Settings, group: str) -> Settings:
    settings = groups[group]
    assert isinstance(settings, Mapping), group
    return settings


def _code(groups: Settings) -> dict[str, object]:
    """The Estimation Code, which a run by the book has none of, and what is changed of it."""
    code = groups.get("estimation_code")
    # what an experiment has set, with estimation_code=none
    if not isinstance(code, Mapping) or "_target_" not in code:
        return {}
    name = stem(code["_target_"])
    found: dict[str, object] = {"estimation_code": name}
    kept = {key: item for key, item in code.items() if key not in NOT_COMPARED}
    default = read_choice("estimation_code", name)
    if default is not None:
        _compare("estimation_code", kept, default, found)
    network = code.get("network")
    if network:
        default = _load("network", stem(network["_target_"])) or {}
        _compare("estimation_code.network", network, default, found)
    return found


def _load(group: str, name: str) -> Settings | None:
    """The default settings of a choice; None for one of the user's, or one that varies another."""
    content = read_choice(group, name)
    return None if content is None or "defaults" in content else content


def _compare(path: str, value: Settings, default: Settings, found: dict[str, object]) -> None:
    for key, item in value.items():
        expected = default.get(key)
        if isinstance(item, Mapping) and isinstance(expected, Mapping):
            _compare(f"{path}.{key}", item, expected, found)
        elif item != expected and not (isinstance(expected, str) and "${" in expected):
            found[f"{path}.{key}"] = item

"""How a predictor's own experiment trains it, where that is not the shipped defaults' way."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from nasp_lightning.run.variant import variant
from nasp_lightning.shipped import conf_dir

EXPERIMENTS = {"nasbench101": "nb101", "nasbench201": "nb201"}  # what their names begin with
CODE = "estimation_code"
TRAINING = ("optimizer", "scheduler", "trainer", "task", "data")
GROUPS = ("predictor", "framework", "optimizer", "scheduler", "trainer", "task", "data")


class Setting(NamedTuple):
    """A setting's value in the recipe, and what a run has that does not set it."""

    value: Any
    default: Any


@functools.cache
def recipe(benchmark: str, predictor: str) -> Mapping[str, Setting]:
    """What ``conf/experiment/<benchmark>_<predictor>.yaml`` changes, by dotted path.

    NAO, say, is not published with this project's default optimizer and epochs: a run with
    NAO's own is a run by the book, and :func:`~.variant.variant` still lists them.

    Args:
        benchmark: such as ``nasbench101``.
        predictor: such as ``nao``.

    Returns:
        such as ``{"trainer.max_epochs": Setting(1000, 300)}``; empty where there is no such
        experiment. Values that another setting gives are left out.
    """
    folder = conf_dir()
    path = folder / "experiment" / f"{EXPERIMENTS.get(benchmark, benchmark)}_{predictor}.yaml"
    if not path.is_file():
        return {}
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    root = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    shipped = {**_choices(root["defaults"]), "predictor": predictor}
    chosen = {**shipped, **_choices(experiment["defaults"])}

    def read(group: str, name: str) -> dict[str, Any]:
        content = yaml.safe_load((folder / group / f"{name}.yaml").read_text(encoding="utf-8"))
        return {group: content}

    config: dict[str, Any] = {"benchmark": {"name": benchmark}}
    defaults: dict[str, Any] = {}
    for group in GROUPS:
        config |= read(group, chosen[group])
        config[group] |= experiment.get(group) or {}
        defaults |= read(group, shipped[group])
    if chosen.get(CODE, "none") != "none":
        config |= read(CODE, chosen[CODE])
        config[CODE] |= experiment.get(CODE) or {}
    return {
        setting: Setting(value, _at(defaults, setting))
        for setting, value in variant(config).items()
        if "${" not in json.dumps(value)
    }


def not_followed(benchmark: str, predictor: str, own: Mapping[str, Any]) -> str | None:
    """A line for the user where a run trains a predictor otherwise than its own experiment does.

    Args:
        benchmark: such as ``nasbench201``.
        predictor: such as ``nao``.
        own: the run's :func:`~.variant.variant`.
    """
    other = [
        f"{name}={json.dumps(setting.value)}"
        for name, setting in recipe(benchmark, predictor).items()
        if name.split(".")[0] in TRAINING and own.get(name, setting.default) != setting.value
    ]
    if not other:
        return None
    experiment = f"{EXPERIMENTS.get(benchmark, benchmark)}_{predictor}"
    return (
        f"this run does not train predictor={predictor} as it was published: "
        f"+experiment={experiment} has {', '.join(other)}"
    )


def _choices(entries: list[Any]) -> dict[str, str]:
    """Group and name of a defaults list's entries."""
    return {
        group.removeprefix("override /"): name
        for entry in entries
        if isinstance(entry, dict)
        for group, name in entry.items()
    }


def _at(content: Any, path: str) -> Any:
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content

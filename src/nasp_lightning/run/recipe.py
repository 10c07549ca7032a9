"""How a predictor's own experiment trains it, where that is not the shipped defaults' way."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import NamedTuple

from nasp_lightning.run.choice import (
    Settings,
    choices,
    default_choices,
    names_of,
    read_choice,
)
from nasp_lightning.run.variant import METHOD, parts, variant

CODE = "estimation_code"


class Setting(NamedTuple):
    """A setting's value in the recipe, and what a run has that does not set it."""

    value: object
    default: object


@functools.cache
def experiments() -> Mapping[tuple[str, str], str]:
    """Name of the experiment that trains a predictor by the book, by benchmark and predictor.

    It is the one that is named after its predictor and fits it: ``nb101_nao`` chooses
    ``benchmark=nasbench101`` and ``predictor=nao``.
    """
    found: dict[tuple[str, str], str] = {}
    for name in names_of("experiment"):
        chosen = {**default_choices(), **choices(read_choice("experiment", name) or {})}
        fits = chosen["job"] == default_choices()["job"]
        if fits and name.endswith(f"_{chosen['predictor']}"):
            found.setdefault((chosen["benchmark"], chosen["predictor"]), name)
    return found


@functools.cache
def recipe(benchmark: str, predictor: str) -> Mapping[str, Setting]:
    """What the predictor's own experiment on a benchmark changes, by dotted path.

    NAO, say, is not published with this project's default optimizer and epochs: a run with
    NAO's own is a run by the book, and :func:`~.variant.variant` still lists them.

    Args:
        benchmark: such as ``nasbench101``.
        predictor: such as ``nao``.

    Returns:
        such as ``{"trainer.max_epochs": Setting(1000, 300)}``; empty where there is no such
        experiment. Values that another setting gives are left out.
    """
    name = experiments().get((benchmark, predictor))
    experiment = None if name is None else read_choice("experiment", name)
    if experiment is None:
        return {}
    chosen = {**default_choices(), **choices(experiment)}
    shipped = {**parts(), "predictor": predictor}
    config: dict[str, object] = {"benchmark": {"name": benchmark}}
    for group in shipped:
        config[group] = _changed(experiment, group, chosen[group])
    if chosen.get(CODE, "none") != "none":
        config[CODE] = _changed(experiment, CODE, chosen[CODE])
    defaults = {group: read_choice(group, shipped[group]) for group in shipped}
    return {
        setting: Setting(value, _at(defaults, setting))
        for setting, value in variant(config).items()
        if "${" not in json.dumps(value)
    }


def not_followed(benchmark: str, predictor: str, own: Settings) -> str | None:
    """A line for the user where a run trains a predictor otherwise than its own experiment does.

    Args:
        benchmark: such as ``nasbench201``.
        predictor: such as ``nao``.
        own: the run's :func:`~.variant.variant`.
    """
    training = set(parts()) - set(METHOD)
    other = [
        f"{name}={json.dumps(setting.value)}"
        for name, setting in recipe(benchmark, predictor).items()
        if name.split(".")[0] in training and own.get(name, setting.default) != setting.value
    ]
    if not other:
        return None
    return (
        f"this run does not train predictor={predictor} as it was published: "
        f"+experiment={experiments()[benchmark, predictor]} has {', '.join(other)}"
    )


def _changed(experiment: Settings, group: str, name: str) -> dict[str, object]:
    """A choice's settings with what the experiment changes of them."""
    changes = experiment.get(group)
    return {
        **(read_choice(group, name) or {}),
        **(changes if isinstance(changes, Mapping) else {}),
    }


def _at(content: object, path: str) -> object:
    for name in path.split("."):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content

"""A default stands once, or is the same in YAML and in Python."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest
import yaml
from hydra.utils import instantiate

from nasp_lightning.shipped import conf_dir

# Where a config means to differ from its constructor, and why.
DELIBERATE = {
    # epochs of images take minutes
    "callbacks/network.yaml: checkpoint.every_seconds": "a checkpoint is large",
    "callbacks/network.yaml: metrics_file.flush_epochs": "each epoch is written when it is over",
    # the fidelity of the released code, of a class that knows several
    "job/fidelity/official.yaml: recipe.milestones": "the released schedule",
    "job/fidelity/official.yaml: recipe.restart": "the released schedule",
    "search/spos.yaml: caps": "names the costs that can be capped; all null: none is",
    # None is the space's own encoding: see below
    "space/darts.yaml: encoding": "says which",
    "space/macro.yaml: encoding": "says which",
    "space/mobilenet.yaml: encoding": "says which",
    "space/nasbench101.yaml: encoding": "says which",
}
CONFIGS = sorted(str(path.relative_to(conf_dir())) for path in conf_dir().rglob("*.yaml"))


def components(node: object, place: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Every mapping with a ``_target_``, with its dotted place in the file."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield place, node
        for key, value in node.items():
            yield from components(value, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from components(value, place)


def defaults_of(target: str) -> dict[str, object]:
    """Defaults of a constructor or function, by parameter."""
    module, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    return {
        parameter.name: parameter.default
        for parameter in parameters.values()
        if parameter.default is not inspect.Parameter.empty
    }


def written(value: object) -> bool:
    """Whether a value stands in the file itself: neither an interpolation nor a component."""
    if isinstance(value, dict):
        return "_target_" not in value  # its own settings are compared at their own place
    return "${" not in str(value)


def disagreements() -> Iterator[str]:
    """Settings of configs whose constructor has another default, as ``file: place``."""
    for name in CONFIGS:
        content = yaml.safe_load((conf_dir() / name).read_text(encoding="utf-8"))
        for place, settings in components(content):
            target = str(settings["_target_"])
            if not target.startswith("nasp_lightning."):
                continue  # a third party's defaults are theirs
            known = defaults_of(target)
            for key, value in settings.items():
                if key.startswith("_") or key not in known or not written(value):
                    continue
                plain = list(known[key]) if isinstance(known[key], tuple) else known[key]
                if value != plain or isinstance(value, bool) != isinstance(plain, bool):
                    yield f"{name}: {place + '.' if place else ''}{key}"


def test_a_default_is_the_same_in_yaml_and_in_python() -> None:
    assert sorted(disagreements()) == sorted(DELIBERATE)


@pytest.mark.parametrize("name", ["darts", "macro", "mobilenet", "nasbench101"])
def test_no_encoding_is_the_spaces_own(name: str) -> None:
    settings = yaml.safe_load((conf_dir() / "space" / f"{name}.yaml").read_text(encoding="utf-8"))
    without = {key: value for key, value in settings.items() if key != "encoding"}
    assert instantiate(without).encoding == instantiate(settings).encoding == settings["encoding"]


def test_a_disagreement_would_be_found() -> None:
    assert defaults_of("nasp_lightning.framework.brp_sampling.BRPSampling")["rounds"] == 5
    assert [place for place, _ in components({"a": [{"_target_": "x"}], "_target_": "y"})] == [
        *("", "a")
    ]

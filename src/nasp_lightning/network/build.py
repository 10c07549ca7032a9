"""Networks and supernets from plain settings, such as a config's or those in a network's file.

Settings are a mapping with a ``_target_`` and its options, as in ``conf/network``. Only a class
that is a module (of a space: a space) is ever called, and options are plain values, so settings
that come from a file cannot run anything else.

Example:
    >>> space = build_space({"_target_": "nasp_lightning.space.nasbench201.NASBench201"})
    >>> operations, adjacency = space.from_string(
    ...     "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    ... )
    >>> settings = {"_target_": "nasp_lightning.network.nasbench201.NASBench201Network"}
    >>> network = build_network(settings, space, (operations, adjacency), classes=10)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.base import Architecture, Space, stacked

Module = TypeVar("Module", bound=nn.Module)

NOT_OPTIONS = ("_target_", "_partial_", "_convert_", "_recursive_")


def build_space(settings: Mapping[str, object]) -> Space:
    """The space of a config's group ``space``.

    Raises:
        NaspError: if the settings name no space, or one that cannot be.
    """
    make: Callable[..., Space] = _named("space", settings, Space)
    return make(**options_of(settings))


def build_network(
    settings: Mapping[str, object],
    space: Space | None,
    architecture: Architecture,
    classes: int | None = None,
) -> nn.Module:
    """The network of one architecture.

    Args:
        settings: of a config's group ``network``; its class is called with the architecture, and
            with ``space`` (in place of the settings') and ``classes`` where it takes them.
        space: of the architecture.
        architecture: as native arrays.
        classes: of the data; None: the settings'.

    Raises:
        NaspError: if the settings name no module, or the architecture is none of the space.
    """
    kind: type[nn.Module] = _named("network", settings, nn.Module)
    if space is not None:
        space.validate(*stacked([Architecture(*architecture)]))
    return _call(kind, settings, space, classes, *architecture)


def build_supernet(
    settings: Mapping[str, object], space: Space, classes: int | None = None
) -> Supernet:
    """The supernet of a space.

    Args:
        settings: of a config's group ``network``.
        space: whose architectures it holds.
        classes: of the data; None: the settings'.

    Raises:
        NaspError: if the settings name no supernet.
    """
    kind: type[nn.Module] = _named("network", settings, nn.Module)
    if not issubclass(kind, Supernet):
        raise NaspError(
            f"network={settings['_target_']} is the network of one architecture: choose a "
            "supernet, such as network=mobilenet_supernet"
        )
    return _call(kind, settings, space, classes)


def options_of(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings without the words that are Hydra's."""
    return {name: value for name, value in settings.items() if name not in NOT_OPTIONS}


def _call(
    kind: type[Module],
    settings: Mapping[str, object],
    space: Space | None,
    classes: int | None,
    *given: Array | None,
) -> Module:
    make: Callable[..., Module] = kind
    takes = inspect.signature(kind).parameters
    options = options_of(settings)
    if "space" in takes:
        options["space"] = space
    else:
        options.pop("space", None)
    if classes is not None:
        options["classes"] = classes
    unknown = sorted(set(options) - set(takes))
    if unknown and not any(item.kind is item.VAR_KEYWORD for item in takes.values()):
        raise NaspError(
            f"network.{unknown[0]}: {kind.__name__} has no such option; it takes "
            + ", ".join(name for name, item in takes.items() if item.kind is item.KEYWORD_ONLY)
        )
    try:
        return make(*given, **options)
    except TypeError as error:
        raise NaspError(f"network={settings['_target_']}: {error} (see conf/network/)") from error


def _named(group: str, settings: Mapping[str, object], kind: type) -> type:
    """The class that settings name, which must be a ``kind``."""
    from hydra.utils import get_class

    target = settings.get("_target_")
    if not isinstance(target, str):
        raise NaspError(f"{group}: it needs a _target_, such as those in conf/{group}/")
    for name, value in options_of(settings).items():
        if name != "space" and isinstance(value, Mapping) and "_target_" in value:
            raise NaspError(f"{group}.{name}: write plain values, no _target_")
    try:
        found: type = get_class(target)
    except Exception as error:
        raise NaspError(f"{group}={target}: it cannot be imported ({error})") from error
    if not issubclass(found, kind):
        raise NaspError(f"{group}={target}: that is no {group}")
    return found

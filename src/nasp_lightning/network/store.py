"""A trained network or supernet as one safetensors file that says what it is.

The weights are the file's tensors; its metadata holds the manifest, plain values as JSON::

    format       nasp_lightning.network/1
    kind         supernet | network
    network      settings of conf/network: _target_ and options, without a space
    space        settings of conf/space, or null
    operations   of a network: its architecture, as lists
    adjacency    likewise, or null
    data         name, data_hash, classes, side, mean, std
    results      what is known of it, such as test_accuracy

Nothing in it is code: the classes that it names must be modules and spaces.

Example:
    >>> save_network(path, module, manifest)  # doctest: +SKIP
    >>> module, manifest = load_network(path, kind="supernet")  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.network.build import (
    build_network,
    build_space,
    build_supernet,
    options_of,
)
from nasp_lightning.space.base import Architecture
from nasp_lightning.storage import atomic_path

Config = dict[str, Any]

FORMAT = "nasp_lightning.network/1"
KINDS = ("supernet", "network")
NOT_COMPARED = ("encoding",)  # of a space: how a predictor reads it changes no network


def save_network(path: str | Path, module: nn.Module, manifest: Config) -> None:
    """Write a module and its manifest, atomically.

    Args:
        path: such as ``runs/…/network.safetensors``.
        module: on any device, in any memory format.
        manifest: see above; ``format`` is added.

    Raises:
        NaspError: if it cannot be written, or the manifest lacks what :func:`load_network` needs.
    """
    from safetensors.torch import save

    settings = {name: item for name, item in manifest["network"].items() if name != "space"}
    whole = check_manifest({"format": FORMAT, **manifest, "network": settings}, str(path))
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in module.state_dict().items()
    }
    content = save(tensors, {"manifest": json.dumps(whole, allow_nan=False)})
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
        file.write(content)


def read_manifest(path: str | Path) -> Config:
    """The manifest of a file that :func:`save_network` wrote; the weights are not read.

    Raises:
        NaspError: if there is no such file, or it is damaged or another's.
    """
    from safetensors import SafetensorError, safe_open

    remedy = "choose the network.safetensors of a run of job=train_network"
    if not Path(path).is_file():
        raise NaspError(f"{path}: there is no such file; {remedy}")
    try:
        with safe_open(str(path), "pt") as file:
            manifest = json.loads((file.metadata() or {})["manifest"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise NaspError(f"{path} is damaged or no network of this project: {remedy}") from error
    return check_manifest(manifest, str(path))


def load_network(
    path: str | Path, kind: str | None = None, space: Mapping[str, object] | None = None
) -> tuple[nn.Module, Config]:
    """A module in eval mode on the CPU, and its manifest.

    Args:
        path: of the file.
        kind: ``supernet`` or ``network``, if only one of them will do.
        space: settings of the space that it must be of, as in ``config["space"]``; None: any.

    Raises:
        NaspError: if there is no such file, it is damaged, of another kind or of another space.
    """
    from safetensors.torch import load_file

    manifest = read_manifest(path)
    if kind is not None and manifest["kind"] != kind:
        raise NaspError(
            f"{path} holds a {manifest['kind']}, but a {kind} is needed: choose the file of a run "
            f"with task={'supernet' if kind == 'supernet' else 'classifier'}"
        )
    if space is not None:
        check_space(manifest, space, str(path))
    module = rebuild(manifest)
    try:
        module.load_state_dict(load_file(str(path)))
    except (RuntimeError, OSError) as error:
        told = " ".join(str(error).split())[:200]
        raise NaspError(
            f"{path}: its weights do not fit its network ({told}): it is damaged, or was written "
            "by another version of this package"
        ) from error
    return module.eval(), manifest


def rebuild(manifest: Config) -> nn.Module:
    """The module of a manifest, with fresh weights."""
    space = None if manifest["space"] is None else build_space(manifest["space"])
    classes = manifest["data"]["classes"]
    if manifest["kind"] == "supernet":
        if space is None:
            raise NaspError("a supernet's manifest must hold its space")
        return build_supernet(manifest["network"], space, classes)
    return build_network(manifest["network"], space, architecture_of(manifest), classes)


def architecture_of(manifest: Config) -> Architecture:
    """The architecture of a network's manifest, or of a ``best.json``.

    Raises:
        NaspError: if its operations or adjacency are no lists of codes.
    """
    adjacency = manifest["adjacency"]
    try:
        return Architecture(
            np.array(manifest["operations"], dtype=np.uint8),
            None if adjacency is None else np.array(adjacency, dtype=np.uint8),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise NaspError(f"operations or adjacency are no lists of codes: {error}") from error


def check_manifest(manifest: object, path: str) -> Config:
    """Give a manifest back if it is whole.

    Raises:
        NaspError: if it is not; the message names the file.
    """
    needed = {"format", "kind", "network", "space", "data"}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise NaspError(f"{path} is no network of this project ({FORMAT})")
    if manifest.get("kind") == "network":
        needed |= {"operations", "adjacency"}
    if manifest.get("kind") not in KINDS or needed - set(manifest):
        lacking = sorted(needed - set(manifest)) or ["kind"]
        raise NaspError(f"{path}: its manifest lacks {', '.join(lacking)}")
    return manifest


def check_space(manifest: Config, space: Mapping[str, object], path: str) -> None:
    """Refuse a network of another space.

    Raises:
        NaspError: naming both, and the setting that differs.
    """
    found, wanted = manifest["space"] or {}, space
    if found.get("_target_") != wanted.get("_target_"):
        raise NaspError(
            f"{path} is of the space {_name(found)}, not of {_name(wanted)}: choose "
            f"space={_name(found)}, or another file"
        )
    ours, theirs = (_sizes(settings) for settings in (found, wanted))
    for name in sorted(set(ours) | set(theirs)):
        if ours.get(name) != theirs.get(name):
            raise NaspError(
                f"{path} is of the space {_name(found)} with {name}={ours.get(name)}, here it is "
                f"{theirs.get(name)}: set space.{name} as it was, or choose another file"
            )


def _sizes(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings that say which space it is, as JSON has them; null is as good as left out."""
    kept = {
        name: value
        for name, value in options_of(settings).items()
        if name not in NOT_COMPARED and value is not None
    }
    plain: dict[str, object] = json.loads(json.dumps(kept))
    return plain


def _name(settings: Mapping[str, object]) -> str:
    parts = str(settings.get("_target_")).split(".")
    return parts[-2] if len(parts) > 1 else parts[0]

"""What builds an architecture's network, and its name."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType

import torch
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture

# From an architecture's operations [T], and its adjacency [V, V] where the topology varies, to a
# network from images [B, 3, 32, 32] to logits [B, classes].
NetworkBuilder = Callable[..., nn.Module]


def describe(network: NetworkBuilder) -> object:
    """A builder of networks in plain values, as a part of the name of its codes.

    Raises:
        NaspError: if it has no name that another process could find it by.
    """
    if isinstance(network, functools.partial):
        plain: dict[str, object] = {
            "call": describe(network.func),
            "arguments": _plain(network.args),
            "options": _plain(network.keywords),
        }
        try:
            json.dumps(plain)
        except TypeError as error:
            raise NaspError(
                f"estimation_code.network: the options of {plain['call']} must be plain numbers "
                f"and words ({error})"
            ) from error
        return plain
    named = isinstance(network, type | FunctionType | MethodType | BuiltinFunctionType)
    name = network.__qualname__ if named else ""
    if not name or "<" in name:
        raise NaspError(
            f"estimation_code.network={network!r} has no name that its codes could be kept under: "
            "define it at the top of a module, or wrap such a function in functools.partial"
        )
    return f"{network.__module__}.{name}"


def _plain(value: object) -> object:
    """Lists and dicts of configs and tuples as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def build(network: NetworkBuilder, architecture: Architecture, seed: int) -> nn.Module:
    """An architecture's network on the CPU, its first weights given by the seed alone.

    The caller keeps the random state that was before: see :func:`reproducible`.
    """
    operations, adjacency = architecture
    torch.manual_seed(seed)
    return network(operations) if adjacency is None else network(operations, adjacency)

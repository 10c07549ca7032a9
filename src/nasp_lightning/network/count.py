"""Parameters and multiply-adds of networks: measured without computing, or from a table of parts.

A network is measured on PyTorch's meta device, which has shapes and no numbers. Where a network's
cost is that of its parts, as in NAS-Bench-201, :func:`measure_parts` measures each operation once
and :class:`PartCosts` adds them up for a whole space at once. (Tiny-NanoBench's operations cost
what the channels that reach them ask for: :mod:`nasp_lightning.space.tinynano_cost`.)

Example:
    >>> parts = measure_parts(NASBench201Network, places=6, choices=5)  # doctest: +SKIP
    >>> parts.macs(all_operations())  # [15625]  # doctest: +SKIP
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.base import WithAuxiliary

Options = ParamSpec("Options")
Module = TypeVar("Module", bound=nn.Module)


def parameter_count(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def evaluated_parameters(network: nn.Module) -> int:
    """Trainable parameters without those of an auxiliary head, which only the training has."""
    spare = network.auxiliary_modules() if isinstance(network, WithAuxiliary) else ()
    return parameter_count(network) - sum(parameter_count(module) for module in spare)


def on_meta(
    build: Callable[Options, Module], *arguments: Options.args, **options: Options.kwargs
) -> Module:
    """A network on the meta device: no memory, no initialisation, no numbers."""
    with torch.device("meta"):
        return build(*arguments, **options)


def multiply_adds(network: nn.Module, image: int = 32, biases: bool = False) -> int:
    """Multiply-adds of convolutions and matrix products for one colour image.

    Args:
        network: on any device; it is not changed.
        image: height and width in pixels.
        biases: count each sum of a linear layer's bias as one, as NAS-Bench-201's tables do.

    Raises:
        NaspError: if the network does not take images of that size.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network = copy.deepcopy(network).to("meta").eval()
    sums = 0

    def add_biases(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal sums
        sums += output.numel() if layer.bias is not None else 0

    for layer in network.modules():
        if biases and isinstance(layer, nn.Linear):
            layer.register_forward_hook(add_biases)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, image, image, device="meta"))
    return int(counter.get_total_flops()) // 2 + sums


@dataclass(frozen=True)
class PartCosts:
    """What a network costs by its operations, which cost the same in every place.

    Attributes:
        base: parameters and multiply-adds of a network whose operations are all the first one.
        extra: ``[K, 2]`` int64, what each operation adds to them in one place.
    """

    base: tuple[int, int]
    extra: Array

    def parameters(self, operations: Array) -> Array:
        """``[N]`` int64 parameters of ``[N, T]`` operations."""
        return self._total(operations, 0)

    def macs(self, operations: Array) -> Array:
        """``[N]`` int64 multiply-adds of ``[N, T]`` operations."""
        return self._total(operations, 1)

    def _total(self, operations: Array, which: int) -> Array:
        codes = np.asarray(operations)
        if codes.ndim != 2 or codes.min(initial=0) < 0 or codes.max(initial=0) >= len(self.extra):
            raise NaspError(
                f"costs are known of operations [N, T] from 0 to {len(self.extra) - 1}; got "
                f"{list(codes.shape)} from {codes.min(initial=0)} to {codes.max(initial=0)}"
            )
        total: Array = self.base[which] + self.extra[:, which][codes].sum(axis=1)
        return total


def measure_parts(
    build: Callable[[Array], nn.Module],
    places: int,
    choices: int,
    image: int = 32,
    biases: bool = False,
) -> PartCosts:
    """Measure each operation in the first place, all others holding operation 0.

    Args:
        build: a network of ``[places]`` operations, which must compute all of them (for
            NAS-Bench-201 ``skip_dead=False``).
        places: operations T of an architecture.
        choices: number K of operations; 0 is one that costs nothing.
        image: height and width in pixels.
        biases: see :func:`multiply_adds`.
    """
    found = []
    for code in range(choices):
        operations = np.zeros(places, dtype=np.uint8)
        operations[0] = code
        network = on_meta(build, operations)
        found.append((parameter_count(network), multiply_adds(network, image, biases)))
    costs = np.array(found, dtype=np.int64)
    return PartCosts((int(costs[0, 0]), int(costs[0, 1])), costs - costs[0])

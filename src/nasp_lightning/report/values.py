"""A benchmark's accuracies, and what is held against them."""

from __future__ import annotations

from dataclasses import dataclass

from nasp_lightning.array import Array


@dataclass(frozen=True)
class Values:
    """A benchmark's accuracies, and what is held against them.

    Attributes:
        name: benchmark, data set and source.
        metric: such as ``cifar10/test_accuracy/200``.
        accuracy: ``[N]`` fractions, NaN where there is none.
        columns: name to ``[N]``, higher for better where that is known; NaN where there is none.
    """

    name: tuple[str, str, str]
    metric: str
    accuracy: Array
    columns: dict[str, Array]

"""What the callbacks ask of a task; a task offers it by having the attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from lightning.pytorch import LightningModule


@runtime_checkable
class Reporting(Protocol):
    """A task that can say how its training goes.

    Attributes:
        metric_names: columns of ``metrics.csv`` behind epoch and phase.
        shown: metrics that the progress bar shows, with their labels.
    """

    @property
    def metric_names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def shown(self) -> Mapping[str, str]: ...  # noqa: D102

    def epoch_values(self) -> Mapping[str, float]:
        """What the task knows of the epoch itself, by the metrics' names."""

    def phase_name(self, epoch: int) -> str:
        """What an epoch, counted from 0, is called."""


@runtime_checkable
class Measured(Protocol):
    """A task with long epochs, which says how fast it is within one."""

    def throughput(self) -> float:
        """Images in a second."""


def reporting(task: LightningModule) -> Reporting:
    """The task as what the callbacks read.

    Raises:
        TypeError: that names the task's class, if it cannot say how its training goes.
    """
    if not isinstance(task, Reporting):
        raise TypeError(
            f"{type(task).__name__} has not all of metric_names, shown, epoch_values and "
            "phase_name, which callbacks read: see nasp_lightning.callbacks.reporting"
        )
    return task

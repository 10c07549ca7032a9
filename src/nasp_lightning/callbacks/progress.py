"""One progress bar for the whole fit, with the phase and the metrics that the task shows."""

from __future__ import annotations

import logging
import sys
import time

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from torch import Tensor

from nasp_lightning.callbacks.reporting import Measured, reporting

log = logging.getLogger(__name__)


class Progress(Callback):
    """A bar on a terminal; a line every few seconds elsewhere.

    The task says what is shown of an epoch (:class:`~.reporting.Reporting`), and how fast it is
    within one that takes long (:class:`~.reporting.Measured`).

    Args:
        enabled: False shows nothing.
        every_seconds: between two lines where there is no terminal.
    """

    def __init__(self, enabled: bool = True, every_seconds: float = 30) -> None:
        self.enabled = enabled
        self.every_seconds = every_seconds
        self._bar: Bar | None = None
        self._last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._last = time.monotonic()
        self.enabled = self.enabled and trainer.is_global_zero
        if not self.enabled or not sys.stderr.isatty():
            return
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(
            "fit", total=trainer.max_epochs, completed=trainer.current_epoch, values=""
        )
        self._bar.start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move it."""
        if not self.enabled:
            return
        if self._bar is None and time.monotonic() - self._last < self.every_seconds:
            return
        self._last = time.monotonic()
        task = reporting(pl_module)
        logged: dict[str, Tensor | float] = {**trainer.callback_metrics, **task.epoch_values()}
        values = " ".join(
            f"{label} {_short(float(logged[name]))}"
            for name, label in task.shown.items()
            if name in logged
        )
        phase = task.phase_name(trainer.current_epoch)
        if self._bar is None:
            log.info(
                "%s: epoch %d/%s %s", phase, trainer.current_epoch + 1, trainer.max_epochs, values
            )
        else:
            self._bar.update(
                self._task,
                total=trainer.max_epochs,  # less, where a phase was ended early
                completed=trainer.current_epoch + 1,
                description=phase,
                values=values,
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Tell how fast it goes within a long epoch."""
        every = 1.0 if self._bar is not None else self.every_seconds
        if not self.enabled or time.monotonic() - self._last < every:
            return
        if not isinstance(pl_module, Measured):
            return
        self._last = time.monotonic()
        steps = int(trainer.num_training_batches)
        speed = f"step {batch_idx + 1}/{steps} {pl_module.throughput():,.0f} images/s"
        if self._bar is not None:
            done = trainer.current_epoch + (batch_idx + 1) / steps
            self._bar.update(self._task, completed=done, values=speed)
        else:
            log.info("epoch %d/%s: %s", trainer.current_epoch + 1, trainer.max_epochs, speed)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put it away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Put it away."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"

"""One progress bar for the whole fit, with the phase, the loss and the monitored tau."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

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

from nasp_lightning.task.predictor import PredictorTask

log = logging.getLogger(__name__)


class Progress(Callback):
    """A bar on a terminal; a line every few seconds elsewhere.

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
        assert isinstance(pl_module, PredictorTask)
        logged: dict[str, Any] = {**trainer.callback_metrics, "train/loss": pl_module.epoch_loss}
        values = " ".join(
            f"{label} {float(logged[name]):.3f}"
            for name, label in (("train/loss", "loss"), ("monitor/kendall_tau", "tau"))
            if name in logged
        )
        index, _ = pl_module.phase_of(trainer.current_epoch)
        phase = pl_module.phases[index].name
        if self._bar is None:
            log.info(
                "%s: epoch %d/%s %s", phase, trainer.current_epoch + 1, trainer.max_epochs, values
            )
        else:
            self._bar.update(
                self._task, completed=trainer.current_epoch + 1, description=phase, values=values
            )

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

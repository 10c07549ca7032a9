"""``metrics.csv``: one row for each epoch, continued by a resumed run."""

from __future__ import annotations

import csv
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from nasp_lightning.callbacks.monitor import Monitor
from nasp_lightning.callbacks.reporting import reporting
from nasp_lightning.storage import atomic_path, explain_os_error


class MetricsFile(Callback):
    """Appends what was logged in each epoch to ``metrics.csv`` in the run's folder.

    The task says which metrics, what it knows of the epoch itself, and what the epoch is called:
    see :class:`~.reporting.Reporting`.

    Rows of epochs that a resumed run repeats are dropped first, so each epoch stands there once.

    Args:
        folder: the run's folder.
        flush_epochs: rows are written in groups of so many.
    """

    def __init__(self, folder: str | Path, flush_epochs: int = 20) -> None:
        self.path = Path(folder) / "metrics.csv"
        self.flush_epochs = flush_epochs
        self.columns: tuple[str, ...] = ("epoch", "phase")
        self._rows: list[list[str]] = []
        self._writes = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rows of the epochs before this one."""
        self.columns = ("epoch", "phase", *reporting(pl_module).metric_names)
        self._writes = trainer.is_global_zero
        if not self._writes:
            return
        kept: list[list[str]] = []
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))[1:]
            whole = [row for row in rows if len(row) == len(self.columns) and row[0].isdigit()]
            kept = [row for row in whole if int(row[0]) < trainer.current_epoch]
        with (
            atomic_path(self.path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([list(self.columns), *kept])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take this epoch's row."""
        task = reporting(pl_module)
        logged: dict[str, Tensor | float] = {**_monitored(trainer), **task.epoch_values()}
        phase = task.phase_name(trainer.current_epoch)
        last = trainer.current_epoch + 1 == trainer.max_epochs
        fresh = last or (trainer.current_epoch + 1) % self._every(trainer) == 0
        values = [
            ""
            if name not in logged or (name.startswith("monitor") and not fresh)
            else f"{float(logged[name]):.6g}"
            for name in self.columns[2:]
        ]
        self._rows.append([str(trainer.current_epoch), phase, *values])
        if len(self._rows) >= self.flush_epochs:
            self._flush()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Write the epochs that a run resumed from this checkpoint will not repeat."""
        self._flush()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rest."""
        self._flush()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write the rest."""
        self._flush()

    @staticmethod
    def _every(trainer: Trainer) -> int:
        found = [item for item in trainer.callbacks if isinstance(item, Monitor)]  # type: ignore[attr-defined]
        return found[0].every_epochs if found else 1

    def _flush(self) -> None:
        if not self._rows or not self._writes:
            return
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(self._rows)
        except OSError as error:
            raise explain_os_error(error, self.path, "write") from error
        self._rows = []


def _monitored(trainer: Trainer) -> dict[str, Tensor]:
    """What callbacks logged; the task's own metrics of an earlier epoch are none of this one's."""
    metrics = trainer.callback_metrics
    return {name: value for name, value in metrics.items() if name.startswith("monitor")}

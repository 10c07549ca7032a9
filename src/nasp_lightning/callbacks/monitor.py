"""Kendall's tau on a sample of the space while a predictor trains; shown, never used."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from nasp_lightning.error import NaspError
from nasp_lightning.metric.functional import kendall_tau


class Monitor(Callback):
    """Logs ``monitor/kendall_tau`` every few epochs.

    It reads accuracies of the benchmark that the predictor has not seen, so nothing may be chosen
    by it: no early stopping, no selection of weights. It exists to be looked at.

    Args:
        every_epochs: between two measurements.
    """

    def __init__(self, every_epochs: int = 10) -> None:
        if every_epochs < 1:
            raise NaspError(f"callbacks.monitor.every_epochs={every_epochs}: it must be at least 1")
        self.every_epochs = every_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if (trainer.current_epoch + 1) % self.every_epochs and not last:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        chosen = torch.from_numpy(data.monitor_indices)
        pl_module.eval()
        with torch.inference_mode():
            scores = pl_module(data.graphs[chosen.to(pl_module.device)]).float().cpu()
        pl_module.train()
        if not torch.isfinite(scores).all():
            return  # the task says so with the loss
        truth = data.true_accuracy[data.monitor_indices]
        pl_module.log("monitor/kendall_tau", kendall_tau(scores.numpy(), truth))

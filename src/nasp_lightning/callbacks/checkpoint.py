"""A checkpoint by the clock, atomic, with every random state."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from nasp_lightning.storage import atomic_path


def checkpoint_path(folder: str | Path) -> Path:
    """File of a run's checkpoint."""
    return Path(folder) / "checkpoint.ckpt"


class RandomStates(TypedDict):
    """States of every generator.

    Attributes:
        torch: of the CPU.
        cuda: of each GPU.
        numpy: name, keys ``[624]`` int64 and position of the legacy generator.
        numpy_gauss: whether it holds a second Gaussian number, and that.
        python: version, integers, and the Gaussian number that is held.
    """

    torch: Tensor
    cuda: list[Tensor]
    numpy: tuple[str, Tensor, int]
    numpy_gauss: tuple[int, float]
    python: tuple[int, list[int], float | None]


def random_states() -> RandomStates:
    """States of every generator, as containers and tensors that load with ``weights_only``."""
    state = np.random.get_state(legacy=True)  # noqa: NPY002
    assert isinstance(state, tuple)  # a dict for other generators than the legacy one
    name, keys, position, has_gauss, cached = state
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position),
        "numpy_gauss": (has_gauss, cached),
        "python": (version, list(internal), gauss),
    }


def restore_random_states(states: RandomStates) -> None:
    """Put back what :func:`random_states` gave."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, position = states["numpy"]
    state = (name, keys.numpy().astype(np.uint32), position, *states["numpy_gauss"])
    np.random.set_state(state)  # noqa: NPY002
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


class PlainFileIO(TorchCheckpointIO):
    """Writes a checkpoint where it is told to; Lightning's own goes through the system's /tmp."""

    def save_checkpoint(
        self, checkpoint: dict[str, object], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint's file."""
        content = io.BytesIO()  # so that a full disk is an OSError
        torch.save(checkpoint, content)
        with open(path, "wb") as file:
            file.write(content.getbuffer())


class ClockCheckpoint(Callback):
    """Writes ``checkpoint.ckpt`` between two epochs when ``every_seconds`` have passed.

    It must be the first callback: it saves before the others begin the epoch, so that a resumed
    run begins it just so. The final state is written by the job when the fit is over.

    Args:
        folder: the run's folder.
        every_seconds: at least so long between two checkpoints.

    Attributes:
        fit_seconds: time spent in the fit so far, over all attempts.
    """

    def __init__(self, folder: str | Path, every_seconds: float = 30) -> None:
        self.path = checkpoint_path(folder)
        self.every_seconds = every_seconds
        self.fit_seconds = 0.0
        self._since = self._last = time.monotonic()
        self._pending: RandomStates | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the trainer write into the run's folder only."""
        trainer.strategy.checkpoint_io = PlainFileIO()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._since = self._last = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back the random states of a resumed run, or save if it is time."""
        if self._pending is not None:
            restore_random_states(self._pending)
            self._pending = None
        elif self._due(trainer):
            _begin_counts(trainer)
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._count()

    def _due(self, trainer: Trainer) -> bool:
        """Whether it is time: by the first process' clock, since all must save together."""
        due = time.monotonic() - self._last >= self.every_seconds
        return bool(trainer.strategy.broadcast(due)) if trainer.world_size > 1 else due

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint now, atomically; of several processes the first one writes."""
        if trainer.is_global_zero:
            with atomic_path(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(self.path)  # takes part, and writes nothing
        self._last = time.monotonic()

    def _count(self) -> None:
        now = time.monotonic()
        self.fit_seconds += now - self._since
        self._since = now

    def state_dict(self) -> dict[str, object]:
        """Random states and the time spent."""
        self._count()
        return {"random_states": random_states(), "fit_seconds": self.fit_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a killed run."""
        self._pending = state_dict["random_states"]
        self.fit_seconds = state_dict["fit_seconds"]


def _begin_counts(trainer: Trainer) -> None:
    """Let the counts of the epoch begin, as Lightning does a moment later.

    Where a checkpoint has the last epoch's, a resumed run takes this epoch for finished, if it
    knows how many batches there are.
    """
    loop = trainer.fit_loop.epoch_loop
    loop.batch_progress.reset_on_run()
    loop.scheduler_progress.reset_on_run()
    loop.automatic_optimization.optim_progress.reset_on_run()
    loop.val_loop.batch_progress.total.reset()

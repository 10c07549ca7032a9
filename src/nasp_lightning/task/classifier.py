"""Image classification as a LightningModule: the recipes of DARTS and of the MobileNet-like space.

Liu et al. (ICLR 2019), section 3.2, with auxiliary head and scheduled drop path; TNASP's
supplementary B; label smoothing, and weight decay on convolutions and linear layers alone, as in
RLNAS (CVPR 2021). Which of these, and how much of each, is said by its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.data.base import ImageBatch
from nasp_lightning.error import NaspError
from nasp_lightning.network.base import DropsPaths
from nasp_lightning.task.epoch import EpochCounts

DECAYS = ("all", "weights")
RATES = ("step", "epoch")
SEED_STRIDE = 1_000_003  # between the seeds of two epochs


class Classifier(LightningModule):
    """Trains a network to name the class of an image.

    Args:
        network: from images ``[B, 3, H, W]`` to logits ``[B, classes]``; in training it may give
            ``(logits, auxiliary logits)``.
        optimizer: from parameter groups to an optimizer.
        schedule: from (time, times) to a factor of the learning rate.
        rate: the schedule counts every ``step``, or every ``epoch``.
        label_smoothing: of the cross-entropy.
        auxiliary_weight: of the auxiliary head's loss, if the network has one.
        drop_path: highest rate of dropped paths; epoch e of E has ``e / E`` of it. Above 0, the
            network must be one that :class:`~nasp_lightning.network.base.DropsPaths`.
        decay: weight decay on ``all`` parameters, or on the ``weights`` of convolutions and linear
            layers alone: not on biases and normalisations.
        channels_last: memory format of network and images.
        compile: let ``torch.compile`` make the network's kernels.
        ema_decay: of a moving average of the weights, which then is what is evaluated and kept;
            None: the last weights are. The job adds Lightning's callback for it.
        seed: of dropped paths and units.
        config: the run's resolved config, kept in every checkpoint.

    Attributes:
        kind: of network that it trains, as in a network's file.
        trained_images: by all attempts of the run, in ``trained_seconds``.
        last_values: metrics of the last epoch that was finished.
        tested: accuracies on the test images, once they are known.
    """

    kind: ClassVar[str] = "network"
    metric_names: tuple[str, ...] = (
        *("train/loss", "train/accuracy", "held_out/accuracy", "learning_rate"),
        "images_per_second",
    )
    shown: ClassVar[Mapping[str, str]] = {
        "train/loss": "loss",
        "train/accuracy": "train",
        "held_out/accuracy": "held out",
        "images_per_second": "images/s",
    }

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        schedule: Callable[[int, int], float] | None = None,
        rate: str = "step",
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.4,
        drop_path: float = 0.0,
        decay: str = "all",
        channels_last: bool = False,
        compile: bool = False,
        ema_decay: float | None = None,
        seed: int = 0,
        config: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        _check_choice("task.rate", rate, RATES)
        _check_choice("task.decay", decay, DECAYS)
        check_share("task.label_smoothing", label_smoothing)
        check_share("task.drop_path", drop_path)
        if ema_decay is not None:
            check_share("task.ema_decay", ema_decay)
        if drop_path and not isinstance(network, DropsPaths):
            raise NaspError(
                f"task.drop_path={drop_path}: {type(network).__name__} drops no paths; set it to 0"
            )
        self.network = network
        self.make_optimizer = optimizer or (lambda groups: torch.optim.SGD(groups, 0.1))
        self.schedule = schedule or (lambda time, times: 1.0)
        self.rate, self.decay = rate, decay
        self.label_smoothing, self.auxiliary_weight = label_smoothing, auxiliary_weight
        self.drop_path, self.ema_decay, self.seed = drop_path, ema_decay, seed
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        network.to(memory_format=self.memory_format)
        if compile:
            network.compile()
        self.save_hyperparameters({"config": config or {}})
        self.trained_images, self.trained_seconds = 0, 0.0
        self.last_values: dict[str, float] = {}
        self.tested: list[float] = []
        self.counts = EpochCounts()
        self._told: dict[str, float] | None = None
        self._evaluated: Tensor | None = None
        self._images = 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, classes]`` in evaluation."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        return self.loss(batch)

    def loss(self, batch: ImageBatch, *architecture: Array | None) -> Tensor:
        """Cross-entropy of a batch, the auxiliary head's added, counted for the epoch's means."""
        images, labels = self.formatted(batch.images), batch.labels
        logits = self.network(images, *architecture)
        logits, auxiliary = logits if isinstance(logits, tuple) else (logits, None)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self.counts.add(loss, logits, labels)
        if auxiliary is not None:
            extra = F.cross_entropy(auxiliary, labels, label_smoothing=self.label_smoothing)
            loss = loss + self.auxiliary_weight * extra
        return loss

    def formatted(self, images: Tensor) -> Tensor:
        """Images in the memory format of the network."""
        return images.contiguous(memory_format=self.memory_format)

    # Evaluation: counts of right answers, of one network or of several subnets.

    def count_right(self, batch: ImageBatch) -> Tensor:
        """``[K]`` images of a batch whose class is named, by each of the networks evaluated."""
        logits: Tensor = self.network(self.formatted(batch.images))
        return (logits.argmax(1) == batch.labels).sum()[None]

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Count the right answers on held-out images."""
        self._count(batch)

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Count the right answers on test images."""
        self._count(batch)

    def _count(self, batch: ImageBatch) -> None:
        right = self.count_right(batch)
        self._evaluated = right if self._evaluated is None else self._evaluated + right
        self._images += len(batch.labels)

    def on_validation_start(self) -> None:
        """Stop the clock of the training."""
        self.counts.stop(self.device)
        self._evaluated, self._images = None, 0

    def on_validation_end(self) -> None:
        """Start it again."""
        self.counts.go_on()

    def on_validation_epoch_end(self) -> None:
        """Note the accuracy."""
        accuracies = self.accuracies()
        self.counts.held_out = sum(accuracies) / len(accuracies)

    def on_test_start(self) -> None:
        """Count from nothing."""
        self._evaluated, self._images = None, 0

    def on_test_epoch_end(self) -> None:
        """Note the accuracies."""
        self.tested = self.accuracies()

    def accuracies(self) -> list[float]:
        """``[K]`` shares of right answers in the evaluation that was made last."""
        assert self._evaluated is not None
        counts = torch.cat([self._evaluated, self._evaluated.new_tensor([self._images])])
        counts = self._summed(counts)
        return [int(right) / int(counts[-1]) for right in counts[:-1]]

    def _summed(self, values: Tensor) -> Tensor:
        """Over all processes."""
        if self.trainer.world_size == 1:
            return values
        summed: Tensor = self.trainer.strategy.reduce(values, reduce_op="sum")
        return summed

    # Optimizer and learning rate.

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer, with weight decay where it is wanted."""
        return self.make_optimizer(parameter_groups(self.network, self.decay))

    def on_train_batch_start(self, batch: ImageBatch, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        rate = optimizer.defaults["lr"] * self.factor_at(batch_idx)
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.counts.learning_rate = rate

    def factor_at(self, step: int) -> float:
        """Of the learning rate in a step of the present epoch."""
        epoch, epochs = self.current_epoch, int(self.trainer.max_epochs or 1)
        if self.rate == "epoch":
            return self.schedule(epoch, epochs)
        steps = int(self.trainer.num_training_batches)
        return self.schedule(epoch * steps + step, epochs * steps)

    # What is told of an epoch.

    def on_train_epoch_start(self) -> None:
        """Begin the counts, the epoch's random numbers and its rate of dropped paths."""
        self.counts, self._told = EpochCounts(), None
        rank = self.trainer.global_rank
        torch.manual_seed((self.seed * SEED_STRIDE + self.current_epoch) * 1009 + rank)
        if self.drop_path:
            share = self.current_epoch / int(self.trainer.max_epochs or 1)
            assert isinstance(self.network, DropsPaths)
            self.network.drop_path_rate = self.drop_path * share

    def throughput(self) -> float:
        """Training images in a second, over all devices, in this epoch so far."""
        return self.counts.rate() * self.trainer.world_size / self._per_image

    @property
    def _per_image(self) -> int:
        """Passes of an image in a step."""
        return 1

    def epoch_values(self) -> dict[str, float]:
        """The epoch's means; callbacks ask before the task logs them.

        Raises:
            NaspError: if the loss is no longer finite.
        """
        if self._told is None:
            counts = self.counts
            counts.stop(self.device)
            sums = self._summed(counts.sums(self.device)).tolist()
            loss, right, losses, seen = sums
            check_loss(loss / losses, self.current_epoch)
            images = seen / self._per_image
            self.trained_images += int(images)
            self.trained_seconds += counts.seconds
            self._told = {
                "train/loss": loss / losses,
                "train/accuracy": right / seen,
                "learning_rate": counts.learning_rate,
                "images_per_second": images / max(counts.seconds, 1e-9),
            }
            if counts.held_out is not None:
                self._told["held_out/accuracy"] = counts.held_out
            self.last_values = {**self.last_values, **self._told}
        return self._told

    def phase_name(self, epoch: int) -> str:
        """What the progress bar and ``metrics.csv`` call an epoch."""
        return "training"

    def on_train_epoch_end(self) -> None:
        """Hand the epoch's means to the logger, once an epoch."""
        self.log_dict(self.epoch_values(), rank_zero_only=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was counted."""
        checkpoint["trained"] = [self.trained_images, self.trained_seconds, self.last_values]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        self.trained_images, self.trained_seconds, self.last_values = checkpoint["trained"]


def parameter_groups(network: nn.Module, decay: str) -> list[dict[str, object]]:
    """Parameters with weight decay, and behind them those without.

    Args:
        network: whose parameters are divided.
        decay: ``all``, or ``weights``: biases and normalisations are left out.
    """
    parameters = [weight for weight in network.parameters() if weight.requires_grad]
    if decay == "all":
        return [{"params": parameters}]
    groups: list[dict[str, object]] = [
        {"params": [weight for weight in parameters if weight.ndim > 1]},
        {"params": [weight for weight in parameters if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def check_loss(loss: float, epoch: int) -> None:
    """Refuse to go on with an epoch's mean loss that is not finite.

    Raises:
        NaspError: with the remedy.
    """
    if not math.isfinite(loss):
        raise NaspError(
            f"the training loss is {loss} in epoch {epoch}: lower optimizer.lr, clip gradients "
            "(trainer.gradient_clip_val=5), or choose trainer.precision=bf16-mixed in place of 16"
        )


def check_share(setting: str, value: object) -> None:
    """Raise :class:`NaspError` unless a setting is a number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise NaspError(f"{setting}={value}: it must be a number, at least 0 and below 1")


def _check_choice(setting: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise NaspError(f"{setting}={value}: choose {' or '.join(choices)}")

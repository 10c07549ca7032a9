"""Repeated runs of one training as one computation.

R runs that differ in their seed alone take the same steps on tensors of the same sizes. Their
parameters, running statistics, optimizer states and mini-batches get a leading dimension of
runs, and ``torch.vmap`` computes the losses of all. What lies between the epochs (a framework
that buys labels, a ranking) is each run's own, by the same code as in a single run: every
predictor's tensors are views of its slice, so there is nothing to copy.

Run r takes the steps of the single run with its seed, to the precision of float32; where a
predictor draws random numbers in training (dropout), runs draw their own, other ones than alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from nasp_lightning.compiling import compiling
from nasp_lightning.data.architectures import ArchitectureData, batch_slices
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.batching import batching
from nasp_lightning.space.base import Graphs
from nasp_lightning.task.predictor import PredictorTask, check_loss

Tensors = dict[str, Tensor]

COMPILER = "install a C++ compiler, or leave job.compile out"

# Optimizers that treat every number by itself: those of stacked tensors are those of each run.
ELEMENTWISE = (
    *(torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop),
    *(torch.optim.Adagrad, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam),
)


@dataclass
class Run:
    """One run, prepared: its framework has set the task's phases and the first epoch's batches."""

    task: PredictorTask
    data: ArchitectureData
    framework: Framework


class Clock:
    """What a framework asks of its trainer: the epoch, the data, a fresh optimizer.

    Attributes:
        renewed: whether a fresh optimizer was asked for since this was last set to False.
    """

    def __init__(self, data: ArchitectureData) -> None:
        self.current_epoch, self.datamodule, self.renewed = 0, data, False
        self.strategy = self

    def setup_optimizers(self, trainer: object) -> None:
        """Ask for a fresh optimizer."""
        self.renewed = True


class StackedRuns:
    """The tensors of R predictors of one kind, stacked; the predictors become views of them.

    Args:
        tasks: R, in training mode, on one device.
        compiled: whether ``torch.compile`` fuses the computation and its gradient.

    Attributes:
        parameters: ``[R, ...]`` each, by name.
    """

    def __init__(self, tasks: Sequence[PredictorTask], compiled: bool = False) -> None:
        losses = [_Loss(task) for task in tasks]
        self._module = losses[0]
        self.parameters, buffers = stack_module_state(cast(list[nn.Module], losses))
        # Counters and constants are the same in all runs, and stay one tensor.
        self._shared = {name: item[0].clone() for name, item in buffers.items() if _same(item)}
        self._buffers = {name: item for name, item in buffers.items() if name not in self._shared}
        for number, loss in enumerate(losses):
            for name, parameter in loss.named_parameters():
                parameter.data = self.parameters[name].detach()[number]
            for name, _ in list(loss.named_buffers()):
                path, _, own = name.rpartition(".")
                stacked = self._buffers.get(name)
                loss.get_submodule(path)._buffers[own] = (
                    self._shared[name] if stacked is None else stacked[number]
                )
        self._compute = torch.compile(self._vectorised) if compiled else self._vectorised

    def losses(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """``[R]`` losses of batches ``[R, B]``."""
        given = {"operations": graphs.operations, "adjacency": graphs.adjacency}
        given["vertices"] = graphs.vertices
        if graphs.features is not None:
            given["features"] = graphs.features
        state = (self.parameters, self._buffers, self._shared)
        with batching():
            found: Tensor = self._compute(*state, given, labels)
        return found

    def _vectorised(
        self, parameters: Tensors, buffers: Tensors, shared: Tensors, given: Tensors, labels: Tensor
    ) -> Tensor:
        def loss(parameters: Tensors, buffers: Tensors, given: Tensors, labels: Tensor) -> Tensor:
            state = (parameters, buffers, shared)
            single: Tensor = functional_call(self._module, state, (Graphs(**given), labels))
            return single

        found: Tensor = vmap(loss, randomness="different")(parameters, buffers, given, labels)
        return found


def train_lockstep(
    runs: Sequence[Run], epochs: int, clip: float | None = None, compiled: bool = False
) -> None:
    """Train prepared runs, all of their epochs.

    Args:
        runs: of one config and different seeds; their data share the encoded space.
        epochs: of all phases together.
        clip: greatest norm of a run's gradient, or None.
        compiled: whether ``torch.compile`` fuses a step.

    Raises:
        NaspError: if a loss is no longer finite, or a step cannot be compiled.
    """
    for run in runs:
        run.task.train()
    stacked = StackedRuns([run.task for run in runs], compiled)
    clocks = [Clock(run.data) for run in runs]
    hooks = [  # the frameworks read of a trainer what a clock has
        (run.framework, cast(Trainer, clock), run.task)
        for run, clock in zip(runs, clocks, strict=True)
    ]
    for framework, trainer, task in hooks:
        framework.on_fit_start(trainer, task)
    optimizer: torch.optim.Optimizer | None = None
    for epoch in range(epochs):
        for clock in clocks:
            clock.current_epoch = epoch
        for framework, trainer, task in hooks:
            framework.on_train_epoch_start(trainer, task)
        if optimizer is None or clocks[0].renewed:
            optimizer = runs[0].task.make_optimizer(list(stacked.parameters.values()))
            clocks[0].renewed = False
        for group in optimizer.param_groups:
            group["lr"] = runs[0].task.learning_rate(epoch, optimizer.defaults["lr"])
        _train_epoch(runs, epoch, stacked, optimizer, clip)
        for framework, trainer, task in hooks:
            framework.on_train_epoch_end(trainer, task)


def _train_epoch(
    runs: Sequence[Run],
    epoch: int,
    stacked: StackedRuns,
    optimizer: torch.optim.Optimizer,
    clip: float | None,
) -> None:
    data = runs[0].data
    ordered = [run.data.epoch_order(epoch) for run in runs]
    device = data.graphs.operations.device
    rows = torch.stack([order for order, _ in ordered]).to(device)
    labels = torch.stack([label for _, label in ordered]).to(device)
    for run, own in zip(runs, rows, strict=True):
        _check_codes(run, own)
    total = torch.zeros(len(runs), device=rows.device)
    steps = 0
    for part in batch_slices(rows.shape[1], data.batch_size, data.drop_last):
        optimizer.zero_grad()
        with compiling("the training step", COMPILER):
            losses = stacked.losses(gather(data.graphs, rows[:, part]), labels[:, part])
            losses.sum().backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            clip_runs([item.grad for item in stacked.parameters.values()], clip)
        optimizer.step()
        total += losses.detach()
        steps += 1
    for loss in total.tolist():
        check_loss(loss / max(1, steps), epoch)


def gather(graphs: Graphs, rows: Tensor) -> Graphs:
    """Graphs ``[R, B]`` of rows ``[R, B]``."""
    flat = graphs[rows.flatten()]

    def by_run(items: Tensor) -> Tensor:
        return items.view(*rows.shape, *items.shape[1:])

    return Graphs(
        by_run(flat.operations),
        by_run(flat.adjacency),
        by_run(flat.vertices),
        None if flat.features is None else by_run(flat.features),
    )


def clip_runs(gradients: Sequence[Tensor | None], most: float) -> None:
    """Scale the gradients ``[R, ...]`` of each run down to a norm of ``most``, where it is more."""
    present = [item for item in gradients if item is not None]
    if not present:
        return
    squares = torch.stack([item.flatten(1).square().sum(1) for item in present])
    factor = (most / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)  # as PyTorch's own
    for item in present:
        item.mul_(factor.view(-1, *[1] * (item.ndim - 1)))


def why_not_lockstep(run: Run, settings: Mapping[str, object]) -> str | None:
    """Why runs of a config cannot be trained at once; None if they can.

    The loss and its gradient are tried on copies: nothing of the run is changed.

    Args:
        run: one of them, prepared.
        settings: of the trainer.
    """
    name = type(run.framework).__name__
    if not run.framework.lockstep:
        return f"framework {name} trains one run at a time"
    if run.task.patience is not None:
        return "task.patience ends each run when its own loss says so"
    if settings.get("precision") not in (None, 32, "32", "32-true"):
        return f"trainer.precision={settings['precision']} is not 32-true"
    known = ("max_epochs", "accelerator", "precision", "gradient_clip_val")
    if other := [f"trainer.{key}" for key in settings if key not in known]:
        return f"{other[0]} is set"
    optimizer = run.task.make_optimizer(run.task.predictor.parameters())
    if type(optimizer) not in ELEMENTWISE:
        return f"the optimizer {type(optimizer).__name__} may not treat every weight by itself"
    return _tried(run)


def _tried(run: Run) -> str | None:
    state = torch.get_rng_state()
    try:
        pair = [copy.deepcopy(run.task.predictor).train() for _ in range(2)]
        stacked = StackedRuns([_like(run.task, predictor) for predictor in pair])
        rows, labels = (item[: run.data.batch_size] for item in run.data.epoch_order(0))
        graphs = gather(run.data.graphs, rows.expand(2, -1))
        losses = stacked.losses(graphs, labels.expand(2, -1))
        losses.sum().backward()  # type: ignore[no-untyped-call]
    except NaspError:
        raise
    except Exception as error:  # whatever an operator without a rule raises
        told = " ".join(str(error).split())[:120]
        return f"{run.task.predictor.title} cannot be vectorised over runs ({told})"
    finally:
        torch.set_rng_state(state)
    return None


def _like(task: PredictorTask, predictor: GradientPredictor) -> PredictorTask:
    other = copy.copy(task)
    other._modules = {**task._modules, "predictor": predictor}
    other.own_loss = predictor.own_loss
    return other


class _Loss(nn.Module):
    """A task's loss of a batch, as a module whose tensors can be replaced."""

    def __init__(self, task: PredictorTask) -> None:
        super().__init__()
        self.predictor = task.predictor
        self._of: Callable[..., Tensor] = task.batch_loss

    def forward(self, graphs: Graphs, labels: Tensor) -> Tensor:
        return self._of(graphs, labels)


def _same(stacked: Tensor) -> bool:
    return not stacked.is_floating_point() and bool((stacked == stacked[:1]).all())


def _check_codes(run: Run, rows: Tensor) -> None:
    """Let the predictor look at its extra inputs: within the computation it cannot refuse them."""
    if run.data.shape.features:
        run.task.predictor.check_codes(run.data.graphs[rows])

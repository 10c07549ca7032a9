"""Self-evolution: past evaluations on a validation set as constraints, solved by ADMM.

Lu et al., "TNASP", NeurIPS 2021, supplementary A.3, A.4 and B: 200 validation architectures,
every historical evaluation a hard constraint, a minimax problem, another T = 100 epochs. The
equations are not in the supplementary; what is here is our formulation, stated in
:mod:`nasp_lightning.framework.part.admm`. An evaluation returns one number, the mean squared error
e_k of the predictions ŷ_k on the validation architectures; their labels are never seen.

Labels of this phase, those trained on too, are raised to ``label_floor`` at least: a few failed
architectures would otherwise be nearly all of e_k, and the constraints would teach these and not
the order of the rest. Part of the gain is this floor alone; ``framework.mu=0`` shows how much.

Example:
    ``python -m nasp_lightning +experiment=nb201_tnasp_se``
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.framework.base import Framework
from nasp_lightning.framework.part import admm
from nasp_lightning.framework.part.state import State, read_tensor
from nasp_lightning.task.predictor import Phase, PredictorTask

TARGETS = ("closed_form", "gradient")


class SelfEvolution(Framework):
    """The self-evolution loop as a Lightning callback, for any predictor with scalar scores.

    It begins where the plain fit ends. Iteration t is one epoch of training on the labels plus μ
    times the squared distance of f(v) to ȳ; then the validation set is evaluated once, the
    constraint is appended, ȳ and λ are updated. (ȳ is updated after the evaluation, not before
    it as in our written formulation, so that it agrees with all evaluations made so far.)

    Args:
        iterations: T.
        mu: μ, weight of the validation term.
        rho: ρ, penalty.
        multiplier_clip: bound of every \\|λ_k\\|.
        window: W, the newest evaluations used as constraints; None for all.
        targets: how ȳ is found: ``closed_form`` or ``gradient``.
        epsilon: ε of the closed form.
        quadratic: whether the closed form holds the quadratic constraint too.
        step: c of the gradient form's step size.
        inner_steps: gradient steps on ȳ in an iteration.
        learning_rate: of the fresh optimizer.
        validation_batch: validation architectures in a training step; None for all.
        label_floor: labels, and predictions in an evaluation, below this normalised value are
            raised to it; None for no floor. (Rank losses keep the training labels as they are:
            only their order counts.)

    Raises:
        NaspError: for a setting that cannot be.
    """

    needs_scores: ClassVar[bool] = True

    def __init__(
        self,
        iterations: int = 100,
        mu: float = 1.0,
        rho: float = 1.0,
        multiplier_clip: float = 10.0,
        window: int | None = None,
        targets: str = "closed_form",
        epsilon: float = 1e-3,
        quadratic: bool = False,
        step: float = 0.25,
        inner_steps: int = 10,
        learning_rate: float | None = 3e-4,
        validation_batch: int | None = 10,
        label_floor: float | None = -1.0,
    ) -> None:
        super().__init__()
        check_whole("framework.iterations", iterations)
        check_whole("framework.inner_steps", inner_steps)
        for name, value in {"window": window, "validation_batch": validation_batch}.items():
            if value is not None:
                check_whole(f"framework.{name}", value)
        _check_numbers(mu=mu, rho=rho, epsilon=epsilon, multiplier_clip=multiplier_clip)
        if learning_rate is not None:
            _check_numbers(above_zero=True, learning_rate=learning_rate)
        if label_floor is not None and not (_is_number(label_floor) and label_floor < math.inf):
            raise NaspError(f"framework.label_floor={label_floor}: it must be a number, or null")
        if targets == "gradient":
            _check_numbers(above_zero=True, rho=rho, step=step)
            if step > admm.MAXIMUM_STEP:
                raise NaspError(f"framework.step={step}: choose at most {admm.MAXIMUM_STEP}")
        if targets not in TARGETS:
            raise NaspError(f"framework.targets={targets}: choose closed_form or gradient")
        self.iterations, self.mu, self.rho, self.clip = iterations, mu, rho, multiplier_clip
        self.window, self.how, self.epsilon, self.quadratic = window, targets, epsilon, quadratic
        self.step, self.inner_steps = step, inner_steps
        self.learning_rate, self.validation_batch = learning_rate, validation_batch
        self.floor = label_floor
        self.targets = torch.zeros(0)  # ȳ, [m]
        self.multipliers = torch.zeros(0)  # λ, [t]
        self.predictions = torch.zeros(0, 0)  # ŷ_k, [t, m]
        self.errors = torch.zeros(0)  # e_k, [t]
        self.scale = (1.0, 0.0)  # of the scores onto the labels' scale

    def further_phases(self) -> list[Phase]:
        """One phase of T epochs."""
        return [Phase("self_evolution", self.iterations, self.learning_rate)]

    def check(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Refuse splits without validation architectures."""
        if len(data.split.validation) < 2:
            raise NaspError(
                f"data.validation_size={data.validation_size}: self-evolution evaluates on a "
                "validation set; the paper has 200"
            )
        if data.train_on_validation:
            raise NaspError(
                "data.train_on_validation=true is the control of self-evolution and goes with "
                "framework=supervised: its validation architectures may not be trained on"
            )

    def queried_labels(self, data: ArchitectureData) -> int:
        """Training labels, and the labels behind the evaluations."""
        return len(data.train_indices) + len(data.split.validation)

    def begin_phase(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Evaluate the plain fit (evaluation 0) and draw ȳ."""
        if phase.name != "self_evolution":
            return
        generator = torch.Generator().manual_seed(data.seed)
        labels = self._raised(data.training_labels)
        self.targets = admm.initial_targets(
            generator,
            len(data.split.validation),
            float(labels.mean()),
            float(labels.std(correction=0)),
        )
        self.predictions = torch.zeros(0, len(data.split.validation), dtype=torch.float64)
        self.errors = torch.zeros(0, dtype=torch.float64)
        self.multipliers = torch.zeros(0, dtype=torch.float64)
        self._evaluate(task, data)
        self._update_targets()
        self.resume(phase, task, data)

    def resume(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Put the validation term into the task's loss; ȳ and the scale are constants in it."""
        if phase.name != "self_evolution":
            return
        graphs = data.graphs[torch.from_numpy(data.split.validation)].to(task.device)
        targets = self.targets.to(task.device, torch.float32)
        slope, offset = self.scale

        def term() -> Tensor:
            chosen, wanted = graphs, targets
            if self.validation_batch is not None and self.validation_batch < len(wanted):
                rows = torch.randperm(len(wanted), device=wanted.device)[: self.validation_batch]
                chosen, wanted = graphs[rows], targets[rows]
            scores = slope * task.predictor(chosen) + offset
            return self.mu * torch.mean((scores - wanted) ** 2)  # (μ/m) ‖f(v; θ) − ȳ‖²

        task.auxiliary = term
        task.label_floor = None if task.ranks_only else self.floor

    def end_epoch(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Evaluate, append the constraint, update ȳ and λ."""
        if phase.name != "self_evolution":
            return
        self._evaluate(task, data)
        self._update_targets()
        task.log("self_evolution/evaluation", float(self.errors[-1]))

    def _evaluate(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Query e_k, the only thing that is learnt about the validation labels."""
        rows = torch.from_numpy(data.split.validation)
        task.predictor.eval()
        with torch.no_grad():
            scores = task.predictor(data.graphs[rows].to(task.device)).double().cpu()
            if task.ranks_only:
                known = data.graphs[data.training_indices].to(task.device)
                fitted = task.predictor(known).double().cpu()
                labels = self._raised(data.training_labels).double().cpu()
                self.scale = admm.affine_calibration(fitted, labels)
        task.predictor.train()
        slope, offset = self.scale
        prediction = self._raised(slope * scores + offset)
        truth = self._raised(data.normalise(data.all_labels[data.split.validation]).double())
        self.errors = torch.cat([self.errors, admm.evaluation_error(prediction, truth)[None]])
        self.predictions = torch.cat([self.predictions, prediction[None]])

    def _raised(self, labels: Tensor) -> Tensor:
        return labels if self.floor is None else labels.clamp(min=self.floor)

    def _update_targets(self) -> None:
        predictions, errors = admm.newest_constraints(self.predictions, self.errors, self.window)
        if self.how == "closed_form":
            self.targets = admm.closed_form_targets(
                self.predictions[-1], predictions, errors, self.epsilon, self.quadratic
            )
        else:
            self.targets = admm.gradient_targets(
                self.targets.double(),
                self.predictions[-1],
                predictions,
                errors,
                self.multipliers[-len(errors) :],
                rho=self.rho,
                mu=self.mu,
                step=self.step,
                steps=self.inner_steps,
            )
        # h_k(ȳ) of the window; the multipliers of older evaluations stay as they were
        values = admm.constraint_values(self.targets, predictions, errors)
        older = self.multipliers[: len(self.errors) - len(errors)]
        current = self.multipliers[len(older) :]
        updated = admm.update_multipliers(current, values, self.rho, self.clip)
        self.multipliers = torch.cat([older, updated])

    def state_dict(self) -> dict[str, object]:
        """λ, ȳ, the past evaluations and the scale."""
        return {
            **super().state_dict(),
            "targets": self.targets,
            "multipliers": self.multipliers,
            "predictions": self.predictions,
            "errors": self.errors,
            "scale": list(self.scale),
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        super().load_state_dict(state_dict)
        self.targets = read_tensor(state_dict, "targets")
        self.multipliers = read_tensor(state_dict, "multipliers")
        self.predictions = read_tensor(state_dict, "predictions")
        self.errors = read_tensor(state_dict, "errors")
        scale = state_dict["scale"]
        assert isinstance(scale, list)
        slope, offset = scale
        self.scale = (slope, offset)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _check_numbers(above_zero: bool = False, **settings: float) -> None:
    for name, value in settings.items():
        if not _is_number(value) or not (value > 0 if above_zero else value >= 0):
            least = "a number above 0" if above_zero else "a number, at least 0"
            raise NaspError(f"framework.{name}={value}: it must be {least}")

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from nasp_lightning.callbacks.checkpoint import checkpoint_path
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.job import train_predictor
from nasp_lightning.task.predictor import Phase, PredictorTask
from tests.framework.runs import Linear, Stuck, fit, make_data, train
from tests.tiny import SMALL_DATA, SMALL_PREDICTOR, compose_config, tiny_table


class Recorder(Framework):
    """Two further phases; writes down what it is asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, int]] = []
        self.optimizers: list[Any] = []

    def further_phases(self) -> list[Phase]:
        return [Phase("second", 2, 0.5), Phase("third", 1)]

    def _note(self, what: str, phase: Phase, task: PredictorTask) -> None:
        self.seen.append((what, phase.name, task.current_epoch))
        self.optimizers.append(task.optimizers(use_pl_optimizer=False))

    def begin_phase(self, phase: Phase, task: PredictorTask, data: Any) -> None:
        self._note("begin", phase, task)

    def resume(self, phase: Phase, task: PredictorTask, data: Any) -> None:
        self._note("resume", phase, task)

    def end_epoch(self, phase: Phase, task: PredictorTask, data: Any) -> None:
        self._note("end", phase, task)


def test_phases_follow_one_another_in_one_fit() -> None:
    framework = Recorder()
    evaluations: list[int] = []

    def evaluate() -> dict[str, Any]:
        evaluations.append(1)
        return {"kendall_tau": len(evaluations)}

    framework.evaluate = evaluate
    trainer = fit(framework, make_data(), 2)
    assert framework.seen == [
        *(("begin", "supervised", 0), ("end", "supervised", 0)),
        *(("resume", "supervised", 1), ("end", "supervised", 1)),
        *(("begin", "second", 2), ("end", "second", 2)),
        *(("resume", "second", 3), ("end", "second", 3)),
        *(("begin", "third", 4), ("end", "third", 4)),
    ]
    assert trainer.current_epoch == 5
    none = {"queried_labels": 40, "selection_labels": 0, "queried_codes": 0}
    assert framework.phase_results == {
        "supervised": {"kendall_tau": 1, **none},
        "second": {"kendall_tau": 2, **none},
    }


def test_every_phase_begins_with_a_fresh_optimizer() -> None:
    framework = Recorder()
    fit(framework, make_data(), 2)
    names = [name for _, name, _ in framework.seen]
    by_phase = {
        name: {id(o) for n, o in zip(names, framework.optimizers, strict=True) if n == name}
        for name in names
    }
    assert all(len(found) == 1 for found in by_phase.values())
    assert len(set.union(*by_phase.values())) == 3


def test_the_supervised_phase_is_the_plain_fit() -> None:
    """What a framework adds later leaves the plain result as it is."""
    plain, longer = Linear(), Linear()
    weights: list[torch.Tensor] = []

    def evaluate() -> dict[str, Any]:
        weights.append(longer.table.detach().clone())
        return {}

    framework = Recorder()
    framework.evaluate = evaluate
    fit(Framework(), make_data(), 3, plain)
    fit(framework, make_data(), 3, longer)
    assert torch.equal(plain.table, weights[0])
    assert not torch.equal(plain.table, longer.table)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, None, "many"])
def test_the_supervised_phase_needs_an_epoch(epochs: Any) -> None:
    with pytest.raises(NaspError, match=f"trainer.max_epochs={epochs}: it must be"):
        Framework().prepare(PredictorTask(Linear()), make_data(), epochs)


def test_the_results_of_past_phases_survive_a_kill() -> None:
    framework, other = Framework(), Framework()
    framework.phase_results = {"supervised": {"kendall_tau": 0.5}}
    other.load_state_dict(framework.state_dict())
    assert other.phase_results == framework.phase_results


class Later(Framework):
    """A second phase after the plain one."""

    def further_phases(self) -> list[Phase]:
        return [Phase("second", 26)]


def test_patience_ends_a_phase_and_not_the_fit() -> None:
    task, data, framework = PredictorTask(Stuck(), patience=2), make_data(), Later()
    trainer = train(task, data, framework.prepare(task, data, 60), [framework])
    assert [(phase.name, phase.epochs) for phase in task.phases] == [
        ("supervised", 24),
        ("second", 24),
    ]
    assert trainer.current_epoch == 48
    assert set(framework.phase_results) == {"supervised"}


def test_a_falling_loss_ends_no_phase() -> None:
    task, data, framework = PredictorTask(Linear(), patience=30), make_data(), Later()
    trainer = train(task, data, framework.prepare(task, data, 30), [framework])
    assert trainer.current_epoch == 56
    assert framework.ended == {}


def test_a_checkpoint_of_before_there_was_patience_loads() -> None:
    framework = Framework()
    framework.load_state_dict({"phase_results": {"supervised": {}}})
    assert framework.ended == {}


SCALAR = {  # every neural predictor of scalar scores, made small
    "neural_predictor": ("predictor.hidden=8", "predictor.layers=1", "predictor.regressor_dim=8"),
    "nao": ("predictor.hidden=8", "predictor.regressor_dim=4"),
    "bonas": ("predictor.hidden=8", "predictor.layers=2"),
    "mlp": ("predictor.hidden=8", "predictor.layers=2"),
    "tnasp": SMALL_PREDICTOR,
    "pinat": (*SMALL_PREDICTOR, "predictor.invariant_heads=1", "predictor.channels=2"),
    "siamese": ("predictor.hidden=8",),
}
PHASES: dict[str, dict[str, Any]] = {
    "self_evolution": {
        "words": ("framework.iterations=2",),
        "names": ["supervised", "self_evolution"],
        "labels": [20, 30],
    },
    "seminas": {
        "words": ("framework.amount=5", "framework.epochs=1"),
        "names": ["supervised", "seminas_1", "seminas_2"],
        "labels": [20, 20, 20],
    },
}


@pytest.mark.parametrize("framework", PHASES)
@pytest.mark.parametrize("predictor", SCALAR)
def test_every_scalar_predictor_goes_through_the_phases(
    predictor: str, framework: str, tmp_path: Path
) -> None:
    wanted = PHASES[framework]
    words = (f"predictor={predictor}", f"framework={framework}", "trainer.max_epochs=2")
    config = compose_config(*words, *SMALL_DATA, *SCALAR[predictor], *wanted["words"])
    phases = train_predictor.run(config, tmp_path, tiny_table())["phases"]
    assert list(phases) == wanted["names"]
    assert [phase["queried_labels"] for phase in phases.values()] == wanted["labels"]
    found = [phase["pearson"] for phase in phases.values()]
    assert all(math.isfinite(value) for value in found)
    assert len(set(found)) == len(found), "a phase that changed nothing"
    kept = torch.load(checkpoint_path(tmp_path), weights_only=True)["callbacks"]
    if framework == "seminas":
        (labels,) = [state["pseudo_labels"] for state in kept.values() if "pseudo_labels" in state]
        assert labels.shape == (10,)
        assert labels.abs().max() < 10, "not on the scale of the normalised labels"
    else:
        (errors,) = [state["errors"] for state in kept.values() if "errors" in state]
        assert errors.shape == (3,)
        assert errors.max() < 10, "not on the scale of the normalised labels"

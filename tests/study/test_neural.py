"""The fit through Lightning against a bare loop, and its checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from nasp_lightning.error import NaspError
from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.job.train_predictor import run
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.run.config import RunInfo
from nasp_lightning.study.neural import fit, make_task
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Study, new_predictor
from nasp_lightning.task.loss import mse
from nasp_lightning.task.predictor import PredictorTask
from nasp_lightning.task.schedule import cosine
from tests.tiny import make_config, tiny_table


def test_the_fit_is_the_bare_loop_bit_for_bit(tmp_path: Path) -> None:
    config = make_config("trainer.max_epochs=4")
    settings = StudySettings.of(RunInfo.of(config))
    data = Study.open(settings, tiny_table()).data
    predictor = new_predictor(settings.predictor, data)
    assert isinstance(predictor, GradientPredictor)
    bare = copy.deepcopy(predictor)

    optimizer = instantiate(config["optimizer"])(bare.parameters())
    torch.manual_seed(1)
    for epoch in range(4):
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * cosine(epoch, 4)
        generator = torch.Generator().manual_seed(data.seed * 1_000_003 + epoch)
        order = torch.randperm(len(data.training_indices), generator=generator)
        size = min(data.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            optimizer.zero_grad()
            scores = bare(data.graphs[data.training_indices[chosen]])
            mse(scores, data.training_labels[chosen]).backward()
            optimizer.step()

    task, framework = make_task(settings, predictor, data), Supervised()
    epochs = framework.prepare(task, data, 4)
    torch.manual_seed(1)
    fit(settings, tmp_path, task, data, framework, epochs)
    for ours, theirs in zip(predictor.parameters(), bare.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_loads_back_as_the_predictor_it_was(tmp_path: Path) -> None:
    config = make_config("trainer.max_epochs=2")
    run(config, tmp_path, tiny_table())
    task = PredictorTask.load(tmp_path / "checkpoint.ckpt")
    data = Study.open(StudySettings.of(RunInfo.of(config)), tiny_table()).data
    mean, std = task.hparams["label_scale"]
    scores = score_all(task.predictor, data.graphs).numpy() * std + mean
    with np.load(tmp_path / "predictions.npz") as saved:
        np.testing.assert_allclose(scores, saved["scores"], atol=1e-6)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "no.such.thing"])
def test_a_checkpoint_may_not_name_anything_to_be_called(tmp_path: Path, target: str) -> None:
    path = tmp_path / "hostile.ckpt"
    settings = {"_target_": target, "command": "touch owned"}
    shape = {"tokens": 6, "vertices": 4, "vocabulary": 5}
    kept = {"config": {"predictor": settings}, "shape": shape, "label_scale": [0.0, 1.0]}
    torch.save({"hyper_parameters": kept, "state_dict": {}}, path)
    with pytest.raises(NaspError, match=r"predictor|imported"):
        PredictorTask.load(path)


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.ckpt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(NaspError, match="damaged"):
        PredictorTask.load(path)

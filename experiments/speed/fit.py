"""What Lightning, the progress bar and checkpoints cost: the whole fit against a bare loop.

The same network, batches, dropout and optimizer, 300 epochs of 424 labels of NAS-Bench-201, both
in one process on one thread, in turn.

    python experiments/speed/fit.py [--epochs 300] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from nasp_lightning import load_benchmark
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.predictor.base import GradientPredictor, adopt
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import resolved
from nasp_lightning.shipped import conf_dir
from nasp_lightning.study.neural import fit, make_task
from nasp_lightning.study.settings import StudySettings, make_data
from nasp_lightning.task.loss import mse
from nasp_lightning.task.schedule import cosine


def parts(config: dict[str, Any], table: Any) -> tuple[torch.nn.Module, ArchitectureData]:
    space = instantiate({**config["space"], "encoding": "edge"})
    data = make_data(StudySettings.of(RunInfo.of(config)), table, space)
    torch.manual_seed(config["seed"])
    return instantiate(config["predictor"])(shape=data.space.shape), data


def bare(config: dict[str, Any], table: Any) -> tuple[float, torch.nn.Module]:
    predictor, data = parts(config, table)
    optimizer = instantiate(config["optimizer"])(predictor.parameters())
    rate = optimizer.defaults["lr"]
    epochs = config["trainer"]["max_epochs"]
    indices, labels = data.training_indices, data.training_labels
    began = time.perf_counter()
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = rate * cosine(epoch, epochs)
        generator = torch.Generator().manual_seed(data.seed * 1_000_003 + epoch)
        order = torch.randperm(len(indices), generator=generator)
        for start in range(0, len(order) - data.batch_size + 1, data.batch_size):
            chosen = order[start : start + data.batch_size]
            optimizer.zero_grad()
            mse(predictor(data.graphs[indices[chosen]]), labels[chosen]).backward()
            optimizer.step()
    return time.perf_counter() - began, predictor


def whole(config: dict[str, Any], table: Any) -> tuple[float, torch.nn.Module]:
    predictor, data = parts(config, table)
    settings, adopted = StudySettings.of(RunInfo.of(config)), adopt(predictor, "tnasp")
    assert isinstance(adopted, GradientPredictor)
    task = make_task(settings, adopted, data)
    framework = Supervised()
    epochs = framework.prepare(task, data, config["trainer"]["max_epochs"])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        fit(settings, Path(folder), task, data, framework, epochs)
        return time.perf_counter() - began, predictor


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--epochs", type=int, default=300)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        words = ["+experiment=nb201_tnasp", "data.train_size=424"]
        config = resolved(compose("config", [*words, f"trainer.max_epochs={given.epochs}"]))
    table = load_benchmark("nasbench201")
    warm = {**config, "trainer": {**config["trainer"], "max_epochs": 2}}
    bare(warm, table), whole(warm, table)
    ratios = []
    for number in range(given.rounds):
        seconds_bare, left = bare(config, table)
        seconds_whole, right = whole(config, table)
        ratios.append(seconds_whole / seconds_bare)
        same = all(
            torch.equal(a, b) for a, b in zip(left.parameters(), right.parameters(), strict=True)
        )
        print(
            f"round {number}: bare loop {seconds_bare:.1f} s, fit {seconds_whole:.1f} s, "
            f"ratio {ratios[-1]:.3f}, same weights: {same}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.3f} over {given.rounds} rounds")


if __name__ == "__main__":
    main()

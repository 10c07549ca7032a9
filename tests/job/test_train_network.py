from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.job import train_network
from nasp_lightning.network.store import load_network
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import config_hash
from tests.image.files import write_columns
from tests.tiny import compose_config, nasp

fork = multiprocessing.get_context("fork")

ARCHITECTURE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
SMALL = (
    *("job=train_network", "data.partial=true", "data.batch_size=8", "data.held_out=8"),
    *("trainer.max_epochs=3", "trainer.accelerator=cpu", "threads=1", "optimizer.lr=0.05"),
)
NETWORK = (
    *(*SMALL, "space=nasbench201", "network=nasbench201", "network.channels=4", "network.cells=1"),
    f'job.architecture="{ARCHITECTURE}"',
)
SUPERNET = (
    *(*SMALL, "task=supernet", "space=mobilenet_mini", "network=mobilenet_supernet"),
    *("space.widths=[4,6]", "space.depths=[2,2]", "space.strides=[1,2]", "space.stem_width=4"),
    *("space.first_width=4", "space.last_width=8", "task.evaluated_subnets=2"),
)
EVERY_EPOCH = "callbacks.checkpoint.every_seconds=0"
TIMED = {"fit_seconds", "images_per_second", "versions"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("images"), count=40)


def config_of(images: Path, *words: str) -> dict[str, Any]:
    return compose_config(*words, f"data.path={images}")


def run(folder: Path, images: Path, *words: str) -> dict[str, Any]:
    return train_network.run(config_of(images, *words), folder)


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def untimed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in TIMED}


def weights(folder: Path) -> dict[str, Tensor]:
    return load_network(folder / "network.safetensors")[0].state_dict()


def same(first: Path, second: Path) -> None:
    """Two runs' numbers agree to the last bit."""
    for name, weight in weights(first).items():
        assert torch.equal(weight, weights(second)[name]), name
    assert [untimed(row) for row in rows(first)] == [untimed(row) for row in rows(second)]


def test_a_network_is_trained_and_kept(tmp_path: Path, images: Path) -> None:
    results = run(tmp_path / "run", images, *NETWORK)
    wanted = {
        "kind": "network",
        "space": "nasbench201",
        "network": "nasbench201",
        "architecture": ARCHITECTURE,
        "data": "cifar10",
        "train_images": 32,
        "held_out_images": 8,
        "test_images": 40,
        "classes": 10,
        "epochs": 3,
        "subnet_accuracies": None,
        "config_hash": config_hash(config_of(images, *NETWORK)),
    }
    assert {name: results[name] for name in wanted} == wanted
    assert json.loads((tmp_path / "run/results.json").read_text()) == results
    assert results["images_per_second"] > 0
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["0", "1", "2"]
    assert float(rows(tmp_path / "run")[0]["learning_rate"]) < 0.05  # the last step's, by cosine
    assert all(float(row["images_per_second"]) > 0 for row in rows(tmp_path / "run"))
    network, manifest = load_network(tmp_path / "run/network.safetensors", "network")
    assert manifest["text"] == ARCHITECTURE
    assert sum(item.numel() for item in network.parameters()) == results["parameters"]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_the_test_accuracy_is_that_of_the_file(tmp_path: Path, images: Path) -> None:
    results = run(tmp_path, images, *NETWORK, "job.evaluation_batch=7")
    data = RunInfo.of(config_of(images, *NETWORK)).component("data").build(seed=0)
    network, _ = load_network(tmp_path / "network.safetensors")
    with torch.inference_mode():
        right = sum(
            int((network(batch.images).argmax(1) == batch.labels).sum())
            for batch in data.plain_loader("test", 40)
        )
    assert results["test_accuracy"] == right / 40


def test_a_supernet_is_trained_and_kept(tmp_path: Path, images: Path) -> None:
    config = config_of(images, *SUPERNET)
    results = run(tmp_path, images, *SUPERNET)
    assert (results["kind"], results["space"], results["macs"]) == ("supernet", "mobilenet", None)
    assert len(results["subnet_accuracies"]) == 2
    assert results["test_accuracy"] == pytest.approx(np.mean(results["subnet_accuracies"]))
    supernet, manifest = load_network(tmp_path / "network.safetensors", "supernet", config["space"])
    assert manifest["operations"] is None
    operations, _ = supernet.space.sample(np.random.default_rng(0), 1)  # type: ignore[union-attr]
    assert supernet(torch.zeros(2, 3, 32, 32), operations[0]).shape == (2, 10)
    with pytest.raises(NaspError, match=r"with widths=\[4, 6\], here it is \[4, 8\]"):
        load_network(tmp_path / "network.safetensors", space={**config["space"], "widths": [4, 8]})


class Killer(Callback):
    """Kills its process with SIGKILL in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path, images: Path, *words: str, testing: bool = False) -> None:
    """Run in a child that is killed: by its callback, or when it tests at last."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        if testing:
            train_network.test = die  # type: ignore[assignment]
        run(folder, images, *words)

    config_of(images, *words)  # composed here, so that the child need not
    child = fork.Process(target=work)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert not (folder / "results.json").exists()


def killer(epoch: int) -> tuple[str, str]:
    target = "tests.job.test_train_network.Killer"
    return f"+callbacks.killer._target_={target}", f"+callbacks.killer.epoch={epoch}"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            (*NETWORK, "task.ema_decay=0.8", "data.cutout=8", "task.decay=weights"), id="network"
        ),
        pytest.param(SUPERNET, id="supernet", marks=pytest.mark.slow),
        pytest.param(
            (*SUPERNET, "task.strict_fairness=true", "trainer.max_epochs=2"),
            id="fair",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_killed_again_and_again_is_the_unbroken_one(
    tmp_path: Path, images: Path, words: tuple[str, ...]
) -> None:
    """SIGKILL in the middle of epochs, and in the test: the same to the last bit."""
    whole = run(tmp_path / "whole", images, *words)
    folder = tmp_path / "killed"
    for epoch in (1, 2) if words[: len(NETWORK)] == NETWORK else (1,):
        killed(folder, images, *words, EVERY_EPOCH, *killer(epoch))
    killed(folder, images, *words, EVERY_EPOCH, testing=True)
    results = run(folder, images, *words, EVERY_EPOCH)
    assert untimed(results) == untimed(whole)
    same(tmp_path / "whole", folder)


class Dropping(nn.Module):
    """A stand-in with everything that a recipe knows: auxiliary head, dropped paths and units."""

    def __init__(self, operations: Any, adjacency: Any = None, *, classes: int = 10) -> None:
        super().__init__()
        self.drop_path_rate = 0.0
        self.rates: list[float] = []
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU())
        self.head, self.auxiliary = nn.Linear(4, classes), nn.Linear(4, classes)

    def auxiliary_modules(self) -> list[nn.Module]:
        return [self.auxiliary]

    def forward(self, images: Tensor) -> Any:
        features = self.body(images).mean((2, 3))
        if not self.training:
            return self.head(features)
        self.rates.append(self.drop_path_rate)
        dropped = nn.functional.dropout(features, self.drop_path_rate)
        return self.head(dropped), self.auxiliary(features)


STAND_IN = (
    *(*SMALL, "space=nasbench201", f'job.architecture="{ARCHITECTURE}"', "task.drop_path=0.5"),
    "network._target_=tests.job.test_train_network.Dropping",
    *(f"~network.{name}" for name in ("channels", "layers", "auxiliary", "drop_path")),
    "~network.stem_stride",
)


def test_dropped_paths_are_the_same_after_a_kill(tmp_path: Path, images: Path) -> None:
    results = run(tmp_path / "whole", images, *STAND_IN)
    assert results["parameters"] == (3 * 9 + 1) * 4 + 8 + 50  # without the auxiliary head
    killed(tmp_path / "killed", images, *STAND_IN, EVERY_EPOCH, *killer(2))
    run(tmp_path / "killed", images, *STAND_IN, EVERY_EPOCH)
    same(tmp_path / "whole", tmp_path / "killed")


def test_the_seed_decides_and_nothing_else(tmp_path: Path, images: Path) -> None:
    torch.manual_seed(99)
    run(tmp_path / "a", images, *NETWORK)
    torch.manual_seed(7)
    run(tmp_path / "b", images, *NETWORK)
    same(tmp_path / "a", tmp_path / "b")
    run(tmp_path / "c", images, *NETWORK, "seed=1")
    assert rows(tmp_path / "c")[0]["train/loss"] != rows(tmp_path / "a")[0]["train/loss"]


def test_a_finished_run_is_not_repeated(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, images, *NETWORK)
    monkeypatch.setattr(train_network.TrainNetwork, "run", lambda _: pytest.fail("ran again"))
    assert run(tmp_path, images, *NETWORK) == first


def test_the_moving_average_is_what_is_kept(tmp_path: Path, images: Path) -> None:
    run(tmp_path / "a", images, *NETWORK)
    run(tmp_path / "b", images, *NETWORK, "task.ema_decay=0.9")
    plain, mean = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert any(not torch.equal(plain[name], mean[name]) for name in plain)
    # What is trained is the same: it is only another weight that is kept.
    losses = [[row["train/loss"] for row in rows(tmp_path / name)] for name in "ab"]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "words",
    [
        ("trainer.precision=bf16-mixed", "task.channels_last=true"),
        ("data.held_out=0",),
        ("callbacks.checkpoint=null", "callbacks.metrics_file=null", "callbacks.progress=null"),
        ("scheduler=linear", "task.rate=epoch", "task.label_smoothing=0.1", "data.pad=0"),
        ("data.random_labels=true",),
    ],
)
def test_options_go_through(tmp_path: Path, images: Path, words: tuple[str, ...]) -> None:
    results = run(tmp_path, images, *NETWORK, *words)
    assert 0 <= results["test_accuracy"] <= 1
    assert (results["held_out_accuracy"] is None) == ("data.held_out=0" in words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*NETWORK, "data.held_out=40"), "data.held_out=40: cifar10 has 40 training images here"),
        ((*NETWORK, "data.batch_size=33"), "data.batch_size=33 is more than the 32"),
        ((*NETWORK, "optimizer.lr=1e20"), "the training loss is nan in epoch 0: lower optimizer"),
        ((*NETWORK, "job.architecture=null"), "job.architecture=null: the stage before, search"),
        ((*NETWORK, "job.architecture=012"), "nasbench201"),
        ((*NETWORK, "job.architecture=nothing.json"), "nothing.json: there is no such file"),
        ((*NETWORK, "task.drop_path=0.2"), "NASBench201Network drops no paths"),
        ((*NETWORK, "task.label_smoothing=1"), "task.label_smoothing=1: it must be"),
        ((*NETWORK, "task.decay=some"), "task.decay=some: choose all or weights"),
        ((*NETWORK, "trainer.max_epochs=0"), "trainer.max_epochs=0: it must be a whole number"),
        ((*NETWORK, "trainer.precision=3"), "trainer: "),
        ((*NETWORK, "data.name=mnist"), "there is no data set 'mnist'"),
        ((*NETWORK, "+network.depth=3"), "network.depth: NASBench201Network has no such option"),
        ((*SUPERNET, "job.architecture=01"), "a supernet is trained for all architectures"),
        ((*SUPERNET, "task.compile=true"), "task.compile=true: a supernet takes another path"),
        ((*SUPERNET, "network=mobilenet"), "is the network of one architecture"),
        ((*SUPERNET, "task.strict_fairness=true", "optimizer.lr=1e20"), "the training loss is nan"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, images: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(NaspError, match=r".") as error:
        run(tmp_path, images, *words)
    assert told in str(error.value)
    assert not (tmp_path / "results.json").exists()


def test_a_checkpoint_of_another_config_is_one_sentence(tmp_path: Path, images: Path) -> None:
    run(tmp_path, images, *NETWORK)
    (tmp_path / "results.json").unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = ARCHITECTURE.replace("nor_conv_1x1", "nor_conv_3x3")
    for words in ((*NETWORK, "seed=1"), (*NETWORK, f'job.architecture="{other}"')):
        with pytest.raises(NaspError, match="belongs to a run with another config: delete it"):
            run(tmp_path, images, *words)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def best(path: Path, **changed: Any) -> Path:
    """What ``job=search_network`` leaves behind, as far as this job reads it."""
    from nasp_lightning.space.nasbench201 import NASBench201

    operations, _ = NASBench201().from_string(ARCHITECTURE)
    space = {"_target_": "nasp_lightning.space.nasbench201.NASBench201"}
    content = {"space": space, "operations": operations.tolist(), "adjacency": None, **changed}
    path.write_text(json.dumps(content))
    return path


def test_the_architecture_of_a_search(tmp_path: Path, images: Path) -> None:
    words = (*NETWORK, f"job.architecture={best(tmp_path / 'best.json')}", "trainer.max_epochs=1")
    assert run(tmp_path / "run", images, *words)["architecture"] == ARCHITECTURE
    # Another architecture in a file of the same name is not trained on from that checkpoint.
    (tmp_path / "run" / "results.json").unlink()
    best(tmp_path / "best.json", operations=[3, 3, 3, 3, 3, 3])
    with pytest.raises(NaspError, match="belongs to a run with another config"):
        run(tmp_path / "run", images, *words)


@pytest.mark.parametrize(
    "changed",
    [
        {"space": {"_target_": "nasp_lightning.space.macro.Macro"}},
        {"operations": [9] * 6},
        {"operations": "many"},
        {"space": None},
    ],
)
def test_a_file_that_is_no_such_architecture(
    tmp_path: Path, images: Path, changed: dict[str, Any]
) -> None:
    path = best(tmp_path / "best.json", **changed)
    with pytest.raises(NaspError):
        run(tmp_path / "run", images, *NETWORK, f"job.architecture={path}")
    path.write_text("{")
    with pytest.raises(NaspError, match=r"it is no architecture .*give the best.json"):
        run(tmp_path / "run", images, *NETWORK, f"job.architecture={path}")


def test_the_stage_of_a_chain_is_left(tmp_path: Path, images: Path) -> None:
    config = config_of(images, *NETWORK, "trainer.max_epochs=1")
    config["paths"] = {**config["paths"], "chain": str(tmp_path / "chain")}
    train_network.run(config, tmp_path / "run")
    left = json.loads((tmp_path / "chain/retrain.json").read_text())
    assert Path(left["path"]) == (tmp_path / "run/network.safetensors").absolute()


def test_what_stops_lightning_is_one_sentence() -> None:
    from torch._dynamo.exc import TorchDynamoException

    with (
        pytest.raises(NaspError, match=r"cannot compile .*no compiler.*: set task.compile=false"),
        train_network.told_failures(),
    ):
        raise TorchDynamoException("no compiler\nand a long story")
    with pytest.raises(NaspError, match="memory is full"), train_network.told_failures():
        raise torch.OutOfMemoryError("2 GiB")
    with pytest.raises(RuntimeError, match="a defect"), train_network.told_failures():
        raise RuntimeError("a defect")


def test_ctrl_c_is_an_interrupt_and_the_run_goes_on(tmp_path: Path, images: Path) -> None:
    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    config = config_of(images, *NETWORK, EVERY_EPOCH)
    globals()["Interrupt"] = Interrupt
    interrupt = {"interrupt": {"_target_": f"{__name__}.Interrupt"}}
    broken = {**config, "callbacks": {**config["callbacks"], **interrupt}}
    with pytest.raises(KeyboardInterrupt):
        train_network.run(broken, tmp_path / "broken")
    train_network.run(config, tmp_path / "broken")
    run(tmp_path / "whole", images, *NETWORK)
    same(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path, images: Path) -> None:
    """DDP on the CPU: both see their half of each batch, and one writes."""
    words = ("trainer.devices=2", "trainer.strategy=ddp", "callbacks.checkpoint.every_seconds=0")
    nasp(*NETWORK, f"data.path={images}", *words, f"hydra.run.dir={tmp_path / 'run'}")
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["devices"] == 2
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["0", "1", "2"]
    alone = run(tmp_path / "alone", images, *NETWORK)
    assert results["parameters"] == alone["parameters"]
    shutil.rmtree(tmp_path / "alone")
    load_network(tmp_path / "run/network.safetensors", "network")

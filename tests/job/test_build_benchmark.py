from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasp_lightning.job.build_benchmark as job
from nasp_lightning.benchmark import load_benchmark, tinynano
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.training import Training
from nasp_lightning.record.build import pack, read_build
from nasp_lightning.run.folder import finished_results
from nasp_lightning.space.tinynano import TinyNano
from tests.image.test_cifar import write_columns
from tests.tiny import compose_config, nasp

CLOCKS = ("train_seconds", "code_seconds", "test_seconds")


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("cifar10"), count=40)


def words(cifar: Path, records: Path, *more: str) -> tuple[str, ...]:
    """A build of four members that takes a second."""
    return (
        "+experiment=tinynano_build",
        "job.members=4",
        f"job.path={records}",
        f"job.images.path={cifar}",
        "job.images.partial=true",
        "job.validation_size=10",
        "job.shipped=false",
        "job.device=cpu",
        "job.fidelity.side=8",
        "job.fidelity.network.widths=[4,4,4]",
        "job.fidelity.recipe.epochs=2",
        "job.fidelity.recipe.images=20",
        "job.fidelity.recipe.batch_size=10",
        "job.fidelity.code.images=10",
        "job.fidelity.code.batch_size=5",
        *more,
    )


def run(cifar: Path, tmp_path: Path, *more: str, records: str = "records") -> dict[str, Any]:
    return job.run(compose_config(*words(cifar, tmp_path / records, *more)), tmp_path / "run")


def numbers(folder: Path) -> dict[str, dict[str, Any]]:
    """Records without what a clock told."""
    return {
        key: {name: item for name, item in record.items() if name not in CLOCKS}
        for key, record in read_build(folder).records.items()
    }


def refuse(self: Training, architecture: Any) -> Any:
    raise AssertionError("trained again")


def test_a_built_folder_is_a_benchmark(cifar: Path, tmp_path: Path) -> None:
    results = run(cifar, tmp_path)
    assert (results["members"], results["diverged"], results["fidelity"]) == (4, 0, "cpu")
    assert results["name"] == "tinynano_build_cpu"
    assert results["seconds_sum"] > 0
    table = load_benchmark("tinynano", path=tmp_path / "records")
    operations, adjacency = TinyNano().members()
    assert (table.operations == operations[:4]).all()
    assert table.adjacency is not None
    assert (table.adjacency == adjacency[:4]).all()
    for quantity, images in (("validation_accuracy", 10), ("test_accuracy", 40)):
        right = table.metrics[f"cifar10/{quantity}/2"] * images
        np.testing.assert_allclose(right, right.round(), atol=1e-4)
    assert table.curves["cifar10/train_loss/2"].shape == (4, 1, 2)
    assert table.curves["cifar10-code/train_loss/3"].shape == (4, 1, 3)
    said = table.provenance
    assert said["recipe_hash"] == results["recipe_hash"]
    assert said["training"]["network"]["options"]["widths"] == [4, 4, 4]
    assert said["training"]["recipe"]["images"] == 20
    assert (said["prefix"], said["partial"], said["devices"]) == (4, True, ["cpu"])


def test_more_members_keep_the_first(
    cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cifar, tmp_path, "job.members=2")
    first = numbers(tmp_path / "records")
    trained: list[Any] = []
    once = Training.__call__
    monkeypatch.setattr(
        Training, "__call__", lambda self, task: (trained.append(task), once(self, task))[1]
    )
    run(cifar, tmp_path, "job.members=5")
    both = numbers(tmp_path / "records")
    assert len(trained) == 3
    assert len(both) == 5
    assert {key: both[key] for key in first} == first
    monkeypatch.setattr(Training, "__call__", refuse)
    assert run(cifar, tmp_path, "job.members=3")["members"] == 3


def test_any_prefix_is_a_fair_sample() -> None:
    """By cost and depth, the first 200 members are what all are; their hashes are blind to both."""
    space = TinyNano()
    operations, adjacency = space.members()
    flops = space.costs(operations, adjacency)["flops"]
    for quantity in (flops, (operations < 10).sum(axis=1).astype(float)):
        error = quantity.std() / np.sqrt(200)
        assert abs(quantity[:200].mean() - quantity.mean()) < 3 * error
        assert abs(np.corrcoef(np.arange(len(quantity)), quantity)[0, 1]) < 0.1


@pytest.mark.parametrize(("members", "shards"), [(10, 3), (4, 4), (7, 1), (1120, 32)])
def test_shards_cover_all_members_once(members: int, shards: int) -> None:
    parts = [job.shard_rows(members, shard, shards) for shard in range(shards)]
    assert sorted(row for part in parts for row in part) == list(range(members))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_fill_one_folder(cifar: Path, tmp_path: Path) -> None:
    for shard in (1, 0):
        results = run(cifar, tmp_path, "job.shards=2", f"job.shard={shard}")
        assert results["members"] == 2
    run(cifar, tmp_path, records="whole")
    assert numbers(tmp_path / "records") == numbers(tmp_path / "whole")


def test_several_processes_give_the_same_records(cifar: Path, tmp_path: Path) -> None:
    run(cifar, tmp_path, "job.members=2", "job.concurrent=2")
    run(cifar, tmp_path, "job.members=2", records="alone")
    assert numbers(tmp_path / "records") == numbers(tmp_path / "alone")


def test_a_record_cut_short_is_trained_again(cifar: Path, tmp_path: Path) -> None:
    results = run(cifar, tmp_path)
    before = numbers(tmp_path / "records")
    done = finished_results(tmp_path / "run", results["config_hash"])
    assert done is not None
    victim = Path(sorted(results["files"])[1])
    os.truncate(victim, 100)
    assert finished_results(tmp_path / "run", results["config_hash"]) is None, "it is not finished"
    assert len(load_benchmark("tinynano", path=tmp_path / "records")) == 3
    run(cifar, tmp_path)
    assert numbers(tmp_path / "records") == before


def test_networks_that_diverge_are_recorded(cifar: Path, tmp_path: Path) -> None:
    settings = ("optimizer=sgd", "learning_rate=1e38", "schedule=steps")
    results = run(cifar, tmp_path, *(f"job.fidelity.recipe.{setting}" for setting in settings))
    assert results["diverged"] == 4
    assert results["test_accuracy_mean"] is None
    table = load_benchmark("tinynano", path=tmp_path / "records")
    assert np.isnan(table.metrics["cifar10/test_accuracy/2"]).all()
    assert table.costs["diverged"].tolist() == [1] * 4
    assert table.provenance["diverged"] == 4
    assert np.isfinite(table.curves["cifar10-code/train_loss/3"]).all()


def test_what_the_package_ships_is_not_trained_again(
    cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cifar, tmp_path)
    shipped = tmp_path / "shipped.json.gz"
    pack(read_build(tmp_path / "records"), shipped)
    monkeypatch.setattr(tinynano, "shipped_path", lambda fidelity: shipped)
    monkeypatch.setattr(Training, "__call__", refuse)
    run(cifar, tmp_path, "job.shipped=true", records="other")
    assert read_build(tmp_path / "other").records == read_build(tmp_path / "records").records
    with pytest.raises(AssertionError, match="trained again"):  # another recipe's are of no use
        run(cifar, tmp_path, "job.shipped=true", "seed=1", records="third")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("job.shard=4", r"job\.shard=4: with job\.shards=1 and 4 members, choose 0 to 0"),
        ("job.shards=0", r"job\.shards=0"),
        ("job.members=2000", r"job\.members=2000: the space has 1,120; null means all"),
        ("job.members=0", r"job\.members=0"),
        ("job.concurrent=0", r"job\.concurrent=0"),
        ("job.device=tpu9", r"job\.device=tpu9: choose cpu or cuda"),
        ("job.validation_size=40", r"job\.validation_size=40: cifar10 has 40 training images"),
        ("job.fidelity.side=5", r"job\.fidelity\.side=5"),
        ("job.fidelity.recipe.images=31", r"job\.fidelity\.recipe\.images=31: only 30"),
        ("job.fidelity.recipe.schedule=x", r"job\.fidelity\.recipe\.schedule=x"),
        ("job.fidelity.network.widths=[]", r"network\.widths is empty"),
        ("job.images.path=nowhere", r"nowhere holds no cifar10"),
        ("space=nasbench101", r"spaces that can list their members, and nasbench101 cannot"),
    ],
)
def test_what_is_wrong_is_told(word: str, told: str, cifar: Path, tmp_path: Path) -> None:
    with pytest.raises(NaspError, match=told):
        run(cifar, tmp_path, word)


def test_another_recipe_needs_another_folder(cifar: Path, tmp_path: Path) -> None:
    run(cifar, tmp_path, "job.members=1")
    with pytest.raises(NaspError, match=r"another training \(recipe\.epochs: 2 there, 3 now\)"):
        run(cifar, tmp_path, "job.fidelity.recipe.epochs=3")


def test_damaged_images_are_one_error(tmp_path: Path) -> None:
    folder = write_columns(tmp_path / "cifar10", count=20)
    os.truncate(folder / "train_001.webp", 50)
    done = nasp(*words(folder, tmp_path / "records"), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "train_001.webp is damaged or cut short" in done.stderr
    assert "Traceback" not in done.stderr


COUNTED = """
import os
from nasp_lightning.network.tinynano import TinyNanoNetwork

class Network(TinyNanoNetwork):
    def __init__(self, *arguments, **options):
        with open(os.environ["COUNT"], "a") as file:
            file.write("x")
        super().__init__(*arguments, **options)
"""


def start(folder: Path, *settings: str) -> subprocess.Popen[bytes]:
    """A builder in a process of its own; it notes each network that it makes."""
    (folder / "counted.py").write_text(COUNTED)
    return subprocess.Popen(
        [sys.executable, "-m", "nasp_lightning", *settings],
        cwd=folder,
        env={**os.environ, "COUNT": str(folder / "count"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("??/*.json")}


def test_two_builders_and_a_kill(cifar: Path, tmp_path: Path) -> None:
    """Two at once share the work; killed, they lose at most what each had in training."""
    members, records = 24, tmp_path / "records"
    settings = words(
        cifar, records, f"job.members={members}", "job.fidelity.network._target_=counted.Network"
    )
    builders = [start(tmp_path, *settings) for _ in range(2)]
    deadline = time.monotonic() + 240
    while len(files(records)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
        assert all(builder.poll() in (None, 0) for builder in builders)
    for builder in builders:
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    kept = files(records)
    assert len(kept) >= 4
    made = len((tmp_path / "count").read_text()) / 2  # a network for the code and one for training
    assert len(kept) <= made <= len(kept) + 2, "none was trained twice, and two at most are lost"
    assert len(read_build(records).records) == len(kept), "none is half-written"
    builders = [start(tmp_path, *settings) for _ in range(2)]
    assert [builder.wait(timeout=240) for builder in builders] == [0, 0]
    whole = files(records)
    assert len(whole) == members
    assert {path: whole[path] for path in kept} == kept, "finished ones are left alone"
    assert len((tmp_path / "count").read_text()) / 2 <= members + 2
    assert not list(records.glob("??/*.lock"))
    assert load_benchmark("tinynano", path=records).provenance["prefix"] == members


def test_a_multirun_does_all_shards(cifar: Path, tmp_path: Path) -> None:
    settings = words(cifar, tmp_path / "records", "job.shards=2", "job.shard=0,1")
    done = nasp("-m", *settings, cwd=tmp_path)
    assert "2 to do" in done.stderr
    assert len(load_benchmark("tinynano", path=tmp_path / "records")) == 4
    again = nasp("-m", *settings, cwd=tmp_path)
    assert "2 finished already" in again.stderr

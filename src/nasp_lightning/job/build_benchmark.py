"""Build a benchmark: train the members of a space, many at once, and keep each as a record.

A run does one shard of the members: every ``job.shards``-th of them from ``job.shard`` on. Runs
on one folder, at the same time or one after another, here or on other machines that share the
folder, never train a network twice, and a killed run loses at most the networks in training. What
is finished can be opened as a benchmark at any time (``benchmark.path``).

The members are trained in the space's own order. That of Tiny-NanoBench is by graph hash, a fixed
permutation that is blind to cost and accuracy: any prefix is a fair sample.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np
from hydra.utils import instantiate
from rich.console import Console

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.part.training import Training, hold_out, shrink
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.job.base import Content, Job
from nasp_lightning.network.builder import describe
from nasp_lightning.record.build import identity_hash, read_build, record_key, write_manifest
from nasp_lightning.record.store import Record, ShardStore, fill
from nasp_lightning.run.config import Component, RunInfo, Settings
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import Config
from nasp_lightning.run.results import BuildResults
from nasp_lightning.space.base import Listed, Space, unstacked
from nasp_lightning.storage import cache_dir
from nasp_lightning.task.plain import TrainingRecipe
from nasp_lightning.task.reproducible import choose_device

log = logging.getLogger(__name__)

VERSION = 1  # of what is trained; another number trains everything again
NOT_IDENTITY = ("_target_", "encoding", "count")  # of the space: they change no network


def run(config: Config, folder: Path) -> Content:
    """Train one shard's members and write ``results.json``.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=build_benchmark``.
        folder: the run's folder; the records go to ``job.path``.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    # No lock on the run's folder: the same words given twice share the work, record by record.
    return BuildBenchmark(RunInfo.of(config), folder).run()


class BuildBenchmark(Job[BuildResults]):
    """The job; see :func:`run`."""

    writes_versions: ClassVar[bool] = False

    space: Listed
    rows: list[int]
    training: Training
    manifest: dict[str, Any]

    def __init__(self, info: RunInfo, folder: Path) -> None:
        super().__init__(info, folder)
        self.chosen: Component[Space] = info.component("space")
        self.benchmark = str(info.settings("benchmark")["name"])

    def prepare(self) -> None:
        """Load the images; know the shard's members and how they are trained."""
        job = self.info.job
        self.space = with_members(self.chosen.build())
        members = _member_count(job["members"], self.space)
        self.rows = shard_rows(members, job["shard"], job["shards"])
        check_whole("job.concurrent", job["concurrent"])
        self.training = make_training(job, self.info.check_seed())
        self.manifest = make_manifest(self.benchmark, self.chosen.settings, job, self.training)
        self.records_folder = built_folder(job, self.benchmark)

    def describe(self) -> str:
        """How many members, and where their records go."""
        device, rows = self.training.device, len(self.rows)
        return (
            f"{self.benchmark}, fidelity {self.manifest['fidelity']}: {rows} members in this "
            f"shard, trained on {device}, into {self.records_folder}"
        )

    def do(self) -> BuildResults:
        """Train what nobody has trained yet."""
        job, store = self.info.job, ShardStore(self.records_folder)
        records = self.build(store)
        return BuildResults(
            origin=self.info.origin(),
            benchmark=self.benchmark,
            fidelity=job["fidelity"]["name"],
            recipe_hash=identity_hash(self.manifest),
            epochs=self.training.recipe.epochs,
            path=str(store.folder),
            members=len(self.rows),
            first_member=self.rows[0],
            **measured(list(records.values())),
            files={str(store.path(key)): store.path(key).stat().st_size for key in records},
        )

    def build(self, store: ShardStore) -> dict[str, Record]:
        """Records of the shard's members; those that nobody has yet are trained."""
        job, manifest = self.info.job, self.manifest
        write_manifest(self.records_folder, manifest)
        members = unstacked(*self.space.members())
        tasks = {record_key(manifest["identity"], *members[row]): members[row] for row in self.rows}
        if job["shipped"]:
            take_shipped(store, manifest, list(tasks))
        missing = sum(store.get(key) is None for key in tasks)
        log.info("%d of %d members to train", missing, len(tasks))
        return fill(
            store, tasks, self.training, job["concurrent"], "trainings", setting="job.concurrent"
        )

    def tell(self, results: BuildResults) -> None:
        """Print the shard, and how to open what is finished."""
        _print(results)


def shard_rows(members: int, shard: int, shards: int) -> list[int]:
    """Members of one shard: ``shard``, ``shard + shards``, … below ``members``.

    Raises:
        NaspError: if there is no such shard, or nothing in it.
    """
    check_whole("job.shards", shards)
    check_whole("job.shard", shard, 0)
    if shard >= min(shards, members):
        raise NaspError(
            f"job.shard={shard}: with job.shards={shards} and {members} members, choose 0 to "
            f"{min(shards, members) - 1}"
        )
    return list(range(shard, members, shards))


def with_members(space: Space) -> Listed:
    """The space, if it can list its members.

    Raises:
        NaspError: if it cannot.
    """
    if not isinstance(space, Listed):
        raise NaspError(
            f"job=build_benchmark trains spaces that can list their members, and {space.name} "
            "cannot: choose benchmark=tinynano"
        )
    return space


def _member_count(members: object, space: Listed) -> int:
    if members is None:
        return int(space.size)
    if check_whole("job.members", members) > space.size:
        raise NaspError(f"job.members={members}: the space has {space.size:,}; null means all")
    return check_whole("job.members", members)


def built_folder(job: Settings, benchmark: str) -> Path:
    """Folder of the records."""
    if job["path"] is not None:
        return Path(job["path"]).expanduser().absolute()
    return cache_dir() / "built" / f"{benchmark}_{job['fidelity']['name']}"


def make_training(job: Settings, seed: int) -> Training:
    """What trains one network, from ``job.fidelity`` and the images of ``job.images``.

    Raises:
        NaspError: if the images are not found or a setting cannot be.
    """
    fidelity = job["fidelity"]
    device = choose_device(job["device"], "job.device")
    with constructing("job/fidelity"):
        recipe: TrainingRecipe = instantiate(fidelity["recipe"], _convert_="all")
        code = instantiate(fidelity["code"], _convert_="all")
        network = instantiate(fidelity["network"], _convert_="all")
    check_whole("job.fidelity.side", fidelity["side"])
    check_whole("job.validation_size", job["validation_size"])
    with constructing("job"):
        load = instantiate(job["images"])
    whole, test = (shrink(load(train=part), fidelity["side"]) for part in (True, False))
    kept, held = hold_out(whole, job["validation_size"], seed)
    return Training(
        network=network,
        images=_subset(kept, recipe.images, "recipe", seed),
        validation=PlainImages.of(held),
        test=PlainImages.of(test),
        recipe=recipe,
        code_images=_subset(whole, code.images, "code", seed),
        code_recipe=code,
        seed=seed,
        device=device,
    )


def _subset(images: Images, count: int, which: str, seed: int) -> PlainImages:
    if count > len(images):
        raise NaspError(
            f"job.fidelity.{which}.images={count}: only {len(images)} images can be trained on "
            "here: lower it (or job.validation_size)"
        )
    return PlainImages.of(images.subset(count, seed))


def make_manifest(
    benchmark: str, space: Settings, job: Settings, training: Training
) -> dict[str, Any]:
    """What the records have in common: ``identity`` is all that their numbers depend on."""
    return {
        "benchmark": benchmark,
        "dataset": job["images"]["name"],
        "fidelity": job["fidelity"]["name"],
        "identity": {
            "version": VERSION,
            "space": {name: item for name, item in space.items() if name not in NOT_IDENTITY},
            "network": describe(training.network),
            "train_images": training.images.data_hash,
            "test_images": training.test.data_hash,
            "validation_size": job["validation_size"],
            "side": job["fidelity"]["side"],
            "seed": training.seed,
            "recipe": {**asdict(training.recipe), "milestones": list(training.recipe.milestones)},
            "code": asdict(training.code_recipe),
        },
    }


def take_shipped(store: ShardStore, manifest: dict[str, Any], keys: list[str]) -> int:
    """Put into a folder what the package ships of the same identity; returns how many."""
    name = manifest["benchmark"]
    try:
        shipped_path = import_module(f"nasp_lightning.benchmark.{name}").shipped_path
    except (ModuleNotFoundError, AttributeError):
        return 0
    path = shipped_path(manifest["fidelity"])
    if not path.is_file():
        return 0
    shipped = read_build(path)
    if identity_hash(shipped.manifest) != identity_hash(manifest):
        return 0
    taken = [key for key in keys if key in shipped.records and store.get(key) is None]
    for key in taken:
        store.put(key, shipped.records[key])
    if taken:
        log.info("%d records are taken from the table in the package", len(taken))
    return len(taken)


class Measured(TypedDict):
    """What a shard's results say of its networks."""

    diverged: int
    test_accuracy_mean: float | None
    test_accuracy_best: float | None
    seconds_mean: float
    seconds_sum: float


def measured(records: list[Record]) -> Measured:
    """Accuracies and seconds of a shard's records."""
    test = np.array([record["test_accuracy"] for record in records], dtype=np.float64)
    seconds = sum(
        np.array([record[name] for record in records], dtype=np.float64)
        for name in ("train_seconds", "code_seconds")
    )
    alive = test[~np.isnan(test)]
    return {
        "diverged": int(np.isnan(test).sum()),
        "test_accuracy_mean": float(alive.mean()) if len(alive) else None,
        "test_accuracy_best": float(alive.max()) if len(alive) else None,
        "seconds_mean": float(np.mean(seconds)),
        "seconds_sum": float(np.sum(seconds)),
    }


def _print(results: BuildResults) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    best = results.test_accuracy_best
    console.print(
        f"{results.members} members of {results.benchmark} at fidelity "
        f"{results.fidelity}, {results.diverged} diverged"
        + (f"; best test accuracy {100 * best:.2f} %" if best is not None else ""),
        highlight=False,
    )
    console.print(
        f"open what is finished with benchmark={results.benchmark} "
        f"benchmark.source={results.fidelity} benchmark.epochs={results.epochs} "
        f"benchmark.path={results.path}",
        highlight=False,
        soft_wrap=True,
    )

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
from typing import Any

import numpy as np
import yaml
from hydra.utils import instantiate
from rich.console import Console

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.part.training import Training, hold_out, shrink
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.builder import Architecture, describe
from nasp_lightning.record.build import identity_hash, read_build, record_key, write_manifest
from nasp_lightning.record.store import Record, ShardStore, fill
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash
from nasp_lightning.run.provenance import versions
from nasp_lightning.storage import cache_dir, write_json, write_text
from nasp_lightning.task.plain import TrainingRecipe
from nasp_lightning.task.reproducible import choose_device

log = logging.getLogger(__name__)

Config = dict[str, Any]

FORMAT = "nasp_lightning.build_run/1"
VERSION = 1  # of what is trained; another number trains everything again
NOT_IDENTITY = ("_target_", "encoding", "count")  # of the space: they change no network


def run(config: Config, folder: Path) -> Config:
    """Train one shard's members and write ``results.json``.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=build_benchmark``.
        folder: the run's folder; the records go to ``job.path``.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    job = config["job"]
    with constructing("space"):
        space = instantiate(config["space"])
    rows = shard_rows(_member_count(job["members"], space), job["shard"], job["shards"])
    check_whole("job.concurrent", job["concurrent"])
    training = make_training(config)
    manifest = make_manifest(config, training)
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    # No lock on the run's folder: the same words given twice share the work, record by record.
    records = build(config, training, manifest, space, rows)
    store = ShardStore(built_folder(config))
    results = {
        "format": FORMAT,
        "config_hash": config_hash(config),
        "name": config["name"],
        "benchmark": config["benchmark"]["name"],
        "fidelity": job["fidelity"]["name"],
        "recipe_hash": identity_hash(manifest),
        "epochs": training.recipe.epochs,
        "path": str(store.folder),
        "members": len(rows),
        "first_member": rows[0],
        **measured(list(records.values())),
        "seed": config["seed"],
        "files": {str(store.path(key)): store.path(key).stat().st_size for key in records},
        "versions": versions(),
    }
    write_json(folder / "results.json", results)
    _print(results)
    return results


def shard_rows(members: int, shard: Any, shards: Any) -> list[int]:
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


def _member_count(members: Any, space: Any) -> int:
    if not hasattr(space, "members"):
        raise NaspError(
            f"job=build_benchmark trains spaces that can list their members, and {space.name} "
            "cannot: choose benchmark=tinynano"
        )
    if members is None:
        return int(space.size)
    if check_whole("job.members", members) > space.size:
        raise NaspError(f"job.members={members}: the space has {space.size:,}; null means all")
    return int(members)


def built_folder(config: Config) -> Path:
    """Folder of the records."""
    job = config["job"]
    if job["path"] is not None:
        return Path(job["path"]).expanduser().absolute()
    return cache_dir() / "built" / f"{config['benchmark']['name']}_{job['fidelity']['name']}"


def make_training(config: Config) -> Training:
    """What trains one network, from ``job.fidelity`` and the images of ``job.images``.

    Raises:
        NaspError: if the images are not found or a setting cannot be.
    """
    job, seed = config["job"], check_whole("seed", config["seed"], 0)
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


def make_manifest(config: Config, training: Training) -> Config:
    """What the records have in common: ``identity`` is all that their numbers depend on."""
    job, space = config["job"], config["space"]
    return {
        "benchmark": config["benchmark"]["name"],
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


def build(
    config: Config, training: Training, manifest: Config, space: Any, rows: list[int]
) -> dict[str, Record]:
    """Records of the members ``rows``; those that nobody has yet are trained."""
    job, folder = config["job"], built_folder(config)
    write_manifest(folder, manifest)
    store = ShardStore(folder)
    operations, adjacency = space.members()
    tasks: dict[str, Architecture] = {
        record_key(manifest["identity"], operations[row], adjacency[row]): (
            operations[row],
            adjacency[row],
        )
        for row in rows
    }
    if job["shipped"]:
        take_shipped(store, manifest, list(tasks))
    missing = sum(store.get(key) is None for key in tasks)
    log.info(
        "%s, fidelity %s: %d members in this shard, %d to train on %s, into %s",
        *(manifest["benchmark"], manifest["fidelity"], len(rows), missing, training.device, folder),
    )
    return fill(store, tasks, training, job["concurrent"], "trainings", setting="job.concurrent")


def take_shipped(store: ShardStore, manifest: Config, keys: list[str]) -> int:
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


def measured(records: list[Record]) -> Config:
    """What a shard's results say of its networks."""
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


def _print(results: Config) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    best = results["test_accuracy_best"]
    console.print(
        f"{results['members']} members of {results['benchmark']} at fidelity "
        f"{results['fidelity']}, {results['diverged']} diverged"
        + ("" if best is None else f"; best test accuracy {100 * best:.2f} %"),
        highlight=False,
    )
    console.print(
        f"open what is finished with benchmark={results['benchmark']} "
        f"benchmark.source={results['fidelity']} benchmark.epochs={results['epochs']} "
        f"benchmark.path={results['path']}",
        highlight=False,
        soft_wrap=True,
    )

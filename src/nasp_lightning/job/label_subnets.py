"""Label random subnets of a supernet: the benchmark on which the chain's predictor learns.

Each finished label is a record of its own in ``job.path``, so a killed run goes on with the next
one, and runs on one folder, here or on machines that share it, divide the work. The finished
labels are packed into ``subnets.json.gz`` in the run's folder: ``benchmark=subnets``.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.utils import instantiate
from rich.console import Console

from nasp_lightning.benchmark.subnets import BENCHMARK, space_identity
from nasp_lightning.data.base import ImageModule
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Architecture
from nasp_lightning.evaluator.supernet import Calibration, SupernetEvaluator
from nasp_lightning.network.store import load_network
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.record.build import pack, read_build, record_key, write_manifest
from nasp_lightning.record.store import Record, ShardStore, fill
from nasp_lightning.run.chain import find, leave, product
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, run_once
from nasp_lightning.run.provenance import versions
from nasp_lightning.storage import file_sha256, write_json, write_text
from nasp_lightning.task.reproducible import choose_device

log = logging.getLogger(__name__)

Config = dict[str, Any]

FORMAT = "nasp_lightning.subnets/1"
VERSION = 1  # of how a subnet is labelled; another number labels all again
PRODUCT = "subnets.json.gz"


def run(config: Config, folder: Path) -> Config:
    """Label subnets; write ``subnets.json.gz`` and ``results.json``.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=label_subnets``.
        folder: the run's folder; the records go to ``job.path``, or its folder ``records``.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    results = run_once(config, folder, lambda: _label(config, folder))
    leave(config, "sample", folder / PRODUCT)
    return results


def _label(config: Config, folder: Path) -> Config:
    job = config["job"]
    check_whole("job.subnets", job["subnets"], 2)
    check_whole("seed", config["seed"], 0)
    path = find(config, "supernet", "job.supernet", job["supernet"])
    evaluator = make_evaluator(config, path)
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    manifest = make_manifest(config, evaluator, path)
    records_folder = Path(job["path"]).expanduser() if job["path"] else folder / "records"
    write_manifest(records_folder, manifest)
    store = ShardStore(records_folder)
    drawn = evaluator.sample(np.random.default_rng(config["seed"]), job["subnets"])
    keys = [record_key(manifest["identity"], item.operations, item.adjacency) for item in drawn]
    missing = sum(store.get(key) is None for key in keys)
    log.info(
        "%d subnets of %s, %d to label on %s (%d images held out), into %s",
        *(len(drawn), path, missing, evaluator.device),
        *(evaluator.data.sizes["held_out"], records_folder),
    )
    numbered = enumerate(zip(keys, drawn, strict=True))
    tasks = {key: (number, item) for number, (key, item) in numbered}
    records = fill(store, tasks, partial(label, evaluator), 1, "labelling", "subnets")
    build = read_build(records_folder)
    chosen = type(build)(build.manifest, {key: records[key] for key in keys})
    pack(chosen, folder / PRODUCT)
    results = {
        "format": FORMAT,
        "config_hash": config_hash(config),
        "name": config["name"],
        "benchmark": BENCHMARK,
        "supernet": str(path),
        "supernet_sha256": manifest["identity"]["supernet"],
        "product": product("sample", PRODUCT),
        "space": evaluator.space.name,
        "dataset": evaluator.data.name,
        "subnets": len(records),
        **measured(list(records.values())),
        "seed": config["seed"],
        "files": {str(path): path.stat().st_size},
        "versions": versions(),
    }
    write_json(folder / "results.json", results)
    _print(results, folder)
    return results


def make_evaluator(config: Config, path: Path) -> SupernetEvaluator:
    """The supernet of a file on the images of a config.

    Raises:
        NaspError: if it is of another space or has other classes than the images.
    """
    supernet, manifest = load_network(path, kind="supernet", space=config["space"])
    with constructing("data"):
        data: ImageModule = instantiate(config["data"])
        calibration: Calibration = instantiate(config["job"]["calibration"])
    if not isinstance(data, ImageModule):
        raise NaspError("job=label_subnets needs images: choose data=cifar10 or data=imagenet")
    assert isinstance(supernet, Supernet)
    check_images(manifest["data"], data, path)
    device = choose_device(config["job"]["device"], "job.device")
    supernet.to(device)
    return SupernetEvaluator(supernet, data, calibration, device)


def check_images(trained: Config, data: ImageModule, path: Path) -> None:
    """Refuse other images than the supernet's, or others of them held out.

    Raises:
        NaspError: that names what differs.
    """
    described = data.describe()
    for name, setting in (
        ("name", "data"),
        ("classes", "data"),
        ("data_hash", "data.path"),
        ("held_out_images", "data.held_out"),
        ("split_seed", "data.split_seed"),
    ):
        if name in trained and name in described and trained[name] != described[name]:
            raise NaspError(
                f"{setting}: the supernet {path} was trained with {name} {trained[name]}, and here "
                f"it is {described[name]}: labels would not be of held-out images; choose the "
                "data of its training"
            )


def make_manifest(config: Config, evaluator: SupernetEvaluator, path: Path) -> Config:
    """What the labels have in common: ``identity`` is all that their numbers depend on."""
    described = evaluator.data.describe()
    return {
        "benchmark": BENCHMARK,
        "dataset": evaluator.data.name,
        "fidelity": "supernet",
        "identity": {
            "version": VERSION,
            "space": space_identity(config["space"]),
            "supernet": file_sha256(path),
            "data": described,
            "split_seed": config["data"].get("split_seed"),
            "calibration": {
                name: value
                for name, value in asdict(evaluator.calibration).items()
                if name != "test_batch"
            },
        },
    }


def label(evaluator: SupernetEvaluator, task: tuple[int, Architecture]) -> Record:
    """The record of one subnet."""
    number, item = task
    accuracy, seconds = evaluator.labels([item])
    return {
        "number": number,
        "operations": item.operations.tolist(),
        "adjacency": None if item.adjacency is None else item.adjacency.tolist(),
        "accuracy": float(accuracy[0]),
        "parameters": int(evaluator.cost("parameters", [item])[0]),
        "flops": int(evaluator.cost("flops", [item])[0]),
        "seconds": round(float(seconds[0]), 4),
    }


def measured(records: list[Record]) -> Config:
    """What the labels are, in short."""
    accuracy = np.array([record["accuracy"] for record in records])
    seconds = np.array([record["seconds"] for record in records])
    return {
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)),
        "accuracy_best": float(accuracy.max()),
        "seconds_mean": float(seconds.mean()),
        "seconds_sum": float(seconds.sum()),
    }


def _print(results: Config, folder: Path) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    console.print(
        f"{results['subnets']} subnets labelled: accuracy {100 * results['accuracy_mean']:.2f} ± "
        f"{100 * results['accuracy_std']:.2f} %, best {100 * results['accuracy_best']:.2f} %, "
        f"{results['seconds_mean']:.2f} s each",
        highlight=False,
    )
    console.print(
        f"open them with benchmark=subnets benchmark.path={folder / PRODUCT}",
        highlight=False,
        soft_wrap=True,
    )

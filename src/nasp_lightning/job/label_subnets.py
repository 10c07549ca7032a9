"""Label random subnets of a supernet: the benchmark on which the chain's predictor learns.

Each finished label is a record of its own in ``job.path``, so a killed run goes on with the next
one, and runs on one folder, here or on machines that share it, divide the work. The finished
labels are packed into ``subnets.json.gz`` in the run's folder: ``benchmark=subnets``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np
from rich.console import Console

from nasp_lightning.benchmark.subnets import BENCHMARK, space_identity
from nasp_lightning.data.base import ImageModule
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.part.supernet import Calibration, SupernetEvaluator
from nasp_lightning.job.base import Content, Job
from nasp_lightning.network.store import load_network
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.record.build import pack, read_build, record_key, write_manifest
from nasp_lightning.record.store import Record, ShardStore, fill
from nasp_lightning.run.chain import find, leave
from nasp_lightning.run.config import Component, RunInfo, Settings
from nasp_lightning.run.folder import Config
from nasp_lightning.run.results import Product, SubnetsResults
from nasp_lightning.space.base import Space
from nasp_lightning.storage import file_sha256
from nasp_lightning.task.reproducible import choose_device

log = logging.getLogger(__name__)

VERSION = 1  # of how a subnet is labelled; another number labels all again
PRODUCT = "subnets.json.gz"


def run(config: Config, folder: Path) -> Content:
    """Label subnets; write ``subnets.json.gz`` and ``results.json``.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=label_subnets``.
        folder: the run's folder; the records go to ``job.path``, or its folder ``records``.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    job = LabelSubnets(RunInfo.of(config), folder)
    content = job.once()
    leave(job.info.chain, "sample", folder / PRODUCT)
    return content


class LabelSubnets(Job[SubnetsResults]):
    """The job; see :func:`run`."""

    writes_versions: ClassVar[bool] = False

    supernet: Path
    evaluator: SupernetEvaluator
    manifest: dict[str, Any]
    keys: list[str]
    drawn: list[Candidate]

    def __init__(self, info: RunInfo, folder: Path) -> None:
        super().__init__(info, folder)
        self.space: Component[Space] = info.component("space")
        self.images: Component[ImageModule] = info.component("data")

    def prepare(self) -> None:
        """Open the supernet and its images; draw the subnets."""
        job = self.info.job
        check_whole("job.subnets", job["subnets"], 2)
        seed = self.info.check_seed()
        self.supernet = find(self.info.chain, "supernet", "job.supernet", job["supernet"])
        self.evaluator = make_evaluator(self.supernet, self.space, self.images, job)
        split_seed = self.images.settings.get("split_seed")
        self.manifest = make_manifest(
            self.evaluator, self.supernet, self.space.settings, split_seed
        )
        self.drawn = self.evaluator.sample(np.random.default_rng(seed), job["subnets"])
        identity = self.manifest["identity"]
        self.keys = [record_key(identity, item.operations, item.adjacency) for item in self.drawn]
        self.records_folder = (
            Path(job["path"]).expanduser() if job["path"] else self.folder / "records"
        )

    def describe(self) -> str:
        """How many subnets, how many of them to label, where."""
        evaluator, store = self.evaluator, ShardStore(self.records_folder)
        missing = sum(store.get(key) is None for key in self.keys)
        return (
            f"{len(self.drawn)} subnets of {self.supernet}, {missing} to label on "
            f"{evaluator.device} ({evaluator.data.sizes['held_out']} images held out), into "
            f"{self.records_folder}"
        )

    def do(self) -> SubnetsResults:
        """Label what nobody has labelled yet; pack all of it."""
        write_manifest(self.records_folder, self.manifest)
        numbered = enumerate(zip(self.keys, self.drawn, strict=True))
        tasks = {key: (number, item) for number, (key, item) in numbered}
        compute = partial(label, self.evaluator)
        records = fill(ShardStore(self.records_folder), tasks, compute, 1, "labelling", "subnets")
        build = read_build(self.records_folder)
        chosen = type(build)(build.manifest, {key: records[key] for key in self.keys})
        pack(chosen, self.folder / PRODUCT)
        return SubnetsResults(
            origin=self.info.origin(),
            benchmark=BENCHMARK,
            supernet=str(self.supernet),
            supernet_sha256=self.manifest["identity"]["supernet"],
            product=Product(stage="sample", name=PRODUCT),
            space=self.evaluator.space.name,
            dataset=self.evaluator.data.name,
            subnets=len(records),
            **measured(list(records.values())),
            files={str(self.supernet): self.supernet.stat().st_size},
        )

    def tell(self, results: SubnetsResults) -> None:
        """Print what the labels are, and how to open them."""
        _print(results, self.folder)


def make_evaluator(
    path: Path, space: Component[Space], images: Component[ImageModule], job: Settings
) -> SupernetEvaluator:
    """The supernet of a file on the images of a config.

    Raises:
        NaspError: if it is of another space or has other classes than the images.
    """
    supernet, manifest = load_network(path, kind="supernet", space=space.settings)
    data = images.build()
    chosen: Component[Calibration] = Component("data", job["calibration"])
    calibration = chosen.build()
    if not isinstance(data, ImageModule):
        raise NaspError("job=label_subnets needs images: choose data=cifar10 or data=imagenet")
    assert isinstance(supernet, Supernet)
    check_images(manifest["data"], data, path)
    device = choose_device(job["device"], "job.device")
    supernet.to(device)
    return SupernetEvaluator(supernet, data, calibration, device)


def check_images(trained: Mapping[str, object], data: ImageModule, path: Path) -> None:
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


def make_manifest(
    evaluator: SupernetEvaluator, path: Path, space: Settings, split_seed: int | None
) -> dict[str, Any]:
    """What the labels have in common: ``identity`` is all that their numbers depend on."""
    described = evaluator.data.describe()
    return {
        "benchmark": BENCHMARK,
        "dataset": evaluator.data.name,
        "fidelity": "supernet",
        "identity": {
            "version": VERSION,
            "space": space_identity(space),
            "supernet": file_sha256(path),
            "data": described,
            "split_seed": split_seed,
            "calibration": {
                name: value
                for name, value in asdict(evaluator.calibration).items()
                if name != "test_batch"
            },
        },
    }


def label(evaluator: SupernetEvaluator, task: tuple[int, Candidate]) -> Record:
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


class Measured(TypedDict):
    """What the labels are, in short."""

    accuracy_mean: float
    accuracy_std: float
    accuracy_best: float
    seconds_mean: float
    seconds_sum: float


def measured(records: list[Record]) -> Measured:
    """Accuracies and seconds of the labels."""
    accuracy = np.array([record["accuracy"] for record in records])
    seconds = np.array([record["seconds"] for record in records])
    return {
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_std": float(accuracy.std(ddof=1)),
        "accuracy_best": float(accuracy.max()),
        "seconds_mean": float(seconds.mean()),
        "seconds_sum": float(seconds.sum()),
    }


def _print(results: SubnetsResults, folder: Path) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    console.print(
        f"{results.subnets} subnets labelled: accuracy {100 * results.accuracy_mean:.2f} ± "
        f"{100 * results.accuracy_std:.2f} %, best {100 * results.accuracy_best:.2f} %, "
        f"{results.seconds_mean:.2f} s each",
        highlight=False,
    )
    console.print(
        f"open them with benchmark=subnets benchmark.path={folder / PRODUCT}",
        highlight=False,
        soft_wrap=True,
    )

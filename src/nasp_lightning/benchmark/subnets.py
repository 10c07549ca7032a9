"""Subnets of a supernet with the accuracies that its shared weights give them.

``job=label_subnets`` labels them; here its records become a table like any other, on which every
predictor trains. What the table has:

- ``<dataset>/validation_accuracy/supernet``, on training images held out, one run;
- costs ``parameters`` and ``flops`` (multiply-adds) of the subnets as modules of their own, and
  ``<dataset>/train_seconds/supernet``, the seconds of recalibration and evaluation.

Rows are in the order in which the architectures were drawn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, Declaration, metric_name
from nasp_lightning.benchmark.format.files import given_path
from nasp_lightning.error import NaspError
from nasp_lightning.record.build import Build, identity_hash, read_build
from nasp_lightning.storage import known_sha256

BENCHMARK = "subnets"
DECLARATION = Declaration(
    BENCHMARK, by_hand="job=label_subnets makes such tables, and benchmark.path names one"
)
EPOCHS = "supernet"  # in the names of metrics, where others have their epochs
NOTES = (
    "Accuracies of subnets with a supernet's weights and recalibrated normalisations, on training "
    "images held out; not of networks trained on their own."
)


def load_table(
    path: str | Path | None = None,
    space: Mapping[str, object] | None = None,
    *,
    source: str = EPOCHS,
    partial: bool = True,
) -> BenchmarkTable:
    """Labelled subnets as a table.

    Args:
        path: ``subnets.json.gz`` of a run of ``job=label_subnets``, or its folder of records,
            finished or not.
        space: settings of the space that they must be of, as in ``config["space"]``; None: any.
        source: ``supernet``, the only one.
        partial: a sample never has all architectures, so False refuses it.

    Raises:
        NaspError: if there is none, it is damaged or empty, or of another space.
    """
    if source != EPOCHS:
        raise NaspError(
            f"benchmark subnets has no source {source!r}; set benchmark.source={EPOCHS}"
        )
    if not partial:
        raise NaspError("subnets are a sample of their space: set benchmark.partial=true")
    if path is None:
        raise NaspError(
            "benchmark.path=null: no subnets were labelled here; run job=label_subnets "
            "(+experiment=mobilenet_sample), or set benchmark.path to its subnets.json.gz"
        )
    origin = given_path(path)
    build = read_build(origin)
    if build.manifest["benchmark"] != BENCHMARK:
        raise NaspError(
            f"{origin} holds {build.manifest['benchmark']}, no labelled subnets: choose "
            f"benchmark={build.manifest['benchmark']}, or another benchmark.path"
        )
    if space is not None:
        check_space(build, space, origin)
    return make_table(build, origin)


def check_space(build: Build, space: Mapping[str, object], origin: Path) -> None:
    """Refuse subnets of another space.

    Raises:
        NaspError: that names the first setting in which they differ.
    """
    theirs, ours = build.manifest["identity"]["space"], space_identity(space)
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            raise NaspError(
                f"{origin} holds subnets of another space: {name} is {theirs.get(name)} there and "
                f"{ours.get(name)} here; choose the space that they were drawn from (space=…)"
            )


def space_identity(space: Mapping[str, object]) -> dict[str, object]:
    """A space's settings, as JSON has them, but for how predictors read it."""
    kept = {key: value for key, value in space.items() if key != "encoding" and value is not None}
    plain: dict[str, object] = json.loads(json.dumps(kept))
    return plain


def make_table(build: Build, origin: Path) -> BenchmarkTable:
    """The table of a build's records.

    Raises:
        NaspError: if it has no record.
    """
    from hydra.utils import get_class

    from nasp_lightning.space.base import Keyed, Space

    identity, dataset = build.manifest["identity"], build.manifest["dataset"]
    records = sorted(build.records.values(), key=lambda record: int(str(record["number"])))
    if not records:
        raise NaspError(f"{origin} holds no finished record yet: go on with job=label_subnets")
    kind = get_class(identity["space"]["_target_"])
    if not issubclass(kind, Space):
        raise NaspError(f"{origin} holds subnets of {kind.__name__}, which is no space")
    operations = np.array([record["operations"] for record in records], dtype=np.uint8)
    adjacency, keys = None, None
    if records[0]["adjacency"] is not None:
        adjacency = np.array([record["adjacency"] for record in records], dtype=np.uint8)
    if issubclass(kind, Keyed):
        own = kind(**{name: item for name, item in identity["space"].items() if name[0] != "_"})
        pairs = zip(operations, adjacency if adjacency is not None else [], strict=True)
        keys = np.stack([own.key(*pair) for pair in pairs])

    def column(name: str) -> Array:
        return np.array([record[name] for record in records], dtype=np.float64)

    accuracy = metric_name(dataset, "validation_accuracy", EPOCHS)
    seconds = metric_name(dataset, "train_seconds", EPOCHS)
    content = json.dumps(records, sort_keys=True).encode()
    return BenchmarkTable(
        space=kind.name,
        operations=operations,
        adjacency=adjacency,
        keys=keys,
        metrics={accuracy: column("accuracy").astype(np.float32)[:, None]},
        costs={
            "parameters": column("parameters"),
            "flops": column("flops"),
            seconds: column("seconds").astype(np.float32)[:, None],
        },
        provenance={
            "benchmark": BENCHMARK,
            "source": EPOCHS,
            "file": origin.name,
            "sha256": known_sha256(origin)
            if origin.is_file()
            else hashlib.sha256(content).hexdigest(),
            "version": identity["version"],
            "count": len(records),
            "partial": True,
            "damaged": len(build.damaged),
            "recipe_hash": identity_hash(build.manifest),
            "training": identity,
            "reduction": "one run",
            "notes": NOTES,
        },
    )

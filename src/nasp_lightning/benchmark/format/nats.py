"""NAS-Bench-201's official files: NATS-Bench's folder and file, and the first release's ``.pth``.

All three hold the same records: for each architecture and budget (12 or 200 epochs) one record
of each data set and seed, with the losses and accuracies of every epoch. The two single files
must be read whole: count on several times their size in memory, or take the folder.

Runs (columns) are the seeds in ascending order, the same for all numbers of one budget; NaN
where a data set has no run of that seed. What each number comes from is told in
:mod:`nasp_lightning.benchmark.nasbench201`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.benchmark.format import nasbench201_table
from nasp_lightning.benchmark.format.cache import cached_table, table_path
from nasp_lightning.benchmark.format.unpickle import (
    TENSORS_DROPPED,
    as_list,
    as_mapping,
    as_number,
    load_sequence,
    loads,
    read_bytes,
    restricted_load,
)
from nasp_lightning.error import NaspError
from nasp_lightning.record.progress import progress_bar
from nasp_lightning.storage import known_sha256

RECORD_LIMIT = 64 << 20  # bytes of one architecture's record, decompressed; real ones have 0.3 MB
WHOLE_LIMIT = 64 << 30
# What an error calls a record, the architecture as text, and what the file says of it.
Entry = tuple[str, str, object]
BUDGETS = {"12": 12, "200": 200, "less": 12, "full": 200}
# Name in the file to the data set whose validation and test accuracy it gives, and their keys.
TRAININGS = {
    "cifar10-valid": ("cifar10", "x-valid", None),
    "cifar10": ("cifar10", None, "ori-test"),
    "cifar100": ("cifar100", "x-valid", "x-test"),
    "ImageNet16-120": ("ImageNet16-120", "x-valid", "x-test"),
}


@dataclass(frozen=True)
class Run:
    """One training of one architecture: accuracies are fractions, NaN where not known."""

    row: int
    training: str
    seed: int
    epochs: int
    validation: float
    test: float
    train: float
    seconds: float
    latency: float
    losses: Array


def load(source: str, path: Path) -> BenchmarkTable:
    """The table of one of the official files, converted once.

    Args:
        source: ``nats_simple`` (a folder), ``nats`` or ``nasbench201_pth`` (files).
        path: the folder or file.

    Raises:
        NaspError: if it is of another kind, damaged, or asks for code to be run.
    """
    if source == "nats_simple":
        files = _record_files(path)
        sha256 = nasbench201_table.folder_sha256([*files, path / "meta.pickle.pbz2"])
    elif path.is_dir():
        raise NaspError(f"{path} is a folder: for one, set benchmark.source=nats_simple")
    else:
        sha256 = known_sha256(path)

    def convert() -> BenchmarkTable:
        if source == "nats_simple":
            records, count = _folder_records(path), len(files)
        else:
            names, found = _whole(source, path)
            records, count = _file_records(names, found, path), len(found)
        with progress_bar(f"converting {path.name}", count, "records") as advance:
            return build(records, source, path, sha256, advance)

    return cached_table(
        table_path("nasbench201", source, sha256, nasbench201_table.CONVERTER), convert
    )


def _record_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("[0-9]*.pickle.pbz2"))
    if not files or not (folder / "meta.pickle.pbz2").is_file():
        raise NaspError(
            f"{folder} holds no NATS-Bench records: expected meta.pickle.pbz2 and files such as "
            "000000.pickle.pbz2 (the unpacked folder, not its .tar)"
        )
    return files


def _folder_records(folder: Path) -> Iterator[Entry]:
    meta = restricted_load(folder / "meta.pickle.pbz2", limit=RECORD_LIMIT)
    names = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(names, list):
        raise NaspError(f"{folder / 'meta.pickle.pbz2'} is not NATS-Bench's list of architectures")
    for file in _record_files(folder):
        index = file.name.split(".")[0]
        if not index.isdigit() or int(index) >= len(names):
            raise NaspError(f"{file} is no record of NATS-Bench: its number is too large")
        yield str(file), str(names[int(index)]), restricted_load(file, limit=RECORD_LIMIT)


def _whole(source: str, path: Path) -> tuple[list[object], dict[Hashable, object]]:
    """Architectures of a single file, and its records by their number."""
    if source == "nats":
        content = restricted_load(path, limit=WHOLE_LIMIT)
    elif zipfile.is_zipfile(path):
        content = loads(_zipped_pickle(path), allowed=TENSORS_DROPPED, name=str(path))
    else:  # before torch 1.6: magic number, version, machine, object, one after another
        data = read_bytes(path, WHOLE_LIMIT, str(path))
        content = load_sequence(data, 4, allowed=TENSORS_DROPPED, name=str(path))[3]
    if not isinstance(content, dict) or not {"meta_archs", "arch2infos"} <= set(content):
        raise NaspError(f"{path} is not the file of source {source}: it has no architectures")
    names, records = content["meta_archs"], content["arch2infos"]
    if not isinstance(records, dict) or not records or not isinstance(names, list):
        raise NaspError(
            f"{path} lists architectures without results (it is the meta file of the folder): "
            "set benchmark.source=nats_simple and benchmark.path to the folder"
        )
    return names, records


def _zipped_pickle(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            if archive.getinfo(name).file_size > WHOLE_LIMIT:
                raise NaspError(f"{path} holds more than {WHOLE_LIMIT >> 30} GiB: get it again")
            return archive.read(name)
    except (StopIteration, zipfile.BadZipFile, OSError) as error:
        raise NaspError(f"{path} is cut short or no file of torch.save: get it again") from error


def _file_records(
    names: list[object], records: dict[Hashable, object], path: Path
) -> Iterator[Entry]:
    for index in sorted(int(as_number(key)) for key in records):
        record = records.pop(index)  # what is converted need not stay in memory
        yield f"{path}, architecture {index}", str(names[index]), record


def build(
    records: Iterable[Entry],
    source: str,
    path: Path,
    sha256: str,
    advance: Callable[[int], None] = lambda amount: None,
) -> BenchmarkTable:
    """A table of records ``(label for errors, architecture as text, record)``."""
    from nasp_lightning.space.nasbench201 import NASBench201, index_of

    space = NASBench201()
    operations: list[Array] = []
    runs: list[Run] = []
    for row, (label, name, record) in enumerate(records):
        try:
            runs += _runs(row, record, name)
            operations.append(space.from_string(name)[0])
        except NaspError as error:
            raise NaspError(f"{label}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise NaspError(
                f"{label} is no record of NATS-Bench ({error!r}): get it again"
            ) from error
        advance(1)
    codes = np.stack(operations)
    order = np.argsort(index_of(codes))
    if len(np.unique(index_of(codes))) != len(codes):
        raise NaspError(f"{path}: an architecture stands in it twice")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    metrics, costs, curves, seeds = _arrays(runs, place)
    return BenchmarkTable(
        space="nasbench201",
        operations=codes[order],
        metrics=metrics,
        costs=costs | nasbench201_table.derived_costs(codes[order]),
        curves=curves,
        provenance={
            **nasbench201_table.provenance(source, path, sha256, len(codes), "runs"),
            "seeds": {str(epochs): list(found) for epochs, found in seeds.items()},
        },
    )


def _runs(row: int, record: object, name: str) -> Iterator[Run]:
    for budget, item in as_mapping(record).items():
        if not isinstance(budget, str) or budget not in BUDGETS:
            continue
        content = as_mapping(item)
        if content["arch_str"] != name:
            raise NaspError(f"it is the record of {content['arch_str']}, expected {name}")
        for key, result in as_mapping(content["all_results"]).items():
            if not isinstance(key, tuple):
                raise TypeError("a result without data set and seed")
            training, seed = key
            if training in TRAININGS:
                yield _run(row, training, int(seed), BUDGETS[budget], as_mapping(result))


def _run(row: int, training: str, seed: int, epochs: int, result: dict[Hashable, object]) -> Run:
    _, validation, test = TRAININGS[training]
    last = epochs - 1
    evaluations = as_mapping(result["eval_acc1es"])
    losses = np.full(epochs, np.nan, dtype=np.float32)
    for epoch, loss in _by_epoch(result, "train_losses").items():
        losses[epoch] = loss
    seconds = list(_by_epoch(result, "train_times").values())
    latency = [as_number(value) for value in as_list(result.get("latency") or [])]
    return Run(
        row=row,
        training=training,
        seed=seed,
        epochs=epochs,
        validation=_percent(evaluations.get(f"{validation}@{last}")),
        test=_percent(evaluations.get(f"{test}@{last}")),
        train=_percent(as_mapping(result.get("train_acc1es") or {}).get(last)),
        seconds=float(sum(seconds)) if len(seconds) == epochs else np.nan,
        latency=float(np.mean(latency)) if latency else np.nan,
        losses=losses,
    )


def _by_epoch(result: dict[Hashable, object], name: str) -> dict[int, float]:
    """Epoch to number; empty where the result has none."""
    found = as_mapping(result.get(name) or {})
    return {int(as_number(epoch)): as_number(value) for epoch, value in found.items()}


def _percent(value: object) -> float:
    return np.nan if value is None else as_number(value) / 100.0


Arrays = dict[str, Array]


def _arrays(runs: list[Run], place: Array) -> tuple[Arrays, Arrays, Arrays, dict[int, list[int]]]:
    """Metrics, costs and curves of all runs, rows put at ``place``; and the seeds by budget."""
    metrics: Arrays = {}
    costs: Arrays = {}
    curves: Arrays = {}
    seeds = {
        epochs: sorted({run.seed for run in runs if run.epochs == epochs})
        for epochs in sorted({run.epochs for run in runs})
    }

    def put(group: Arrays, name: str, run: Run, value: float | Array) -> None:
        shape = (len(place), len(seeds[run.epochs]), *np.shape(value))
        array = group.get(name)
        if array is None:
            array = group[name] = np.full(shape, np.nan, dtype=np.float32)
        array[place[run.row], seeds[run.epochs].index(run.seed)] = value

    for run in runs:
        dataset, validation, test = TRAININGS[run.training]
        if validation is not None:
            put(
                metrics,
                metric_name(dataset, "validation_accuracy", run.epochs),
                run,
                run.validation,
            )
            put(costs, metric_name(dataset, "train_seconds", run.epochs), run, run.seconds)
            if run.epochs == 200:
                put(costs, f"{dataset}/latency", run, run.latency)
        if test is not None:
            put(metrics, metric_name(dataset, "test_accuracy", run.epochs), run, run.test)
            put(metrics, metric_name(dataset, "train_accuracy", run.epochs), run, run.train)
        put(curves, metric_name(run.training, "train_loss", run.epochs), run, run.losses)
    return metrics, costs, curves, seeds

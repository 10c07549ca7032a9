"""Where the time of Batch and Fully Top Sampling goes: Siamese-NAS, Table 1, in one process.

In every round one plain run of each, the same seed, one thread, 100 labels of NAS-Bench-201. The
seconds are the processor's: on a machine that others use, only these mean anything. The same
rankings with one architecture at a time stand beside them, as the published times suggest:
(816.43 - 140.62) s for 10 x (15,625 - 1,563) more architectures are 4.8 ms each, and the same
follows from the other pair, (115.67 - 67.22) s for 10 x (1,120 - 112).

    python experiments/siamese_table1_bts_fts/measure.py [--rounds 3] [--csv time.csv]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from nasp_lightning import load_benchmark
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import resolved
from nasp_lightning.run.process import quiet_lightning, set_threads
from nasp_lightning.shipped import conf_dir
from nasp_lightning.storage import csv_text, write_text
from nasp_lightning.study.neural import fit
from nasp_lightning.study.repeated import How, Repeated
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Study

METHODS = {"batch_top_sampling": "BTS", "fully_top_sampling": "FTS"}
ALONE = 200  # architectures that are ranked one at a time
FIELDS = (
    *("method", "ranked", "training_seconds", "ranking_seconds", "total_seconds"),
    *("milliseconds_one_by_one", "total_seconds_one_by_one"),
)


@contextmanager
def watched_rankings() -> Iterator[list[tuple[int, float]]]:
    """Architectures and seconds of the processor of each ranking within the block."""
    found: list[tuple[int, float]] = []
    scores = ArchitectureData.scores

    def timed(data: ArchitectureData, *given: Any, **named: Any) -> torch.Tensor:
        began = time.process_time()
        result = scores(data, *given, **named)
        found.append((len(result), time.process_time() - began))
        return result

    ArchitectureData.scores = timed  # type: ignore[assignment, method-assign]
    try:
        yield found
    finally:
        ArchitectureData.scores = scores  # type: ignore[method-assign]


def measure(repeated: Repeated, seed: int, folder: Path) -> dict[str, float]:
    """One fit: seconds in training and in rankings, and what ranking one by one would take."""
    run, epochs = repeated.prepare(seed)
    set_threads(1, fitting=True)
    settings = repeated.settings.with_seed(seed)
    with watched_rankings() as rankings:
        began = time.process_time()
        fit(settings, folder / str(seed), run.task, run.data, run.framework, epochs)
        total = time.process_time() - began
    ranked = sum(count for count, _ in rankings)
    ranking = sum(seconds for _, seconds in rankings)
    one = one_by_one(run.data, run.task.predictor)
    return {
        "ranked": ranked,
        "training_seconds": total - ranking,
        "ranking_seconds": ranking,
        "total_seconds": total,
        "milliseconds_one_by_one": 1000 * one,
        "total_seconds_one_by_one": total - ranking + ranked * one,
    }


def one_by_one(data: ArchitectureData, predictor: Any) -> float:
    """Seconds of the processor for each of some architectures, each in a batch of its own."""
    predictor.eval()
    with torch.inference_mode():
        predictor(data.graphs[torch.tensor([0])])
        began = time.process_time()
        for row in range(ALONE):
            predictor(data.graphs[torch.tensor([row])])
        return (time.process_time() - began) / ALONE


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--labels", type=int, default=100)
    arguments.add_argument("--epochs", type=int, default=200)
    arguments.add_argument("--csv", type=Path, default=None)
    given = arguments.parse_args()
    quiet_lightning()
    register_resolvers()
    table = load_benchmark("nasbench201", source="csv")
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        fits = {name: _repeated(name, table, given, Path(folder)) for name in METHODS}
        for seed in range(given.rounds):
            for name, repeated in fits.items():
                rounds[name].append(measure(repeated, seed, Path(folder) / name))
    rows = [
        {
            "method": METHODS[name],
            **{key: statistics.median(r[key] for r in found) for key in found[0]},
        }
        for name, found in rounds.items()
    ]
    report(rows)
    if given.csv:
        write_text(
            given.csv, csv_text(FIELDS, ([row.get(name) for name in FIELDS] for row in rows))
        )


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Of each entry over the rounds."""
    return {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}


def _repeated(framework: str, table: Any, given: argparse.Namespace, folder: Path) -> Repeated:
    words = [
        *("+experiment=nb201_siamese_bts", "job=n_plus_k", f"framework={framework}"),
        *("benchmark.source=csv", "predictor.nsam=false", "threads=1"),
        *(f"data.train_size={given.labels}", f"trainer.max_epochs={given.epochs}"),
    ]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = resolved(compose("config", words))
    settings = StudySettings.of(RunInfo.of(config))
    return Repeated(settings, folder, Study.open(settings, table).data, How(batched=False))


def report(rows: list[dict[str, Any]]) -> None:
    """Medians over the rounds, and the ratios."""
    print("| | architectures ranked | training s | rankings s | total s | one by one, total s |")
    print("| --- | --- | --- | --- | --- | --- |")
    keys = ("training_seconds", "ranking_seconds", "total_seconds", "total_seconds_one_by_one")
    for row in rows:
        numbers = " | ".join(f"{row[key]:.1f}" for key in keys)
        print(f"| {row['method']} | {row['ranked']:,.0f} | {numbers} |")
    batch, fully = rows
    ratios = " | ".join(f"{batch[key] / fully[key]:.2f}" for key in keys)
    print(f"| ratio | {batch['ranked'] / fully['ranked']:.2f} | {ratios} |")


if __name__ == "__main__":
    main()

"""What 100 runs of one point cost, trained as one computation, beside one plain run.

The point is Siamese-NAS's Figure 5: 100 labels, Siamese-Predictor with NSAM, Batch Top Sampling,
NAS-Bench-201's 15,625 architectures; the code is a column of the table. One plain run is
``job=train_predictor``'s fit and ranking. Chunks of the batched job cost the same, so one of them
is measured and counts for all. Both are measured in turn in every round, by the clock and by
seconds of the processor (on a machine that others use, only the latter mean anything).

    python experiments/speed/batched_runs.py [--repeats 100] [--chunk 50] [--threads 2] [--compile]
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
from torch.utils.flop_counter import FlopCounterMode

from nasp_lightning import load_benchmark
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import resolved
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.shipped import conf_dir
from nasp_lightning.study.repeated import CHUNK, How, Repeated
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Study

TARGET = 15
FEW = 20  # epochs of the computation that is compiled before anything is measured
WORDS = ("+experiment=nb201_siamese_bts", "job=n_plus_k", "estimation_code=none")


class Cost:
    """Seconds by the clock and of the processor, and those by the clock in rankings."""

    def __init__(self, repeated: Repeated, seeds: list[int]) -> None:
        ranking = 0.0
        scores = type(repeated.data).scores

        def timed(*given: Any, **named: Any) -> torch.Tensor:
            nonlocal ranking
            began = time.perf_counter()
            found = scores(*given, **named)
            ranking += time.perf_counter() - began
            return found

        wall, processor = time.perf_counter(), time.process_time()
        type(repeated.data).scores = timed  # type: ignore[method-assign]
        try:
            repeated.fit(seeds)
        finally:
            type(repeated.data).scores = scores  # type: ignore[method-assign]
        self.wall = time.perf_counter() - wall
        self.processor = time.process_time() - processor
        self.ranking = ranking


def flops(repeated: Repeated) -> float:
    """Multiplications and additions of one run's training steps, matrix products alone."""
    run, _ = repeated.prepare(0)
    rows, labels = (item[: run.data.batch_size] for item in run.data.epoch_order(0))
    with FlopCounterMode(display=False) as counter:
        run.task.batch_loss(run.data.graphs[rows], labels).backward()
    steps = max(1, run.data.train_size // run.data.batch_size)
    return (
        float(counter.get_total_flops()) * steps * repeated.settings.training.trainer["max_epochs"]
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=100)
    arguments.add_argument("--chunk", type=int, default=CHUNK)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=None, help="of the batched runs")
    arguments.add_argument("--epochs", type=int, default=200)
    arguments.add_argument("--feature", default="parameters", help="column that is the code")
    arguments.add_argument("--compile", action="store_true", help="job.compile=true")
    given = arguments.parse_args()
    quiet_lightning()
    register_resolvers()
    words = [f"data.features=[{given.feature}]", f"trainer.max_epochs={given.epochs}"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = resolved(compose("config", [*WORDS, *words]))
    seeds = list(range(given.chunk))
    table = load_benchmark("nasbench201")
    data = Study.open(StudySettings.of(RunInfo.of(config)), table).data
    with tempfile.TemporaryDirectory() as folder:
        alone = Repeated(
            StudySettings.of(RunInfo.of({**config, "threads": 1})),
            Path(folder),
            data,
            How(batched=False),
        )
        how = {**config, "threads": given.threads}
        at_once = How(True, given.chunk, given.compile)
        many = Repeated(StudySettings.of(RunInfo.of(how)), Path(folder), data, at_once)
        if given.compile:
            short = {**how, "trainer": {**config["trainer"], "max_epochs": FEW}}
            compiled = How(True, given.chunk, True)
            brief = Repeated(StudySettings.of(RunInfo.of(short)), Path(folder), data, compiled)
            first = Cost(brief, seeds)
            print(f"compiling, once, and {FEW} epochs of a chunk: {first.wall:.0f} s")
        costs: list[tuple[Cost, Cost]] = []
        for number in range(given.rounds):
            one = Cost(alone, [number])
            costs.append((one, Cost(many, seeds)))
        report(costs, given, flops(alone))


def report(costs: list[tuple[Cost, Cost]], given: argparse.Namespace, products: float) -> None:
    """Medians over the rounds."""
    chunks = given.repeats / given.chunk
    middle = statistics.median
    rows = {
        "1 plain run, 1 thread": [
            middle(one.wall for one, _ in costs),
            middle(one.processor for one, _ in costs),
            middle(one.ranking for one, _ in costs),
        ],
        f"{given.repeats} runs, {given.chunk} at once": [
            chunks * middle(many.wall for _, many in costs),
            chunks * middle(many.processor for _, many in costs),
            chunks * middle(many.ranking for _, many in costs),
        ],
        "ratio": [
            middle(chunks * many.wall / one.wall for one, many in costs),
            middle(chunks * many.processor / one.processor for one, many in costs),
            middle(chunks * many.ranking / one.ranking for one, many in costs),
        ],
    }
    threads = given.threads or torch.get_num_threads()
    print(f"\n{given.epochs} epochs, threads of the batched runs: {threads}; target: {TARGET}\n")
    print("| | seconds by the clock | of the processor | of these in rankings, by the clock |")
    print("| --- | --- | --- | --- |")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
    training = rows[f"{given.repeats} runs, {given.chunk} at once"]
    speed = given.repeats * products / (training[0] - training[2]) / 1e9
    print(
        f"\nMatrix products of the training: {products / 1e9:.0f} GFLOP a run, "
        f"{speed:.0f} GFLOP/s in the batched runs"
    )


if __name__ == "__main__":
    main()

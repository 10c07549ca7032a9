"""Seconds and memory of one round of Bayesian optimization with 100 labels on a large space.

NASP_DATA=<folder> python experiments/speed/search_round.py [--labels 100] [--rounds 3]

All 423,624 cells of NAS-Bench-101 (their graphs; the labels are made up, since only speed is asked
for). One thread, if OMP_NUM_THREADS=1 says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nasp_lightning.benchmark.csv import load_table
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.search.base import fit_labelled
from nasp_lightning.search.bayesian_optimization import BayesianOptimization
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.surrogate import TableSurrogate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    path = Path(os.environ["NASP_DATA"]) / "nasbench101" / "graphs_423624.csv.gz"
    table = load_table(path, "nasbench101_graphs")
    rng = np.random.default_rng(0)
    depth = np.asarray(table.adjacency).sum((1, 2)) + (table.operations == 1).sum(1)
    labels = (0.8 + 0.005 * depth + 0.005 * rng.standard_normal(len(table)))[:, None]
    metric = labels.astype(np.float32)
    table = replace(table, metrics={"cifar10/test_accuracy/108": metric})
    config = compose_config(["job=search", "benchmark=nasbench101", "predictor=multiview"])
    space = NASBench101()
    evaluator = TableEvaluator(table, space, epochs=108)
    print(f"before: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    search = BayesianOptimization(options.labels + 2 * options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        info = RunInfo.of(config)
        surrogate = TableSurrogate(StudySettings.of(info), table, space, Path(folder))
        evaluator.evaluate(evaluator.sample(rng, options.labels))
        for number in range(options.rounds):
            began = time.perf_counter()
            fit_labelled(surrogate, evaluator, rng, further=True)
            evaluator.evaluate(search.choose(evaluator, surrogate, rng, 2))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"round {number + 1}: {time.perf_counter() - began:.1f} s, "
                f"{evaluator.labels_used} labels, peak {peak:.2f} GiB",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What the multi-view process costs beside TNASP, on one thread, by seconds of the processor.

Fit and ranking of NAS-Bench-201 at 469 labels beside TNASP's recipe (a share of its epochs, as
``peers.py`` counts them), and the ranking of all 423,624 graphs of NAS-Bench-101 after 172 labels
beside TNASP's ``score_all``. All in one run; the process's fit includes its cross-validation.

    OMP_NUM_THREADS=1 NASP_DATA=<folder> python experiments/speed/multiview.py [--share 0.1]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peers import LABELS, cost
from ranking import whole_space

from nasp_lightning import load_benchmark
from nasp_lightning.benchmark.nasbench101 import load_table
from nasp_lightning.predictor.multiview import MultiView
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.study.settings import StudySettings, make_data

FEW = 172  # labels of NAS-Bench-101


def seconds(work: Callable[[], Any]) -> float:
    """Of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def fitted(space: Any, table: Any, labels: int) -> tuple[float, MultiView, Any]:
    """Seconds of a fit, the process and its data."""
    config = compose_config(
        [f"benchmark={space.name}", "predictor=multiview", f"data.train_size={labels}"]
    )
    data = make_data(StudySettings.of(RunInfo.of(config)), table, space)
    process = MultiView(data.shape)
    rows, known = data.training_indices, data.training_labels.double().numpy()
    return seconds(lambda: process.fit(data.graphs[rows], known)), process, data


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of TNASP's epochs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    table = load_benchmark("nasbench201")
    config = compose_config(["+experiment=nb201_tnasp", f"data.train_size={LABELS}"])
    tnasp = cost(config, table, given.share)
    fit, process, data = fitted(NASBench201(), table, LABELS)
    rank = seconds(lambda: process.score(data.graphs))
    print(f"\nNAS-Bench-201, {LABELS} labels (target: at most TNASP's)\n")
    print("| | fit (CPU s) | ranking 15,625 (CPU s) | both / TNASP's |")
    print("| --- | --- | --- | --- |")
    print(f"| tnasp | {tnasp.fit:.1f} | {tnasp.ranking:.2f} | 1 |")
    share = (fit + rank) / (tnasp.fit + tnasp.ranking)
    print(f"| multiview | {fit:.1f} | {rank:.2f} | {share:.3f} |")
    known = load_table(partial=True, fetch=False)
    space = whole_space(Path(os.environ["NASP_DATA"]))
    _, process, _ = fitted(NASBench101(), known, FEW)
    network = TNASP(NASBench101().shape).eval()
    theirs = seconds(lambda: score_all(network, space))
    ours = seconds(lambda: process.score(space))
    print(f"\nAll {len(space):,} graphs of NAS-Bench-101, {FEW} labels (target: at most 3)\n")
    print("| | ranking (CPU s) | / TNASP's |")
    print("| --- | --- | --- |")
    print(f"| tnasp | {theirs:.1f} | 1 |")
    print(f"| multiview | {ours:.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()

"""How well NAS-Bench-201's validation labels can rank test accuracies at all: ceiling.md.

Kendall's tau to mean test accuracy over all 15,625 of (a) mean validation accuracy itself, (b) its
mean over cells that compute the same, and for CIFAR-10 (c) the multi-view process fitted on those
means of all, which takes minutes and 4 GB.

    NASP_DATA=<folder> python experiments/multiview/ceiling.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from scipy.stats import kendalltau

from nasp_lightning.predictor.multiview import MultiView
from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.study.settings import StudySettings, make_data


def classes_of(graphs, shape) -> np.ndarray:  # type: ignore[no-untyped-def, type-arg]
    """``[N]`` number of each cell's class: the same live graph, up to the order of its vertices.

    A vertex is hashed with what it hashes of the vertices before it, and of those after it.
    """
    live = live_graphs(graphs, shape)
    kinds = (live.kinds.argmax(2) + 1).astype(np.uint64) * live.kinds.any(2)
    edges = np.rint(live.edges).astype(np.uint64)
    before, after = (
        _hashed(kinds, edges),
        _hashed(kinds[:, ::-1], edges.transpose(0, 2, 1)[:, ::-1, ::-1]),
    )
    whole = _mixed(before * np.uint64(3) + _mixed(after[:, ::-1])).sum(1, dtype=np.uint64)
    return np.unique(whole, return_inverse=True)[1].reshape(-1)


def _hashed(kinds: np.ndarray, edges: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """``[N, V]`` hash of each vertex with all that leads to it; 0 where a place is empty."""
    hashes = np.zeros_like(kinds)
    for vertex in range(kinds.shape[1]):
        arriving = (edges[:, :vertex, vertex] * hashes[:, :vertex]).sum(1, dtype=np.uint64)
        own = _mixed(_mixed(kinds[:, vertex]) + arriving)
        hashes[:, vertex] = np.where(kinds[:, vertex] > 0, own, np.uint64(0))
    return hashes


def _mixed(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """SplitMix64's finalizer: every bit of the input moves every bit of the output."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def main() -> None:
    """Measure and write."""
    space, table, lines = NASBench201(), None, []
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        words = ["benchmark=nasbench201", "benchmark.source=csv", f"benchmark.dataset={dataset}"]
        config = compose_config([*words, "predictor=multiview", "data.train_size=78"])
        table = table or instantiate(config["benchmark"]["table"])
        data = make_data(StudySettings.of(RunInfo.of(config)), table, space)
        classes = classes_of(data.graphs, space.shape)
        count = int(classes.max()) + 1
        means = np.bincount(classes, data.all_labels) / np.bincount(classes)
        every = [data.all_labels, means[classes]]
        if dataset == "cifar10":
            first = np.unique(classes, return_index=True)[1]
            process = MultiView(space.shape, calibrated=False)
            labels = (means - means.mean()) / means.std()
            process.fit(data.graphs[torch.from_numpy(first)], labels)
            every.append(process.score(data.graphs))
        taus = [f"{kendalltau(scores, data.true_accuracy)[0]:.3f}" for scores in every]
        taus += [""] * (3 - len(taus))
        lines.append(f"| {dataset} | {count:,} | " + " | ".join(taus) + " |")
        print(lines[-1], flush=True)
    head = (
        "| data set | classes | validation accuracy | mean of the class | multiview, all labels |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
    )
    path = Path(__file__).resolve().parent / "ceiling.md"
    path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

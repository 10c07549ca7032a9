"""Fit the multi-view process and the plain one on every split and seed, all in one process.

What ``nasp -m +experiment=nb201_multiview +split=… seed=…`` does, in the same run folders, with
each table read once; beside ``results.json``, how often intervals of several levels hold held-out
labels goes to ``reliability.json``. Started again, it does only what is missing.

    NASP_DATA=<folder> python experiments/multiview/measure.py [--runs runs] [PART[=SEEDS]...]
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate

from nasp_lightning.job.train_predictor import Fit, fit_and_rank
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.multiview import MultiView
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import config_hash, finished_results
from nasp_lightning.storage import write_json
from nasp_lightning.study.classical import CALIBRATION_SIZE

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
BOTH = ("multiview", "gaussian_process")
ABLATION = {
    "equal weights of families": "predictor.weighted=false",
    "without contracted": "predictor.views=[features,subtrees,mean,root,places]",
    "without subtrees": "predictor.views=[features,contracted,mean,root,places]",
    "without networks": "predictor.views=[features,contracted,subtrees,places]",
    "without places": "predictor.views=[features,contracted,subtrees,mean,root]",
    "one process": "predictor.averaged=false",
    "features alone": "predictor.views=[features]",
    "subtrees alone": "predictor.views=[subtrees]",
    "networks alone": "predictor.views=[mean,root]",
    "labels as they are": "predictor.targets=raw",
}


def nb101(splits: tuple[str, ...], predictors: tuple[str, ...] = BOTH) -> Iterator[list[str]]:
    """Words of runs on the 20,001 architectures of NAS-Bench-101."""
    file = Path(os.environ["NASP_DATA"]) / "nasbench101" / "nasbench101_20001.tfrecord"
    for split, predictor in itertools.product(splits, predictors):
        words = [f"benchmark.path={file}", "benchmark.partial=true", f"+split={split}"]
        yield [f"+experiment=nb101_{predictor}", *words]


def nb201(
    splits: tuple[str, ...], dataset: str = "cifar10", predictors: tuple[str, ...] = BOTH
) -> Iterator[list[str]]:
    """Words of runs on NAS-Bench-201."""
    for split, predictor in itertools.product(splits, predictors):
        words = ["benchmark.source=csv", f"benchmark.dataset={dataset}", f"+split={split}"]
        yield [f"+experiment=nb201_{predictor}", *words]


def plain(space: str, sizes: tuple[int, ...]) -> Iterator[list[str]]:
    """Words of runs on a benchmark without published splits."""
    for size, predictor in itertools.product(sizes, BOTH):
        yield [f"+experiment={space}_{predictor}", f"data.train_size={size}"]


def ablation() -> Iterator[list[str]]:
    """Words of runs that lack a part."""
    own = ("multiview",)
    for word in ABLATION.values():
        for words in (
            *nb201(("78_all", "469_all"), predictors=own),
            *nb101(("100_all", "424_all"), predictors=own),
        ):
            yield [*words, word]


PROXIES = "epe_nas,fisher,flops,grad_norm,grasp,jacov,l2_norm,nwot,params,plain,snip,synflow,zen"


def proxies() -> Iterator[list[str]]:
    """Words of runs with thirteen zero-cost proxies: as a view, as a prior mean, and alone."""
    for words in nb201(("78_all", "156_all"), predictors=("multiview",)):
        for more in ([], ["predictor.trend=true"], ["predictor.views=[inputs]"]):
            yield [*words, f"data.features=[{PROXIES}]", *more]


def parts() -> dict[str, tuple[list[list[str]], int | None]]:
    """What there is to run, in order, with the number of seeds where it is not the default."""
    unseen = [*nb201(("78_all", "156_all", "469_all"), "cifar100")]
    unseen += nb201(("78_all", "156_all", "469_all"), "ImageNet16-120")
    return {
        "nb201": ([*nb201(("78_all", "156_all", "469_all"))], None),
        "nb101": ([*nb101(("100_all", "172_all", "424_all"))], None),
        "unseen": (unseen, None),
        "macro": ([*plain("macro", (50, 100, 200))], None),
        "spikenas": ([*plain("spikenas", (78, 156, 469))], None),
        "large": ([*nb201(("781_all", "1563_all"))], None),
        "largest": ([*nb101(("4236_all",))], None),
        "ablation": ([*ablation()], 3),
        "proxies": ([*proxies()], 5),
        "test100": ([*nb101(("424_test100",))], None),
    }


def reliability(fit: Fit) -> dict[str, Any]:
    """Shares of held-out labels inside intervals of several levels."""
    data, predictor = fit.data, fit.predictor
    assert isinstance(predictor, MultiView | GaussianProcess)
    test = data.split.test
    held = test[~np.isin(test, data.train_indices) & ~np.isnan(data.all_labels[test])]
    rng = np.random.default_rng([data.seed, 2])
    held = rng.choice(held, min(CALIBRATION_SIZE, len(held)), replace=False)
    labels = data.normalise(data.all_labels[held]).double().numpy()
    mean, deviation = predictor._moments(data.graphs[torch.from_numpy(held)])  # once for all
    coverage = []
    for level in LEVELS:
        low, high = predictor._targets.interval(mean, deviation, level)
        coverage.append(float(((low <= labels) & (labels <= high)).mean()))
    return {"levels": list(LEVELS), "coverage": coverage, "architectures": len(held)}


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    tables: dict[str, Any] = {}
    for name in options.parts or parts():
        name, _, seeds = name.partition("=")
        every, most = parts()[name]
        for seed in range(int(seeds) if seeds else min(options.seeds, most or options.seeds)):
            for words in every:
                config = compose_config([*words, f"seed={seed}"])
                folder = options.runs / config["name"] / config_hash(config)
                if finished_results(folder, config_hash(config)) is not None:
                    continue
                key = str(config["benchmark"]["table"])
                if key not in tables:
                    tables[key] = instantiate(config["benchmark"]["table"])
                began = time.process_time()
                fit = fit_and_rank(RunInfo.of(config), folder, tables[key])
                write_json(folder / "reliability.json", reliability(fit))
                results = fit.results
                print(
                    *(name, config["name"], results["dataset"], results["split"], f"seed {seed}"),
                    *(f"{results['kendall_tau']:.4f}", f"{results['calibration']['coverage']:.3f}"),
                    f"{time.process_time() - began:.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""Kendall's tau over NAS-Bench-201 when some of 78 label equivalents are bought after 12 epochs.

    NASP_DATA=<folder> python experiments/search/levels.py [--seeds 5] [--dataset cifar10]

The chain of processes that ``search=multi_fidelity`` fits, on random architectures. The CSV's
accuracies at 12 epochs are test accuracies of one run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from nasp_lightning.job.search import SearchJob
from nasp_lightning.metric.functional import kendall_tau
from nasp_lightning.run.compose import compose_config
from nasp_lightning.run.config import RunInfo
from nasp_lightning.study.levels import TableLevels

COST, LABELS = 0.06, 78


def main() -> None:
    """Print tau for several numbers of lower labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dataset", default="cifar10")
    options = parser.parse_args()
    words = ["job=search", "search=multi_fidelity", "predictor=multiview", "benchmark=nasbench201"]
    words += ["benchmark.source=csv", f"benchmark.dataset={options.dataset}"]
    config = compose_config([*words, f"evaluator.fidelities={{12:{COST}}}", "search.labels=78"])
    with tempfile.TemporaryDirectory() as folder:
        job = SearchJob(RunInfo.of(config), Path(folder))
        job.prepare()
        surrogate, evaluator = job.surrogate, job.evaluator
        assert isinstance(surrogate, TableLevels)
        items = evaluator.everything
        for lower in (200, 400, 500):
            full = int(LABELS - COST * lower + 1e-9)
            taus = []
            for seed in range(options.seeds):
                evaluator.reset()
                surrogate.restart()
                rows = np.random.default_rng(seed).permutation(len(items))
                early = [items[row] for row in rows[:lower]]
                late = [items[row] for row in rows[:full]]
                levels = [(early, evaluator.evaluate_at("12", early))]
                surrogate.refit_levels([*levels, (late, evaluator.evaluate(late))], seed)
                taus.append(kendall_tau(surrogate.belief(items).mean, evaluator.truth))
            print(
                f"{lower} labels at 12 epochs ({COST * lower:g} label equivalents) and {full} full "
                f"ones: tau {np.mean(taus):.3f} ± {np.std(taus, ddof=1):.3f}, {len(taus)} seeds",
                flush=True,
            )


if __name__ == "__main__":
    main()

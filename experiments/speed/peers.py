"""What the peers cost beside TNASP: PINAT's fit, and every neural predictor's ranking.

Each predictor's own recipe on 469 labels of NAS-Bench-201, then the ranking of its 15,625
architectures, on one thread, by seconds of the processor. A fit is measured over a share of its
epochs, all predictors in turn in every round, and stands for the whole: setting up once, plus
the time of an epoch times the recipe's epochs (an early stop makes the fit shorter than that).

    OMP_NUM_THREADS=1 python experiments/speed/peers.py [--share 0.1] [--rounds 3] [--only pinat]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from nasp_lightning import load_benchmark
from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import resolved
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.shipped import conf_dir
from nasp_lightning.study.neural import fit, make_task
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Study, new_predictor

LABELS = 469
PEERS = ("tnasp", "pinat", "neural_predictor", "nao", "brp", "bonas", "mlp")
FIT_TARGET, RANKING_TARGET = 1.5, 0.05


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor: the whole fit, extrapolated, and the ranking."""

    fit: float
    ranking: float


def trained(config: dict[str, Any], table: Any, epochs: int) -> tuple[float, Any, Any]:
    """Seconds of a fit of some epochs, the predictor and its data."""
    settings = StudySettings.of(RunInfo.of(config))
    data = Study.open(settings, table).data
    torch.manual_seed(settings.seed)
    predictor = new_predictor(settings.predictor, data)
    assert isinstance(predictor, GradientPredictor)
    task = make_task(settings, predictor, data)
    framework = Supervised()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        fit(settings, Path(folder), task, data, framework, framework.prepare(task, data, epochs))
        return time.process_time() - began, predictor, data


def cost(config: dict[str, Any], table: Any, share: float) -> Cost:
    """Of one predictor, in this round."""
    whole = config["trainer"]["max_epochs"]
    some = max(2, round(share * whole))
    seconds, predictor, data = trained(config, table, some)
    if some < whole:
        first, _, _ = trained(config, table, 1)
        seconds = first + max(seconds - first, 0.0) / (some - 1) * (whole - 1)
    began = time.process_time()
    score_all(predictor, data.graphs)
    return Cost(seconds, time.process_time() - began)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--share", type=float, default=0.1, help="of each recipe's epochs")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    given = arguments.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    register_resolvers()
    names = ["tnasp", *(name for name in given.only if name != "tnasp")]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        configs = {
            name: resolved(
                compose("config", [f"+experiment=nb201_{name}", f"data.train_size={LABELS}"])
            )
            for name in names
        }
    table = load_benchmark("nasbench201")
    for name in names:  # whatever happens once only
        trained(configs[name], table, 1)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(given.rounds):
        for name in names:
            costs[name].append(cost(configs[name], table, given.share))
    report(costs)


def report(costs: dict[str, list[Cost]]) -> None:
    """Both ratios, as medians over the rounds of what one round measured side by side."""
    print(
        f"\n1 thread, {LABELS} labels; targets: PINAT's fit at most {FIT_TARGET} of TNASP's, "
        f"ranking under {RANKING_TARGET:.0%} of the own fit\n"
    )
    print("| predictor | fit (CPU s) | fit / TNASP's | ranking 15,625 (CPU s) | ranking / fit |")
    print("| --- | --- | --- | --- | --- |")
    for name, mine in costs.items():
        ratios = [a.fit / b.fit for a, b in zip(mine, costs["tnasp"], strict=True)]
        shares = [one.ranking / one.fit for one in mine]
        print(
            f"| {name} | {statistics.median(one.fit for one in mine):.1f} "
            f"| {statistics.median(ratios):.3f} "
            f"| {statistics.median(one.ranking for one in mine):.2f} "
            f"| {statistics.median(shares):.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Whether synflow, snip and grasp as computed here rank networks as a published file does.

NAS-Bench-201's architectures at even distances of the file's synflow, networks of full size at
their first weights, one batch of 64 images of CIFAR-10; Spearman's and Kendall's correlation with
``zero_cost_proxies_9445.csv.gz``. What is computed is kept, so a killed run goes on.

    python experiments/siamese_figure8_synflow/proxies.py [--count 100] --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr

from nasp_lightning.benchmark.csv import load_table
from nasp_lightning.benchmark.format.files import find_file
from nasp_lightning.data.proxies import proxy_files
from nasp_lightning.estimation_code.proxy import ProxyCode
from nasp_lightning.image.cifar import load_cifar
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.storage import csv_text, write_text

NAMES = ["synflow", "snip", "grasp"]
FIELDS = ("proxy", "architectures", "batch_size", "seed", "spearman", "kendall_tau")
BATCH = 64


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=100)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0], help="weights and batches")
    arguments.add_argument("--csv", type=Path, required=True)
    given = arguments.parse_args()
    path = find_file("nasbench201", proxy_files("nasbench201"))
    if path is None:
        raise SystemExit("zero_cost_proxies_9445.csv.gz is not under NASP_DATA")
    table = load_table(path, "zero_cost_proxies", benchmark="zero_cost_proxies")
    order = table.costs["proxy/synflow"].argsort()
    dead = 1000  # networks without a path: their proxies are not numbers in the file's sense
    rows = order[np.linspace(dead, len(order) - 1, given.count).astype(int)]
    lines: list[list[object]] = []
    for seed in given.seeds:
        code = ProxyCode(
            table,
            NAMES,
            network=NASBench201Network,
            images=load_cifar,
            batch_size=BATCH,
            seed=seed,
        )
        computed = code.codes(rows)
        for column, name in enumerate(NAMES):
            shipped = table.costs[f"proxy/{name}"][rows]
            spearman = float(spearmanr(computed[:, column], shipped).statistic)
            tau = float(kendalltau(computed[:, column], shipped)[0])
            lines.append([name, given.count, BATCH, seed, spearman, tau])
            print(f"{name}, seed {seed}: Spearman {spearman:.3f}, Kendall {tau:.3f}")
    write_text(given.csv, csv_text(FIELDS, lines))


if __name__ == "__main__":
    main()

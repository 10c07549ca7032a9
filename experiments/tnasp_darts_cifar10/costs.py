"""Parameters and multiply-adds of DARTS' child networks: extremes, random and searched ones.

    python experiments/tnasp_darts_cifar10/costs.py [best.json …]

writes ``costs.csv`` beside this file: 36 channels, 20 cells, without the auxiliary head.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from nasp_lightning.network.darts import DartsNetwork
from nasp_lightning.space.darts import Darts
from nasp_lightning.storage import csv_text, write_text

RANDOM = 10_000
INPUTS = ((0, 1), (0, 2), (0, 3), (0, 4))  # of the extremes: any inputs of normal cells cost alike
# Liu et al.'s second-order cells, whose size is known: 3.3 M parameters.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def uniform(operation: str) -> str:
    cell = str([(operation, state) for pair in INPUTS for state in pair])
    return (
        f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={cell}, "
        "reduce_concat=range(2, 6))"
    )


def main() -> None:
    space = Darts()
    texts = {
        "max pooling everywhere": uniform("max_pool_3x3"),
        "separable 5x5 everywhere": uniform("sep_conv_5x5"),
        "DARTS (second order)": DARTS_V2,
    }
    for file in sys.argv[1:]:
        texts[f"searched: {file}"] = json.loads(Path(file).read_text(encoding="utf-8"))["text"]
    pairs = [space.from_string(text) for text in texts.values()]
    costs = DartsNetwork.costs(np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs]))
    rows = [
        [name, int(costs["parameters"][row]), int(costs["macs"][row])]
        for row, name in enumerate(texts)
    ]
    costs = DartsNetwork.costs(*space.sample(np.random.default_rng(0), RANDOM))
    for name, share in (("5 %", 0.05), ("median", 0.5), ("95 %", 0.95)):
        quantiles = [int(np.quantile(costs[cost], share)) for cost in ("parameters", "macs")]
        rows.append([f"{name} of {RANDOM:,} random ones", *quantiles])
    path = Path(__file__).with_name("costs.csv")
    write_text(path, csv_text(["network", "parameters", "multiply_adds"], rows))
    for row in rows:
        print(f"{row[0]:32} {row[1] / 1e6:6.2f} M parameters {row[2] / 1e6:8.1f} M multiply-adds")


if __name__ == "__main__":
    main()

"""Parameters and multiply-adds of the MobileNet-like space: extremes, random ones, searched ones.

    python experiments/tnasp_table8_imagenet/costs.py [best.json …]

writes ``costs.csv`` beside this file. Each row's numbers are those of the network itself (counted
by the same arithmetic that the search uses, which the tests check against built modules).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from nasp_lightning.network.mobilenet import MobileNetNetwork
from nasp_lightning.space.mobilenet import IDENTITY, MobileNet
from nasp_lightning.storage import csv_text, write_text

RANDOM = 10_000
# Searched networks whose layers are published: RLNAS's code has its own.
PUBLISHED = {"RLNAS (published layers)": "206220240442424200022"}


def main() -> None:
    space = MobileNet()
    least = [0 if place.first else IDENTITY for place in space.places]
    texts = {"smallest": "".join(map(str, least)), "largest": "5" * space.layers, **PUBLISHED}
    for file in sys.argv[1:]:
        texts[f"searched: {file}"] = json.loads(Path(file).read_text(encoding="utf-8"))["text"]
    operations = np.stack([space.from_string(text)[0] for text in texts.values()])
    costs = MobileNetNetwork.costs(operations, space=space)
    rows = [
        [name, text, int(costs["parameters"][row]), int(costs["macs"][row])]
        for row, (name, text) in enumerate(texts.items())
    ]
    drawn = space.sample(np.random.default_rng(0), RANDOM)[0]
    costs = MobileNetNetwork.costs(drawn, space=space)
    for name, share in (("5 %", 0.05), ("median", 0.5), ("95 %", 0.95)):
        quantiles = [int(np.quantile(costs[cost], share)) for cost in ("parameters", "macs")]
        rows.append([f"{name} of {RANDOM:,} random ones", "", *quantiles])
    path = Path(__file__).with_name("costs.csv")
    write_text(path, csv_text(["network", "layers", "parameters", "multiply_adds"], rows))
    for row in rows:
        print(f"{row[0]:32} {row[2] / 1e6:6.2f} M parameters {row[3] / 1e6:8.1f} M multiply-adds")


if __name__ == "__main__":
    main()

"""Tiny CSV benchmarks."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from nasp_lightning.space.nasbench201 import NASBench201

CODES = ["421211", "334131", "000000", "012340"]
HEADER = ["code", "name", "a0", "a1", "params", "mflops", "synflow", "l1", "l2"]


def rows() -> list[list[str]]:
    space = NASBench201()
    return [
        [
            code,
            space.to_string(np.array([int(digit) for digit in code])),
            f"{50 + row}",
            "" if row == 1 else f"{60 + row}",
            f"{1000 + row}",
            f"{row}.5",
            f"-{row}e30",
            "2.25",
            "1.5",
        ]
        for row, code in enumerate(CODES)
    ]


def write(path: Path, body: list[list[str]], header: list[str] = HEADER) -> Path:
    text = "\n".join(",".join(cells) for cells in [header, *body]) + "\n"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path

"""How fast NAS-Bench-101 is read: 1,270,872 records converted, and the converted table opened.

    NASP_DATA=<folder> python experiments/speed/read_nasbench101.py [FILE]

FILE is an official file, or any of its size in the same format. Without it, one is written from
NASP_DATA's ``nasbench101/graphs_423624.csv.gz``: the real graphs three times, with made-up
metrics. The yardstick is a loop that only follows the framing and calls ``json.loads``.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import resource, time, json, sys
import numpy as np
import google_crc32c, safetensors.numpy
from pathlib import Path
from nasp_lightning.benchmark.table import BenchmarkTable
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = peak(), time.perf_counter()
table = BenchmarkTable.open(Path(sys.argv[1]))
print(json.dumps([time.perf_counter() - start, peak() - before, len(table)]))
"""


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, seconds of the processor, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def yardstick(path: Path) -> int:
    """Follow the framing and parse each record's JSON; nothing else."""
    count = 0
    with open(path, "rb") as file:
        while header := file.read(12):
            (length,) = struct.unpack("<Q", header[:8])
            json.loads(file.read(length))
            file.read(4)
            count += 1
    return count


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(file: Path, cache: Path) -> None:
    from nasp_lightning.benchmark.nasbench101 import load_table
    from nasp_lightning.benchmark.nasbench101_records import convert

    os.environ["NASP_CACHE"] = str(cache)
    wall, cpu, records = timed(lambda: yardstick(file))
    print(f"{file.name}: {records:,} records, {file.stat().st_size / 1e6:,.0f} MB\n")
    print("| step | wall s | CPU s | CPU / yardstick |")
    print("| --- | --- | --- | --- |")
    print(f"| framing and json.loads (the yardstick) | {wall:.2f} | {cpu:.2f} | 1.00 |")
    base, memory = cpu, peak_mb()
    wall, cpu, _ = timed(lambda: convert(file))
    extra = peak_mb() - memory
    print(f"| reading: convert(), all checks | {wall:.2f} | {cpu:.2f} | {cpu / base:.2f} |")
    wall, cpu, table = timed(lambda: load_table(path=file, partial=True))
    print(
        "| load_table(): the same with SHA-256, saving, opening "
        f"| {wall:.2f} | {cpu:.2f} | {cpu / base:.2f} |"
    )
    print(f"\nmemory while reading: {extra:,.0f} MB above the start")
    (saved,) = (cache / "tables").glob("nasbench101-*.safetensors")
    print(f"table: {len(table):,} architectures, {saved.stat().st_size / 1e6:,.0f} MB\n")
    print("| opening the table in a new process | s | MB above the start |")
    print("| --- | --- | --- |")
    for attempt in range(1, 4):
        command = [sys.executable, "-c", OPEN, str(saved)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, megabytes, _ = json.loads(done.stdout)
        print(f"| {attempt} | {seconds:.3f} | {megabytes:,.0f} |")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            measure(Path(sys.argv[1]), Path(folder))
            return
        sys.path.insert(0, str(ROOT))
        from tests.benchmark.nasbench101_files import write_large

        graphs = Path(os.environ.get("NASP_DATA", ".")) / "nasbench101" / "graphs_423624.csv.gz"
        if not graphs.is_file():
            sys.exit(f"{graphs} is absent: set NASP_DATA to its folder, or name a file to read")
        file = Path(folder) / "generated.tfrecord"
        seconds, _, _ = timed(lambda: write_large(file, graphs))
        print(f"generated in {seconds:.0f} s: the real graphs, made-up metrics")
        measure(file, Path(folder))


if __name__ == "__main__":
    main()

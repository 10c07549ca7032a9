"""How fast NAS-Bench-101 is read: 1,270,872 records converted, and the converted table opened.

    NASP_DATA=<folder> python experiments/speed/read_nasbench101.py [FILE]

FILE is an official file, or any of its size in the same format. Without it, one is written from
NASP_DATA's ``nasbench101/graphs_423624.csv.gz``: the real graphs three times, with made-up
metrics. The yardstick is a loop that only follows the framing and calls ``json.loads``.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


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
    """Peak resident memory of this process (Linux); ru_maxrss would inherit the parent's."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def in_new_process(step: str, file: Path) -> Any:
    """Run one of :data:`STEPS` where nothing else has used memory."""
    command = [sys.executable, str(Path(__file__).resolve()), "--step", step, str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def step_yardstick(file: Path) -> list[float]:
    wall, cpu, records = timed(lambda: yardstick(file))
    return [wall, cpu, records]


def step_convert(file: Path) -> list[float]:
    from nasp_lightning.benchmark.format.nasbench101_records import convert

    before = peak_mb()
    wall, cpu, table = timed(lambda: convert(file))
    return [wall, cpu, len(table), peak_mb() - before]


def step_load(file: Path) -> list[float]:
    from nasp_lightning.benchmark.nasbench101 import load_table

    wall, cpu, table = timed(lambda: load_table(path=file, partial=True))
    return [wall, cpu, len(table)]


def step_open(file: Path) -> list[float]:
    import google_crc32c  # noqa: F401
    import safetensors.numpy  # noqa: F401

    from nasp_lightning.benchmark.base import BenchmarkTable

    before = peak_mb()
    wall, cpu, table = timed(lambda: BenchmarkTable.open(file))
    return [wall, cpu, len(table), peak_mb() - before]


STEPS = {
    "yardstick": step_yardstick,
    "convert": step_convert,
    "load": step_load,
    "open": step_open,
}


def measure(file: Path, cache: Path) -> None:
    os.environ["NASP_CACHE"] = str(cache)
    wall, base, records = in_new_process("yardstick", file)
    print(f"{file.name}: {records:,} records, {file.stat().st_size / 1e6:,.0f} MB\n")
    print("| step | wall s | CPU s | CPU / yardstick |")
    print("| --- | --- | --- | --- |")
    print(f"| framing and json.loads (the yardstick) | {wall:.2f} | {base:.2f} | 1.00 |")
    wall, cpu, architectures, extra = in_new_process("convert", file)
    print(f"| reading: convert(), all checks | {wall:.2f} | {cpu:.2f} | {cpu / base:.2f} |")
    wall, cpu, _ = in_new_process("load", file)
    print(f"| load_table(): also SHA-256 and saving | {wall:.2f} | {cpu:.2f} | {cpu / base:.2f} |")
    print(f"\npeak memory of convert(): {extra:,.0f} MB above the start")
    (saved,) = (cache / "tables").glob("nasbench101-*.safetensors")
    print(f"table: {architectures:,} architectures, {saved.stat().st_size / 1e6:,.0f} MB\n")
    print("| opening the table in a new process | wall s | peak MB above the start |")
    print("| --- | --- | --- |")
    for attempt in range(1, 4):
        wall, _, _, extra = in_new_process("open", saved)
        print(f"| {attempt} | {wall:.3f} | {extra:,.0f} |")


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(STEPS[sys.argv[2]](Path(sys.argv[3]))))
        return
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

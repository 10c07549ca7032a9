"""What the stages of a chain cost in GPU-days, from what was measured; or what they would.

    python experiments/gpu_days.py runs/chain/darts_0
    python experiments/gpu_days.py --images-per-second 2500 --images 1281167 --epochs 120
    python experiments/gpu_days.py --from runs/…/results.json --images 1281167 --epochs 120

The first is of a chain's finished stages: it reads each one's ``results.json``. The others divide
images by a throughput: one that is given, or that a finished (short) run of the same network on
the same GPU had. A stage that ran on a CPU has no GPU-days: its seconds are shown and nothing is
converted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DAY = 86_400
STAGES = ("supernet", "sample", "search", "retrain")


def results_of(chain: Path, stage: str) -> dict[str, Any] | None:
    try:
        product = Path(json.loads((chain / f"{stage}.json").read_text(encoding="utf-8"))["path"])
        content = json.loads((product.parent / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return dict(content)


def seconds_of(stage: str, results: dict[str, Any]) -> float:
    if stage == "sample":
        return float(results["seconds_sum"])
    if stage == "search":
        return float(results["fit_seconds"]) + float(results["search_seconds"])
    return float(results["fit_seconds"])


def line(stage: str, results: dict[str, Any] | None) -> str:
    if results is None:
        return f"{stage:9} not finished"
    seconds, devices = seconds_of(stage, results), int(results.get("devices", 1))
    device = str(results.get("device", "cpu"))
    speed = results.get("images_per_second")
    told = f"{stage:9} {seconds:12,.1f} s on {devices} x {device}"
    if speed:
        told += f", {speed:,.0f} images/s"
    if device == "cpu":
        return f"{told}: no GPU"
    return f"{told}: {gpu_days(seconds, devices):.4f} GPU-days"


def gpu_days(seconds: float, devices: int = 1) -> float:
    return seconds * devices / DAY


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="GPU-days of a chain, measured or estimated")
    parser.add_argument("chain", nargs="?", type=Path, help="folder of paths.chain")
    parser.add_argument("--from", dest="run", type=Path, help="results.json with a throughput")
    parser.add_argument("--images-per-second", type=float, help="of all devices together")
    parser.add_argument("--images", type=int, help="of an epoch")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--devices", type=int, default=1)
    options = parser.parse_args(words)
    if options.chain is not None:
        for stage in STAGES:
            print(line(stage, results_of(options.chain, stage)))
        return
    speed = options.images_per_second
    if options.run is not None:
        results = json.loads(options.run.read_text(encoding="utf-8"))
        if results.get("device", "cpu") == "cpu":
            parser.error(f"{options.run} was measured on a CPU: GPU-days need a GPU's throughput")
        speed = float(results["images_per_second"]) * options.devices / int(results["devices"])
    if not (speed and options.images and options.epochs):
        parser.error("give a chain's folder, or a throughput with --images and --epochs")
    seconds = options.images * options.epochs / speed
    days = gpu_days(seconds, options.devices)
    print(
        f"{options.epochs} epochs of {options.images:,} images at {speed:,.0f} images/s: "
        f"{seconds / 3600:,.1f} hours on {options.devices} GPU(s), {days:.2f} GPU-days"
    )


if __name__ == "__main__":
    main()

"""Throughput of Estimation Codes: several networks in training on one device, or one after another.

What ``estimation_code.concurrent`` does: each network in flight has a process of its own, since
networks of different structures cannot share kernels. NAS-Bench-201's networks at full width, on a
shortened recipe; images are noise, which costs as much as CIFAR-10. The processes are started, and
have trained one network each, before the clock runs; both ways are measured in turn in every round.

    python experiments/speed/estimation_code.py [--concurrent 2] [--architectures 8] [--images 64]
        [--epochs 1] [--rounds 3] [--device cpu]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from nasp_lightning.estimation_code.computed import PlainImages
from nasp_lightning.estimation_code.train import LossComputation, Recipe
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.space.nasbench201 import from_index

Task = tuple[int, int, int, str]  # number of the architecture, images, epochs, device


def train(task: Task) -> float:
    """One network's short training; seconds of the processor that it took."""
    number, images, epochs, device = task
    pixels = np.random.default_rng(0).integers(0, 255, (images, 3, 32, 32), dtype=np.uint8)
    noise = PlainImages(pixels, np.arange(images) % 10, 10, "noise")
    recipe = Recipe(epochs=epochs, images=images)
    compute = LossComputation(NASBench201Network, noise, recipe, 0, torch.device(device))
    began = time.process_time()
    compute((from_index(np.array([number]))[0], None))
    return time.process_time() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--concurrent", type=int, default=2)
    arguments.add_argument("--architectures", type=int, default=8)
    arguments.add_argument("--images", type=int, default=64)
    arguments.add_argument("--epochs", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--device", default="cpu")
    given = arguments.parse_args()
    drawn = np.random.default_rng(0).choice(15_625, given.architectures, replace=False)
    tasks = [(int(number), given.images, given.epochs, given.device) for number in drawn]
    walls: dict[int, list[float]] = {1: [], given.concurrent: []}
    processor: dict[int, list[float]] = {1: [], given.concurrent: []}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.concurrent, mp_context=context) as pool:
        list(pool.map(train, [tasks[0]] * 2 * given.concurrent))  # warm
        train(tasks[0])
        for _ in range(given.rounds):
            for processes in walls:
                began = time.perf_counter()
                seconds = sum(map(train, tasks) if processes == 1 else pool.map(train, tasks))
                walls[processes].append(time.perf_counter() - began)
                processor[processes].append(seconds)
    report(given, walls, processor)


def report(
    given: argparse.Namespace, walls: dict[int, list[float]], processor: dict[int, list[float]]
) -> None:
    """Medians over the rounds."""
    steps = given.epochs * (given.images // Recipe().batch_size)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{given.architectures} networks of NAS-Bench-201, {steps} batches of 16 each, "
        f"{given.rounds} rounds, {given.device}, {os.cpu_count()} cores, load at the end {load:.1f}\n"
    )
    print("| networks in flight | seconds by the clock | of the processor | networks a minute |")
    print("| --- | --- | --- | --- |")
    for processes, found in walls.items():
        wall = statistics.median(found)
        cells = (wall, statistics.median(processor[processes]), 60 * given.architectures / wall)
        print(f"| {processes} | " + " | ".join(f"{value:.1f}" for value in cells) + " |")
    ratios = [one / many for one, many in zip(walls[1], walls[given.concurrent], strict=True)]
    print(
        f"\nThroughput of {given.concurrent} at once, of one after another: "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} by round)"
    )


if __name__ == "__main__":
    main()

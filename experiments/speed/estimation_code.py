"""Throughput of Estimation Codes: several networks in training on one device, or one after another.

What ``estimation_code.concurrent`` does: each network in flight has a process of its own, since
networks of different structures cannot share kernels. NAS-Bench-201's networks at full width, on a
shortened recipe; images are noise, which costs as much as CIFAR-10. The processes are started, and
have trained one network each, before the clock runs; both ways are measured in turn in every round.
Where other work keeps the cores busy, the clock shows little of a gain: the busiest process's own
seconds are what the work would take by the clock if each process had a core to itself.

    python experiments/speed/estimation_code.py [--concurrent 2] [--architectures 8] [--images 64]
        [--epochs 1] [--rounds 3] [--device cpu]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from nasp_lightning.estimation_code.train import LossComputation, Recipe
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.space.nasbench201 import from_index

Task = tuple[int, int, int, str]  # number of the architecture, images, epochs, device


def train(task: Task) -> tuple[int, float]:
    """One network's short training; the process, and seconds of the processor that it took."""
    number, images, epochs, device = task
    pixels = np.random.default_rng(0).integers(0, 255, (images, 3, 32, 32), dtype=np.uint8)
    noise = PlainImages(pixels, np.arange(images) % 10, 10, "noise")
    recipe = Recipe(epochs=epochs, images=images)
    compute = LossComputation(NASBench201Network, noise, recipe, 0, torch.device(device))
    began = time.process_time()
    compute((from_index(np.array([number]))[0], None))
    return os.getpid(), time.process_time() - began


def busiest(trained: Iterable[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of the processor of all processes, and of the one that had the most to do."""
    seconds: dict[int, float] = {}
    for process, spent in trained:
        seconds[process] = seconds.get(process, 0.0) + spent
    return sum(seconds.values()), max(seconds.values())


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
    processor: dict[int, list[tuple[float, float]]] = {1: [], given.concurrent: []}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.concurrent, mp_context=context) as pool:
        list(pool.map(train, [tasks[0]] * 2 * given.concurrent))  # warm
        train(tasks[0])
        for _ in range(given.rounds):
            for processes in walls:
                began = time.perf_counter()
                trained = list(map(train, tasks) if processes == 1 else pool.map(train, tasks))
                walls[processes].append(time.perf_counter() - began)
                processor[processes].append(busiest(trained))
    report(given, walls, processor)


def report(
    given: argparse.Namespace,
    walls: dict[int, list[float]],
    processor: dict[int, list[tuple[float, float]]],
) -> None:
    """Medians over the rounds."""
    middle, many = statistics.median, given.concurrent
    steps = given.epochs * (given.images // Recipe().batch_size)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{given.architectures} networks of NAS-Bench-201, {steps} batches of 16 each, "
        f"{given.rounds} rounds, {given.device}, {os.cpu_count()} cores, load at last {load:.1f}\n"
    )
    print("| in flight | by the clock, s | of the processor, s | of its busiest process, s |")
    print("| --- | --- | --- | --- |")
    for processes, found in walls.items():
        whole, most = (middle(values) for values in zip(*processor[processes], strict=True))
        print(f"| {processes} | {middle(found):.1f} | {whole:.1f} | {most:.1f} |")
    clock = [one / other for one, other in zip(walls[1], walls[many], strict=True)]
    own = [one[1] / other[1] for one, other in zip(processor[1], processor[many], strict=True)]
    print(f"\nThroughput of {many} at once, of one after another:")
    for name, ratios in (("by the clock", clock), ("by the busiest process", own)):
        print(f"- {name}: {middle(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} by round)")


if __name__ == "__main__":
    main()

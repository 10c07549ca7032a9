"""How fast TNASP ranks the whole of NAS-Bench-101 on a CPU, and whether the ranking is the same.

    OMP_NUM_THREADS=1 NASP_DATA=<folder> python experiments/speed/ranking.py [--rounds 7]

Yardstick: the same trained network in plain eager PyTorch (``F.linear`` everywhere), batches of
256, same threads. Measurements take turns on equal samples, and medians of the ratios of
neighbouring measurements are printed, since other work on the machine comes and goes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import kendalltau
from torch import Tensor

from nasp_lightning.benchmark.nasbench101 import load_table
from nasp_lightning.predictor.part import transformer
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.nasbench101 import NASBench101

LABELS, EPOCHS = 172, 300
SAMPLE = 8192


def whole_space(folder: Path) -> Graphs:
    """Every graph of the space, 423,624 of them."""
    with gzip.open(folder / "nasbench101" / "graphs_423624.csv.gz", "rt") as file:
        rows = list(csv.reader(file))[1:]
    operations = np.full((len(rows), 7), 5, np.uint8)
    adjacency = np.zeros((len(rows), 7, 7), np.uint8)
    for index, (_, count, edges, interior) in enumerate(rows):
        size = int(count)
        bits = np.frombuffer(edges.encode(), np.uint8) - ord("0")
        adjacency[index, :size, :size] = bits.reshape(size, size)
        operations[index, :size] = [1, *(int(digit) + 2 for digit in interior), 0]
    return NASBench101().encode(operations, adjacency)


def trained(graphs: Graphs, accuracy: Tensor) -> TNASP:
    """TNASP's recipe on a few labels: weights as training leaves them."""
    torch.manual_seed(0)
    usable = (accuracy >= 0.2).nonzero().squeeze(1)
    chosen = usable[torch.randperm(len(usable))[:LABELS]]
    target = accuracy[chosen]
    target = ((target - target.mean()) / target.std()).float()
    predictor = TNASP(NASBench101().shape)
    optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-4, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    resident, steps, start = graphs[chosen], 0, time.process_time()
    for _ in range(EPOCHS):
        for batch in torch.randperm(LABELS)[: LABELS // 10 * 10].view(-1, 10):
            loss = F.mse_loss(predictor(resident[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        schedule.step()
    spent = (time.process_time() - start) / steps
    print(f"training: {LABELS} labels, {EPOCHS} epochs, {1e3 * spent:.2f} ms of CPU for each step")
    return predictor.eval()


@contextmanager
def ordinary_products() -> Iterator[None]:
    """PyTorch's own linear in the encoder: the yardstick must not profit from ours."""
    ours = transformer.linear

    def plain(
        value: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False
    ) -> Tensor:
        result = F.linear(value, weight, bias)
        return F.relu(result) if relu else result

    transformer.linear = plain
    try:
        yield
    finally:
        transformer.linear = ours


def eager(predictor: TNASP, graphs: Graphs) -> Tensor:
    with torch.inference_mode():
        starts = range(0, len(graphs), 256)
        return torch.cat([predictor(graphs[start : start + 256]) for start in starts])


def yardstick(predictor: TNASP, graphs: Graphs) -> Tensor:
    with ordinary_products():
        return eager(predictor, graphs)


def extra_memory(work: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    """Result, seconds, and peak resident megabytes above the start (Linux)."""

    def resident(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = resident("VmRSS"), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, resident("VmHWM") - before


def tau(one: Tensor, other: Tensor) -> float:
    return float(kendalltau(one.numpy(), other.numpy()).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    space = whole_space(Path(os.environ["NASP_DATA"]))
    table = load_table(partial=True, fetch=False)
    known = NASBench101().encode(table.operations, table.adjacency)
    accuracy = torch.from_numpy(table.metric("cifar10/validation_accuracy/108")[:, 0].copy())
    predictor = trained(known, accuracy)

    forms: dict[str, Callable[[Graphs], Tensor]] = {
        "plain eager, batches of 256": lambda graphs: yardstick(predictor, graphs),
        "the module as it is, batches of 256": lambda graphs: eager(predictor, graphs),
        "score_all, float32": lambda graphs: score_all(predictor, graphs),
        "score_all, bfloat16": lambda graphs: score_all(predictor, graphs, precision="bfloat16"),
    }
    names = list(forms)
    speed: dict[str, list[float]] = {name: [] for name in names}
    order = torch.randperm(len(space))
    for turn in range(rounds + 1):
        sample = space[order[turn * SAMPLE : (turn + 1) * SAMPLE]]
        for name in names:
            start = time.process_time()
            forms[name](sample)
            if turn:  # the first round warms up
                speed[name].append(SAMPLE / (time.process_time() - start))
    print(f"\n{torch.get_num_threads()} thread(s), {rounds} rounds of {SAMPLE} architectures\n")
    print("| form | architectures/s (CPU) | against plain eager | tau on 20,001 | tau to plain |")
    print("| --- | --- | --- | --- | --- |")
    exact = yardstick(predictor, known)
    usable = accuracy >= 0
    for name in names:
        ratio = statistics.median(
            mine / plain for mine, plain in zip(speed[name], speed[names[0]], strict=True)
        )
        found = forms[name](known)
        truth = tau(found[usable], accuracy[usable])
        print(
            f"| {name} | {statistics.median(speed[name]):,.0f} | {ratio:.2f} | {truth:.4f} "
            f"| {tau(found, exact):.5f} |"
        )
    pairs = zip(speed[names[3]], speed[names[2]], strict=True)
    print(f"\nbfloat16 against float32: {statistics.median(a / b for a, b in pairs):.2f}\n")
    print("| the whole space | s | extra MB | architectures |")
    print("| --- | --- | --- | --- |")
    for name in names[2:]:
        result, seconds, memory = extra_memory(lambda name=name: forms[name](space))  # type: ignore[misc]
        print(f"| {name} | {seconds:.1f} | {memory:.0f} | {len(result):,} |")


if __name__ == "__main__":
    main()

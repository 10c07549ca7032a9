"""What images cost: loading CIFAR-10 resident on the device, and a training step with and without.

Two comparisons, each side by side in every round:

- an epoch's batches (crop, flip, normalise, Cutout 16) of ``data=cifar10`` with those of a plain
  DataLoader of two workers, torchvision's transforms and the same Cutout over PIL images;
- a training step (NAS-Bench-201's network, batches of 96, SGD) with the images of ``data=cifar10``
  and with one batch that is used again and again.

On a machine that others use, seconds by the clock vary; those of the processor count all of a
loader's processes, divided by as many as there are workers, which is the best that they can do.

    NASP_DATA=… python experiments/speed/images.py [--images 10000] [--rounds 3] [--device cpu]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nasp_lightning.data.images import STATISTICS, ImageData
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.task.classifier import Classifier

LOADING, STEP = 3.0, 1.1  # targets: at least, at most
OPERATIONS = np.array([3, 3, 3, 1, 3, 3], dtype=np.uint8)  # 3×3 convolutions and a skip


class Plain(Dataset[Any]):
    """CIFAR as everyone loads it: an array of images, PIL, torchvision's transforms."""

    def __init__(self, data: ImageData) -> None:
        images = data.parts["train"]
        self.pixels = images.pixels.cpu().permute(0, 2, 3, 1).numpy()
        self.labels = images.labels.cpu().tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(*STATISTICS["cifar10"]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        image = self.transform(Image.fromarray(self.pixels[row]))
        y, x = np.random.randint(32, size=2)  # noqa: NPY002
        image[:, max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 0
        return image, self.labels[row]


class Cost:
    """Seconds by the clock and of the processor, children's included."""

    def __init__(self, work: Callable[[], None], device: torch.device) -> None:
        wall, processor = time.perf_counter(), _processor()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.wall = time.perf_counter() - wall
        self.processor = _processor() - processor


def _processor() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def consume(batches: Iterable[Any]) -> None:
    """Go through an epoch's batches."""
    for images, _ in batches:
        assert len(images)


def loading(data: ImageData, given: argparse.Namespace, device: torch.device) -> list[list[Cost]]:
    """Costs of an epoch, resident and by a DataLoader, in each round."""
    resident = data.train_dataloader()
    plain = DataLoader(
        Plain(data),
        data.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=given.workers,
        pin_memory=device.type == "cuda",
    )
    found = []
    for number in range(given.rounds + 1):  # the first warms up
        both = [Cost(lambda: consume(resident), device)]
        both.append(Cost(lambda: consume(_moved(plain, device)), device))
        found += [both] if number else []
    return found


def _moved(batches: Iterable[Any], device: torch.device) -> Iterable[Any]:
    for images, labels in batches:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def stepping(data: ImageData, given: argparse.Namespace, device: torch.device) -> list[list[Cost]]:
    """Costs of some steps, with an epoch's images and with one batch, in each round."""
    task = Classifier(NASBench201Network(OPERATIONS)).to(device)
    optimizer = torch.optim.SGD(task.network.parameters(), 0.025, 0.9)
    loader = data.train_dataloader()
    same = next(iter(loader))

    def steps(batches: Iterable[Any]) -> None:
        for _, batch in zip(range(given.steps), batches, strict=False):
            optimizer.zero_grad()
            task.loss(batch).backward()
            optimizer.step()

    found = []
    for number in range(given.rounds + 1):
        with_data = Cost(lambda: steps(loader), device)
        without = Cost(lambda: steps([same] * given.steps), device)
        found += [[with_data, without]] if number else []
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--images", type=int, default=10_000, help="of the training set")
    arguments.add_argument("--batch", type=int, default=96)
    arguments.add_argument("--steps", type=int, default=15)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=2, help="of the plain DataLoader")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--device", default="cpu")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    options = {"batch_size": given.batch, "train_images": given.images, "cutout": 16}
    data = ImageData("cifar10", **options).to(device)
    report(given, data, loading(data, given, device), stepping(data, given, device))


def report(
    given: argparse.Namespace, data: ImageData, loads: list[list[Cost]], steps: list[list[Cost]]
) -> None:
    """Medians over the rounds, and the ratios beside their targets."""
    seen = data.steps * data.batch_size
    print(f"\n{given.device}, {given.threads} threads, batches of {given.batch}\n")
    print("| | by the clock | of the processor |")
    print("| --- | --- | --- |")
    wall = [statistics.median(pair[side].wall for pair in loads) for side in (0, 1)]
    used = [statistics.median(pair[side].processor for pair in loads) for side in (0, 1)]
    used = [used[0] / given.threads, used[1] / max(1, given.workers)]
    for name, side in (("resident", 0), (f"DataLoader, {given.workers} workers", 1)):
        print(f"| {name}, images/s | {seen / wall[side]:,.0f} | {seen / used[side]:,.0f} |")
    ratios = [statistics.median(pair[1].wall / pair[0].wall for pair in loads), used[1] / used[0]]
    print(f"| ratio (at least {LOADING:g}) | {ratios[0]:.1f} | {ratios[1]:.1f} |")
    names = ("step with its images, ms", "step with one batch again and again, ms")
    for name, side in zip(names, (0, 1), strict=True):
        costs = [(pair[side].wall, pair[side].processor) for pair in steps]
        middle = [
            1000 * statistics.median(column) / given.steps for column in zip(*costs, strict=True)
        ]
        print(f"| {name} | {middle[0]:.1f} | {middle[1]:.1f} |")
    both = [
        statistics.median(pair[0].wall / pair[1].wall for pair in steps),
        statistics.median(pair[0].processor / pair[1].processor for pair in steps),
    ]
    print(f"| ratio (at most {STEP:g}) | {both[0]:.2f} | {both[1]:.2f} |")


if __name__ == "__main__":
    main()

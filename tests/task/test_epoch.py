from __future__ import annotations

import time

import torch

from nasp_lightning.task.epoch import EpochCounts

CPU = torch.device("cpu")


def test_sums_of_two_batches() -> None:
    counts = EpochCounts()
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    counts.add(torch.tensor(0.5, requires_grad=True), logits, torch.tensor([0, 1, 1]))
    counts.add(torch.tensor(1.5), logits[:1], torch.tensor([1]))
    assert counts.sums(CPU).tolist() == [2.0, 2.0, 2.0, 4.0]
    assert (counts.losses, counts.seen) == (2, 4)


def test_the_clock_stands_while_nothing_is_trained() -> None:
    counts = EpochCounts()
    time.sleep(0.02)
    counts.stop(CPU)
    trained = counts.seconds
    time.sleep(0.05)
    counts.go_on()
    counts.stop(CPU)
    assert 0.02 <= trained <= counts.seconds < trained + 0.04
    counts.seen = 10
    assert 0 < counts.rate() <= 10 / trained

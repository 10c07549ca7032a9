"""Neural Predictor and PINAT built a second time, straight from their papers, on the same splits.

A check of this project's predictors that shares nothing with them but the table, the splits and
the labels: plain modules, plain loops, one-hot operations in the published order, the training of
PINAT's experiments (300 epochs, Adam at 1e-4 with weight decay 1e-3, cosine, batches of 10, labels
normalised by PINAT's constants). NAS-Bench-101's 20,001 architectures; tau over all of them.

    python experiments/peers/rebuilt.py FILE [--predictor pinat] [--labels 100] [--seeds 0 1 2 3 4]

appends to rebuilt.csv what it does not hold yet.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from scipy.stats import kendalltau
from torch import Tensor, nn

from nasp_lightning import load_benchmark
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.storage import csv_text, write_text

CSV = Path(__file__).with_name("rebuilt.csv")
FIELDS = ("predictor", "labels", "seed", "kendall_tau")
VERTICES, KINDS = 7, 5
MEAN, DEVIATION = 0.908192, 0.023961  # of PINAT's labels
EPOCHS, BATCH, RATE, DECAY = 300, 10, 1e-4, 1e-3
Batch = dict[str, Tensor]


def normalised(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(2, keepdim=True)


class Convolution(nn.Module):
    """Neural Predictor's: along the edges and against them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.along, self.against = (nn.Linear(inputs, outputs, bias=False) for _ in range(2))
        for layer in (self.along, self.against):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, tokens: Tensor, operator: Tensor) -> Tensor:
        forth = F.relu(normalised(operator) @ self.along(tokens))
        back = F.relu(normalised(operator.transpose(1, 2)) @ self.against(tokens))
        return F.dropout((forth + back) / 2, 0.1, self.training)


class NeuralPredictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Convolution(KINDS if place == 0 else 144, 144) for place in range(3)
        )
        self.hidden, self.out = nn.Linear(144, 128, bias=False), nn.Linear(128, 1, bias=False)

    def forward(self, batch: Batch) -> Tensor:
        operator, tokens = normalised(batch["adjacency"] + torch.eye(VERTICES)), batch["onehots"]
        for layer in self.layers:
            tokens = layer(tokens, operator)
        mean = tokens.sum(1) / batch["vertices"][:, None]
        score: Tensor = self.out(F.dropout(self.hidden(mean), 0.1, self.training))
        return score.view(-1)


class SetConvolution(nn.Module):
    """PINAT's: channels of every feature, summed over those that feed a vertex."""

    def __init__(self, inputs: int, channels: int, heads: int, joined: bool = True) -> None:
        super().__init__()
        self.channels, self.heads, self.joined = channels, heads, joined
        self.project = nn.Parameter(torch.zeros(inputs, channels * heads))
        self.scale, self.shift = (nn.Parameter(torch.zeros(channels, 1, 1)) for _ in range(2))
        self.mix = nn.Parameter(torch.zeros(channels, heads, 1, heads))
        self.bias = nn.Parameter(torch.zeros(channels, heads))
        self.gate = nn.Parameter(torch.zeros(1, channels, heads))
        for weight in (self.project, self.scale, self.mix, self.gate):
            bound = (6 / (weight.size(-2) + weight.size(-1))) ** 0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, tokens: Tensor, adjacency: Tensor) -> Tensor:
        count = len(tokens)
        split = (tokens @ self.project).view(-1, self.channels, self.heads).unsqueeze(-1)
        raised = F.leaky_relu(split * self.scale + self.shift, 0.2).view(count, VERTICES, -1)
        summed = adjacency.transpose(1, 2) @ raised + raised
        summed = summed.view(-1, self.channels, self.heads, 1).unsqueeze(-1)
        mixed = (summed * self.mix).sum(2).sum(2) + self.bias
        found = F.leaky_relu(mixed, 0.2) * self.gate
        found = found if self.joined else found.sum(-1)
        return found.reshape(count, VERTICES, -1)


class Branch(nn.Module):
    """Three set convolutions, each with a linear way round it."""

    def __init__(self, inputs: int, heads: int, outputs: int, last_heads: int) -> None:
        super().__init__()
        width = 16 * heads
        sizes = ((inputs, width), (width, width), (width, outputs))
        self.ways = nn.ModuleList(nn.Linear(*size) for size in sizes)
        self.convolutions = nn.ModuleList(
            [
                SetConvolution(inputs, 16, heads),
                SetConvolution(width, 16, heads),
                SetConvolution(width, outputs, last_heads, joined=False),
            ]
        )

    def forward(self, tokens: Tensor, adjacency: Tensor) -> Tensor:
        for place, (way, convolution) in enumerate(zip(self.ways, self.convolutions, strict=True)):
            tokens = convolution(tokens, adjacency) + way(tokens)
            tokens = tokens if place == 2 else F.elu(tokens)
        return tokens


class Layer(nn.Module):
    """Two heads of self-attention beside two permutation-invariant ones."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(80, 128, bias=False) for _ in range(3))
        self.join, self.branch = nn.Linear(256, 80, bias=False), Branch(80, 2, 128, 2)
        self.up, self.down = nn.Linear(80, 512), nn.Linear(512, 80)
        self.first, self.second = (nn.LayerNorm(80, eps=1e-6) for _ in range(2))

    def forward(self, tokens: Tensor, adjacency: Tensor) -> Tensor:
        def heads(layer: nn.Module) -> Tensor:
            found: Tensor = layer(tokens)
            return found.view(len(tokens), VERTICES, 2, 64).transpose(1, 2)

        logits = heads(self.query) / 8 @ heads(self.key).transpose(2, 3)
        attention = self._dropped(F.softmax(logits, -1))
        attended = (attention @ heads(self.value)).transpose(1, 2).reshape(*tokens.shape[:2], -1)
        joined = self.join(torch.cat((self.branch(tokens, adjacency), attended), -1))
        tokens = self.first(self._dropped(joined) + tokens)
        found: Tensor = self.second(self._dropped(self.down(F.relu(self.up(tokens)))) + tokens)
        return found

    def _dropped(self, value: Tensor) -> Tensor:
        return F.dropout(value, 0.1, self.training)


class PINAT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.operations, self.positions = nn.Embedding(KINDS, 80), nn.Linear(VERTICES, 80)
        self.branch, self.norm = Branch(KINDS, 6, 80, 6), nn.LayerNorm(80, eps=1e-6)
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.hidden, self.out = nn.Linear(80, 96, bias=False), nn.Linear(96, 1, bias=False)

    def forward(self, batch: Batch) -> Tensor:
        adjacency = batch["adjacency"]
        laplacian = torch.diag_embed(adjacency.sum(2)) - adjacency
        tokens = self._dropped(self.operations(batch["tokens"]) + self.positions(laplacian))
        tokens = self.norm(tokens + self._dropped(self.branch(batch["onehots"], adjacency)))
        for layer in self.layers:
            tokens = layer(tokens, adjacency)
        score: Tensor = self.out(self._dropped(self.hidden(tokens.sum(1) / VERTICES)))
        return score.view(-1)

    def _dropped(self, value: Tensor) -> Tensor:
        return F.dropout(value, 0.1, self.training)


def encoded(data: ArchitectureData, space: NASBench101) -> Batch:
    """The whole table, operations in the published order: output, input, the others."""
    shape, graphs = space.shape, data.graphs
    assert shape.output_token is not None
    assert shape.input_token is not None
    ends = [shape.output_token, shape.input_token]
    others = [k for k in range(shape.vocabulary) if k not in (*ends, shape.padding_token)]
    place = torch.zeros(shape.vocabulary, dtype=torch.long)
    for number, token in enumerate([*ends, *others]):
        place[token] = number
    vertices = graphs.vertices.float()
    real = torch.arange(VERTICES)[None] < vertices[:, None]
    tokens = place[graphs.operations.long()] * real
    onehots = F.one_hot(tokens, KINDS).float() * real[..., None]
    adjacency = graphs.adjacency.float()
    return {"tokens": tokens, "onehots": onehots, "adjacency": adjacency, "vertices": vertices}


def measure(table: Any, predictor: str, labels: int, seed: int) -> float:
    """Tau of one training on the split of a seed."""
    space = NASBench101()
    sizes = {"train_size": labels, "validation_size": 200}
    data = ArchitectureData(table, space, "cifar10", 108, seed, "single", 0.2, **sizes)
    data.setup("fit")
    batch = encoded(data, space)
    torch.manual_seed(seed + 100)
    network = {"neural_predictor": NeuralPredictor, "pinat": PINAT}[predictor]()
    rows = torch.as_tensor(data.split.train).long()
    targets = torch.tensor((data.all_labels[data.split.train] - MEAN) / DEVIATION).float()
    optimizer = torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        order = torch.randperm(labels)
        for start in range(0, labels - BATCH + 1, BATCH):
            part = order[start : start + BATCH]
            few = {name: item[rows[part]] for name, item in batch.items()}
            optimizer.zero_grad()
            F.mse_loss(network(few), targets[part]).backward()
            optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        parts = torch.arange(len(table)).split(2000)
        scores = [network({k: v[part] for k, v in batch.items()}) for part in parts]
    return float(kendalltau(torch.cat(scores).numpy(), data.true_accuracy)[0])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=Path, help="nasbench101_20001.tfrecord")
    arguments.add_argument("--predictor", choices=("neural_predictor", "pinat"), default="pinat")
    arguments.add_argument("--labels", type=int, default=100)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = arguments.parse_args()
    torch.set_num_threads(1)
    table = load_benchmark("nasbench101", path=given.file, partial=True)
    known = {}
    if CSV.exists():
        with open(CSV, newline="", encoding="utf-8") as file:
            known = {tuple(row.values())[:3]: row for row in csv.DictReader(file)}
    for seed in given.seeds:
        key = (given.predictor, str(given.labels), str(seed))
        if key in known:
            continue
        tau = measure(table, given.predictor, given.labels, seed)
        print(*key, round(tau, 4), flush=True)
        known[key] = dict(zip(FIELDS, (*key, repr(tau)), strict=True))
        rows = sorted(known.values(), key=lambda row: (row["predictor"], int(row["labels"])))
        write_text(CSV, csv_text(FIELDS, (row.values() for row in rows)))


if __name__ == "__main__":
    main()

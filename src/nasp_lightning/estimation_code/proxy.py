"""Zero-cost proxies in place of the Estimation Code: columns of a table, or computed on networks.

The three that Siamese-NAS compares its code with (section 4.3), from their definitions, in the
form of Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv 2101.08134):
each a sum over the weights θ of convolutions and linear layers.

- synflow (Tanaka et al. 2020, arXiv 2006.05467, equation 2): Σ θ ∂R/∂θ with θ replaced by \\|θ\\|,
  R the sum of the outputs for an input of ones, batch normalisation left out, double precision;
- snip (Lee et al. 2019, arXiv 1810.02340): Σ \\|θ ∂L/∂θ\\| of one batch's cross-entropy L;
- grasp (Wang et al. 2020, arXiv 2002.07376): Σ -θ · Hg, with g the gradient of that L and H its
  Hessian.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.format.files import find_file
from nasp_lightning.data.proxies import proxy_costs, proxy_files
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.estimation_code.part.computed import (
    ComputedCode,
    Options,
    Resources,
    computing,
)
from nasp_lightning.estimation_code.part.cost import (
    label_equivalents,
    label_training,
    own_code_cost,
)
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.builder import NetworkBuilder, build
from nasp_lightning.record.store import Compute, Record
from nasp_lightning.space.base import Architecture

TRANSFORMS = ("none", "log", "normal")
LOSS = "train_loss_"  # begins the columns of a table's own short trainings


def _weights(network: nn.Module) -> list[Tensor]:
    """Weights of convolutions and linear layers, without biases and normalisation."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    return [layer.weight for layer in network.modules() if isinstance(layer, kinds)]


def _normalisation_left_out(network: nn.Module) -> nn.Module:
    for name, child in network.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(network, name, nn.Identity())
        else:
            _normalisation_left_out(child)
    return network


def synflow(network: nn.Module, shape: Sequence[int] = (3, 32, 32)) -> float:
    """Synaptic flow of a network; needs no images.

    Args:
        network: from images ``[B, *shape]`` to any output; it is left as it was.
        shape: of one input.
    """
    network = _normalisation_left_out(copy.deepcopy(network)).double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = _weights(network)
    ones = torch.ones(1, *shape, dtype=torch.float64, device=weights[0].device)
    gradients = torch.autograd.grad(network(ones).sum(), weights, allow_unused=True)
    return _total(
        weight * _or_zero(g, weight) for weight, g in zip(weights, gradients, strict=True)
    )


def snip(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Connection sensitivity on one batch; the network is left as it was.

    Args:
        network: from images to logits.
        inputs: ``[B, 3, S, S]`` float32.
        labels: ``[B]`` int64.
    """
    network = copy.deepcopy(network).train()
    weights = _weights(network)
    loss = F.cross_entropy(network(inputs), labels)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return _total(
        (weight * _or_zero(g, weight)).abs() for weight, g in zip(weights, gradients, strict=True)
    )


def grasp(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """How much a removal of all weights would change the gradient's flow, on one batch.

    Args and what is left untouched: as for :func:`snip`.
    """
    network = copy.deepcopy(network).train()
    weights = _weights(network)
    loss = F.cross_entropy(network(inputs), labels)
    gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    # H g is the gradient of g·stop(g).
    product = torch.stack([(g.detach() * g).sum() for g in gradients if g is not None]).sum()
    hessian = torch.autograd.grad(product, weights, allow_unused=True)
    return _total(-weight * _or_zero(h, weight) for weight, h in zip(weights, hessian, strict=True))


def _or_zero(gradient: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if gradient is None else gradient


def _total(terms: Iterable[Tensor]) -> float:
    return sum(float(term.detach().double().sum()) for term in terms)


def _standardised(pixels: Tensor) -> Tensor:
    """Images of zero mean and unit deviation in each channel of CIFAR-10, as the definitions'."""
    mean, deviation = (
        torch.tensor(numbers, device=pixels.device)[:, None, None]
        for numbers in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    )
    return (pixels.float() / 255 - mean) / deviation


# Name to the passes over its batch that a proxy takes (each forward and back); synflow's one
# input of ones is no image.
PASSES = {"synflow": 0, "snip": 1, "grasp": 2}


@dataclass(frozen=True)
class ProxyComputation:
    """Makes the record of one architecture; can be sent to another process."""

    names: tuple[str, ...]
    network: NetworkBuilder
    images: PlainImages
    seed: int
    device: torch.device

    def __call__(self, architecture: Architecture) -> Record:
        """Build an architecture's network and compute its proxies."""
        with computing(self.device):
            network = build(self.network, architecture, self.seed).to(self.device)
            inputs = _standardised(torch.from_numpy(self.images.pixels).to(self.device))
            labels = torch.from_numpy(self.images.labels).to(self.device)
            values = {
                name: synflow(network, inputs.shape[1:])
                if name == "synflow"
                else {"snip": snip, "grasp": grasp}[name](network, inputs, labels)
                for name in self.names
            }
        return {
            "operations": architecture[0].tolist(),
            "proxies": {
                name: value if math.isfinite(value) else None for name, value in values.items()
            },
        }


class NetworkProxies(ComputedCode):
    """Proxies computed on the architectures' networks, at their first weights.

    Args:
        table: the benchmark; its rows are the architectures.
        network: builds their networks: see :class:`ComputedCode`.
        images: training images, or a function that loads them.
        names: of ``synflow``, ``snip``, ``grasp``; one number of the code each.
        batch_size: images of the batch, drawn at random by the seed.
        seed: of the first weights and the batch.
        label_epochs: epochs of the full training that a label stands for, and
        label_images: images of each of them, where the table does not say how it was trained.
        options: ``missing`` (what an overflow becomes), ``concurrent``, ``device`` and ``folder``
            of :class:`ComputedCode`.

    Raises:
        NaspError: for a setting that cannot be.
    """

    kind = "proxy"

    def __init__(
        self,
        table: BenchmarkTable,
        network: NetworkBuilder,
        images: Images | Callable[[], Images],
        names: Sequence[str] = ("synflow",),
        batch_size: int = 64,
        seed: int = 0,
        label_epochs: float = 200,
        label_images: float = 50_000,
        **options: Unpack[Options],
    ) -> None:
        self.names = _checked(names)
        unknown = [name for name in self.names if name not in PASSES]
        if unknown:
            raise NaspError(
                f"estimation_code.names={self.names}: {unknown[0]} is not computed on networks; "
                "choose of " + ", ".join(PASSES)
            )
        self.batch_size = batch_size
        super().__init__(
            table,
            network,
            images,
            recipe={"names": self.names, "batch_size": batch_size},
            length=len(self.names),
            cost=label_equivalents(
                sum(PASSES[name] for name in self.names),
                batch_size,
                *label_training(table, label_epochs, label_images),
            ),
            seed=seed,
            **options,
        )

    def choose_images(self, images: Images) -> PlainImages:
        """One random batch."""
        return PlainImages.of(images.subset(self.batch_size, self.seed))

    def computation(self) -> Compute:
        """Computes the proxies of one network."""
        names = tuple(self.names)
        return ProxyComputation(names, self.network, self.images, self.seed, self.device)

    def from_record(self, record: Record) -> list[float]:
        """The proxies in the order of their names."""
        proxies = record["proxies"]
        assert isinstance(proxies, dict)
        return [math.nan if proxies[name] is None else proxies[name] for name in self.names]

    def why_missing(self, row: int) -> str:
        """Numbers beyond double precision."""
        return "a proxy overflowed"


class Computation(Resources, total=False):
    """Further arguments of :class:`NetworkProxies`.

    Attributes:
        batch_size: images of the batch.
        seed: of the first weights and the batch.
        label_epochs: epochs of the full training that a label stands for.
        label_images: images of each of them.
    """

    batch_size: int
    seed: int
    label_epochs: float
    label_images: float


class ProxyCode(EstimationCode):
    """Zero-cost proxies as a code: from the table or a CSV, or computed where a network is given.

    Args:
        table: the benchmark.
        names: proxies (``synflow``) or costs of the table (``parameters``); one number each.
        path: CSV of proxies; None: the table's own columns, else looked for under NASP_DATA.
        network: builds networks: then the proxies are computed on them, by ``computed``.
        transform: ``normal`` (normal scores over all architectures that have a value; columns
            only), ``log`` (sign(x) log(1 + \\|x\\|)), or ``none``. Raw proxies span many orders of
            magnitude.
        missing: what becomes of architectures without a value: see :class:`EstimationCode`.
        images: training images, or a function that loads them; as what follows, without a network
            they have no meaning.
        computed: further arguments of :class:`NetworkProxies`.

    Raises:
        NaspError: for an unknown name, a transform that cannot be, or a network without images.
    """

    def __init__(
        self,
        table: BenchmarkTable,
        names: Sequence[str] = ("synflow",),
        path: str | Path | None = None,
        network: NetworkBuilder | None = None,
        transform: str | None = None,
        missing: str | float = "error",
        images: Images | Callable[[], Images] | None = None,
        **computed: Unpack[Computation],
    ) -> None:
        self.names = _checked(names)
        self.transform = transform or ("normal" if network is None else "log")
        if self.transform not in TRANSFORMS:
            raise NaspError(
                f"estimation_code.transform={transform}: choose " + ", ".join(TRANSFORMS)
            )
        self.computed: NetworkProxies | None = None
        self.columns: Array | None = None
        if network is None:
            super().__init__(table, len(self.names), _columns_cost(table, self.names), missing)
            raw = np.stack([_column(table, name, path) for name in self.names], axis=1)
            self.columns = _transformed(raw, self.transform)
            return
        if self.transform == "normal":
            raise NaspError(
                "estimation_code.transform=normal needs the values of the whole space, but "
                "computed proxies are known only where they are asked for: choose log or none"
            )
        if images is None:
            raise NaspError("estimation_code.images=null: proxies are computed on images")
        self.computed = NetworkProxies(
            table, network, images, names=self.names, missing="keep", **computed
        )
        super().__init__(table, len(self.names), self.computed.cost, missing)
        self.on_networks = True

    def compute(self, rows: Array) -> Array:
        """``[n, length]`` transformed proxies of valid rows."""
        if self.computed is None:
            assert self.columns is not None
            found: Array = self.columns[rows]
            return found
        return _transformed(self.computed.compute(rows), self.transform)


def _columns_cost(table: BenchmarkTable, names: Sequence[str]) -> float | None:
    """Label equivalents: nothing for proxies, a short training where a column is its loss."""
    ends = [name.removeprefix(LOSS) for name in names if name.startswith(LOSS)]
    epochs = [int(end) for end in ends if end.isdigit()]
    return own_code_cost(table, max(epochs)) if epochs else 0.0


def _checked(names: Sequence[str]) -> list[str]:
    listed = [] if isinstance(names, str) else list(names)
    if not listed or len(set(listed)) < len(listed):
        raise NaspError(
            f"estimation_code.names={names}: write a list of different names, such as [synflow]"
        )
    return listed


def _transformed(values: Array, transform: str) -> Array:
    """``[N, L]`` values on a scale that a predictor can take, NaN where they are NaN."""
    from scipy.stats import norm, rankdata

    if transform == "none":
        return values
    if transform == "log":
        logs: Array = np.sign(values) * np.log1p(np.abs(values))
        return logs
    scores = np.full(values.shape, np.nan)
    for place, column in enumerate(values.T):
        known = np.isfinite(column)
        ranks = rankdata(column[known])
        scores[known, place] = norm.ppf((ranks - 0.5) / max(1, len(ranks)))
    return scores


def _column(table: BenchmarkTable, name: str, path: str | Path | None) -> Array:
    """``[N]`` values of a proxy or cost, NaN where there is none."""
    origin, costs = "the benchmark's table", table.costs
    if path is not None and not Path(path).is_file():
        raise NaspError(f"estimation_code.path={path}: there is no such file")
    own = any(key in costs for key in (f"proxy/{name}", name))
    files = proxy_files(table.space)
    if path is not None or (not own and find_file(table.space, files) is not None):
        origin, costs = proxy_costs(table, path, name)
    for key in (f"proxy/{name}", name):
        if key in costs and costs[key].ndim == 1:
            return np.asarray(costs[key], dtype=np.float64)
    have = sorted(key.removeprefix("proxy/") for key, found in costs.items() if found.ndim == 1)
    searched = f"; {files[0]} is not under NASP_DATA" if files and origin != files[0] else ""
    raise NaspError(
        f"estimation_code.names: {origin} has no {name!r} (it has {', '.join(have) or 'none'})"
        f"{searched}: set estimation_code.path to a CSV file of proxies"
    )

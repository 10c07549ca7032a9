"""The single-path supernet of the MobileNet-like space.

As in SPOS (Guo et al., ECCV 2020) and RLNAS (CVPR 2021): every operation of every layer has weights
of its own, kept once; a forward pass computes one operation of each layer. Stem and head are
shared by all architectures.

Example:
    >>> supernet = MobileNetSupernet(classes=10)
    >>> operations, _ = supernet.space.from_string("206220240442424200022")
    >>> network = supernet.subnet(operations)  # a MobileNetNetwork
"""

from __future__ import annotations

from typing import cast

import numpy as np
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.network.count import on_meta
from nasp_lightning.network.mobilenet import (
    Head,
    MobileNetNetwork,
    MobileNetOptions,
    Stem,
    check_fit,
    check_options,
    checked_space,
    layer,
)
from nasp_lightning.network.ops import Norm, initialise
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.base import Space
from nasp_lightning.space.mobilenet import IDENTITY, MobileNet


class MobileNetSupernet(Supernet):
    """Six blocks for each layer; the identity has no weights.

    Args:
        space: whose architectures it holds; None: the published one.
        classes: of the data set.
        dropout: of the classifier's inputs.
        activation: ``relu6`` (published), ``relu``, ``swish`` or ``mish``.
        norm_eps: of the batch normalisations.
        norm_momentum: share of a batch in their running statistics.
        norm_affine: learn their scale and shift.
        norm_track: keep running statistics; False: a batch's own in evaluation too.
        initialisation: ``proxyless`` (published), ``torch``, ``glorot`` or ``he``.

    Raises:
        NaspError: if the space is another, or an option is out of range.
    """

    space: MobileNet

    def __init__(
        self,
        space: Space | None = None,
        *,
        classes: int = 1000,
        dropout: float = 0.0,
        activation: str = "relu6",
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
        norm_affine: bool = True,
        norm_track: bool = True,
        initialisation: str = "proxyless",
    ) -> None:
        super().__init__()
        self.space = checked_space(space)
        check_options(classes, dropout)
        self.options: MobileNetOptions = {
            "classes": classes,
            "dropout": dropout,
            "activation": activation,
            "norm_eps": norm_eps,
            "norm_momentum": norm_momentum,
            "norm_affine": norm_affine,
            "norm_track": norm_track,
            "initialisation": initialisation,
        }
        norm = Norm(norm_eps, norm_momentum, norm_affine, norm_track)
        self.stem = Stem(self.space, norm, activation)
        self.layers = nn.ModuleList(
            nn.ModuleList(layer(place, code, norm, activation) for code in range(IDENTITY))
            for place in self.space.places
        )
        self.head = Head(self.space, classes, dropout, norm, activation)
        initialise(self, initialisation)

    def forward(self, images: Tensor, operations: Array, adjacency: Array | None = None) -> Tensor:
        """Logits ``[B, classes]`` of the architecture ``operations`` ``[L]``."""
        codes = np.asarray(operations)
        self.space.validate(codes[None], adjacency)
        check_fit(self.space, images)
        features = self.stem(images)
        for blocks, code in zip(self.layers, codes.tolist(), strict=True):
            if code != IDENTITY:
                features = cast(nn.ModuleList, blocks)[code](features)
        logits: Tensor = self.head(features)
        return logits

    def subnet(self, operations: Array, adjacency: Array | None = None) -> MobileNetNetwork:
        """The architecture as a :class:`MobileNetNetwork` with copies of its weights."""
        network = on_meta(MobileNetNetwork, operations, adjacency, space=self.space, **self.options)
        shared, codes = self.state_dict(), np.asarray(operations).tolist()
        copies = {
            name: shared[_shared_name(name, codes)].detach().clone()
            for name in network.state_dict()
        }
        network.load_state_dict(copies, assign=True)
        return network.train(self.training)

    def costs(
        self, operations: Array, adjacency: Array | None = None, image: int | None = None
    ) -> dict[str, Array]:
        """``parameters`` and ``macs``, int64 ``[N]``, of ``[N, L]`` operations.

        Images have ``image`` pixels in height and width; None: the space's number.
        """
        return MobileNetNetwork.costs(
            operations, adjacency, image, space=self.space, **self.options
        )


def _shared_name(name: str, codes: list[int]) -> str:
    """Where the supernet keeps a network's ``layers.<place>.…``: ``layers.<place>.<code>.…``."""
    parts = name.split(".")
    if parts[0] == "layers":
        parts.insert(2, str(codes[int(parts[1])]))
    return ".".join(parts)

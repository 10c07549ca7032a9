"""Siamese-Predictor: one branch ranks by the graph alone, the other by its first losses as well.

Zhang et al., "Siamese-NAS: Using Trained Samples Efficiently to Find Lightweight Neural
Architecture by Prior Knowledge" (arXiv 2210.00546). Three bidirectional graph convolutions embed
an architecture (with self-attention of its nodes, NSAM, before the third, if wanted). The basic
branch reads its score from there. The estimation branch fuses the Estimation Code into the
embedding first (EFM) and reads the score with the same head. Both are trained together on the
same label.

The code comes as the extra inputs of an architecture (``graphs.features``), as it is: the losses
of its first three epochs (EFM has batch normalisation of its own), or a zero-cost proxy. Training
reads the codes of its batches, a ranking those of its shortlist. Without extra inputs this is the
paper's naive predictor. Where paper and published code differ, the code is the default, since the
published numbers come from it: see ``readout`` and ``shared_value``.

The published loss is Huber's of accuracies with δ = 0.5, which is the squared error but for failed
networks. Where a few fail (accuracy 0.1 among 0.9) their labels rule it, the differences among the
good ones hardly count, and the ranking of a whole space is weak. With ``task.loss=logistic`` (ours)
both branches learn from the pairs of a batch instead: see ``conf/predictor/siamese.yaml``.

Example:
    ``python -m nasp_lightning +experiment=nb201_siamese``
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import Codes, GradientPredictor, Loss, ScoringModule
from nasp_lightning.predictor.part.batching import is_batching
from nasp_lightning.predictor.siamese.layers import (
    BidirectionalConvolution,
    EstimationFusion,
    NodeAttention,
    Topology,
    glorot_,
)
from nasp_lightning.predictor.siamese.ranking import Ranked, siamese_ranking
from nasp_lightning.space.base import Graphs, Shape

READOUTS = ("features", "nodes")
OUTPUTS = ("sigmoid", "linear")


class Siamese(GradientPredictor):
    """Scores architectures; a whole space goes through Siamese-Ranking (Algorithm 1).

    Args:
        shape: sizes of the space's encoding; its extra inputs are the Estimation Code.
        hidden: width H of the graph convolutions.
        nsam: nodes self-attention between the second and the third convolution.
        readout: mean over the ``features`` (one number for each node, as in the published code)
            or over the ``nodes`` (Figure 2).
        shared_value: whether EFM's V is its Q (the published code) or has a convolution of its
            own (Figure 3).
        output: ``sigmoid``: an accuracy in (0, 1), as published; ``linear``: no bound. A ranking
            loss is always that of the linear output, since only its order means anything.
        delta: δ of the Huber loss, as an accuracy in [0, 1].
        momentum: of the running statistics of batch normalisation (published: Keras' 0.997, which
            is 0.003 here); None: their plain average over all steps.
        top: c of a ranking: how many of the basic branch's best the estimation branch re-ranks.
        training_top: the same for the rankings that choose training architectures.

    Attributes:
        estimated: ``[c]`` which architectures the last ranking used the code of, or None.

    Raises:
        NaspError: for a setting that cannot be.
    """

    encodings: ClassVar[tuple[str, ...]] = ("dataflow", "node")  # preferred where there are several
    shortlists: ClassVar[bool] = True  # a ranking reads the codes of a shortlist only

    def __init__(
        self,
        shape: Shape,
        hidden: int = 64,
        nsam: bool = False,
        readout: str = "features",
        shared_value: bool = True,
        output: str = "sigmoid",
        delta: float = 0.5,
        momentum: float | None = 0.003,
        top: int = 60,
        training_top: int = 30,
    ) -> None:
        super().__init__()
        _check(hidden, readout, output, delta, momentum, top, training_top)
        self.shape, self.readout, self.output, self.delta = shape, readout, output, delta
        self._ranking_loss: Loss | None = None
        self.top, self.training_top, self._top_now = top, training_top, top
        self.first = BidirectionalConvolution(shape.vocabulary, hidden, momentum, tokens=True)
        self.second = BidirectionalConvolution(hidden, hidden, momentum)
        self.attention = NodeAttention(hidden, momentum) if nsam else None
        self.third = BidirectionalConvolution(hidden, hidden, momentum)
        self.fusion = (
            EstimationFusion(shape.tokens, shape.features, hidden, momentum, shared_value)
            if shape.features
            else None
        )
        self.head = nn.Linear(shape.tokens if readout == "features" else hidden, 1)
        glorot_(self.head.weight.data, self.head.in_features, 1)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("label_mean", torch.tensor(0.5))
        self.register_buffer("label_deviation", torch.tensor(0.1))
        self.estimated: Tensor | None = None

    def set_label_scale(self, mean: float, deviation: float) -> None:
        """Tell which accuracies in [0, 1] the normalised labels 0 and 1 are."""
        self.label_mean.fill_(mean)
        self.label_deviation.fill_(deviation)

    def rank_by(self, loss: Loss) -> bool:
        """Train each branch by a ranking loss of ``[B]`` scores and labels instead of Huber's."""
        self._ranking_loss = loss
        return True

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of the basic branch, on the normalised labels' scale; needs no code."""
        topology = Topology.of(graphs, self.shape)
        return self._score(self._embed(graphs, topology), topology)

    def estimate(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of the estimation branch, on the normalised labels' scale.

        Raises:
            NaspError: if the predictor has no such branch, or a code is absent or not finite.
        """
        return self.branches(graphs, self.codes(graphs))[1]

    def branches(self, graphs: Graphs, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores ``[B]`` of the basic and of the estimation branch, from ``[B, F]`` codes."""
        assert self.fusion is not None
        topology = Topology.of(graphs, self.shape)
        embedded = self._embed(graphs, topology)
        fused = self.fusion(embedded, codes, topology)
        return self._score(embedded, topology), self._score(fused, topology)

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Loss of both branches, added; Huber's in units of the normalised labels."""
        if self.fusion is None:
            return self._loss(self.forward(graphs), labels)
        basic, estimated = self.branches(graphs, self.codes(graphs))
        return self._loss(basic, labels) + self._loss(estimated, labels)

    def check_codes(self, graphs: Graphs) -> None:
        """Refuse a batch's Estimation Codes that :meth:`codes` would refuse."""
        self.codes(graphs)

    def codes(self, graphs: Graphs) -> Tensor:
        """``[B, F]`` Estimation Codes of a batch.

        Raises:
            NaspError: if they are absent, of another length, or not finite.
        """
        length, codes = self.shape.features, graphs.features
        if self.fusion is None:
            raise NaspError(
                "this Siamese-Predictor was built without Estimation Code and has no estimation "
                "branch: give architectures a code (estimation_code, or data.features)"
            )
        if codes is None or codes.ndim != 2 or codes.shape[1] != length:
            found = "none" if codes is None else f"shape {list(codes.shape)}"
            raise NaspError(
                f"the Siamese-Predictor was built for Estimation Codes of {length} numbers, but "
                f"the architectures carry {found}: give them the same estimation_code or "
                "data.features"
            )
        if not is_batching() and not torch.isfinite(codes).all():
            wrong = int((~torch.isfinite(codes)).any(1).sum())
            raise NaspError(
                f"the Estimation Codes of {wrong} of {len(codes)} architectures hold NaN or "
                "infinity: choose codes that every architecture has, or set "
                "estimation_code.missing to a number that stands in"
            )
        return codes

    def scoring_module(
        self, graphs: Graphs, dtype: torch.dtype, codes: Codes | None = None
    ) -> ScoringModule | None:
        """Siamese-Ranking of all of ``graphs`` as a module that hands out its scores.

        Without a code, or with c = 0, None: the basic branch's scores are the ranking.

        Args:
            graphs: the space, or what is ranked of it.
            dtype: float32 or bfloat16.
            codes: gives the shortlist's codes; None: ``graphs`` carry them.
        """
        if self.fusion is None or not self._top_now:
            return None
        narrow = dtype is not torch.float32

        def estimate(rows: Tensor) -> Tensor:
            listed = graphs[rows]
            if codes is not None:
                listed = replace(listed, features=codes(rows).to(rows.device))
            return self.estimate(listed).float()

        with torch.autocast(graphs.operations.device.type, torch.bfloat16, enabled=narrow):
            scores, rows = siamese_ranking(self._basic_scores(graphs), estimate, self._top_now)
        self.estimated = rows.cpu()
        return Ranked(scores)

    def _basic_scores(self, graphs: Graphs) -> Tensor:
        """``[N]`` scores of the basic branch, a part of the architectures at a time."""
        device = graphs.operations.device
        size = 128 if device.type == "cpu" else 8192
        starts = range(0, len(graphs), size)
        parts = [self(graphs[slice(at, at + size)]).float() for at in starts]
        return torch.cat(parts) if parts else torch.zeros(0, device=device)

    @contextmanager
    def choosing(self) -> Iterator[None]:
        """Within it, rankings re-rank ``training_top`` architectures instead of ``top``.

        What they estimated is forgotten at its end.
        """
        self._top_now = self.training_top
        try:
            yield
        finally:
            self._top_now, self.estimated = self.top, None

    def _embed(self, graphs: Graphs, topology: Topology) -> Tensor:
        features = self.second(self.first(graphs.operations, topology), topology)
        if self.attention is not None:
            features = self.attention(features, topology)
        embedded: Tensor = self.third(features, topology)
        return embedded

    def _score(self, features: Tensor, topology: Topology) -> Tensor:
        """``[B]`` from ``[B, T, H]``; padded tokens are zero."""
        if self.readout == "features":
            pooled = features.mean(-1)
        elif topology.real is None:
            pooled = features.mean(1)
        else:
            pooled = features.sum(1) / topology.real.sum(1, keepdim=True)
        value: Tensor = self.head(pooled).squeeze(-1)
        if self.output == "linear" or self._ranking_loss is not None:
            return value
        return (torch.sigmoid(value) - self.label_mean) / self.label_deviation

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        if self._ranking_loss is None:
            return self._huber(scores, labels)
        return self._ranking_loss(scores, labels)

    def _huber(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Quadratic up to δ: of accuracies, the published loss, in the normalised labels' units."""
        error = (scores - labels).abs()
        delta = self.delta / self.label_deviation
        return torch.where(error < delta, error**2 / 2, delta * (error - delta / 2)).mean()

    # Buffers, declared for the type checker.
    label_mean: Tensor
    label_deviation: Tensor


def _check(
    hidden: int,
    readout: str,
    output: str,
    delta: float,
    momentum: float | None,
    top: int,
    training_top: int,
) -> None:
    for name, number, least in (
        ("hidden", hidden, 1),
        ("top", top, 0),
        ("training_top", training_top, 0),
    ):
        check_whole(f"predictor.{name}", number, least)
    for name, value, known in (("readout", readout, READOUTS), ("output", output, OUTPUTS)):
        if value not in known:
            raise NaspError(f"predictor.{name}={value!r} is unknown: choose " + "|".join(known))
    if not delta > 0:
        raise NaspError(f"predictor.delta={delta}: it must be positive")
    if momentum is not None and not 0 < momentum <= 1:
        raise NaspError(f"predictor.momentum={momentum}: it must be above 0, at most 1, or null")

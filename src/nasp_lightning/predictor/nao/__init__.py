"""NAO: an encoder, a performance predictor and a decoder around a continuous architecture space.

Luo et al., "Neural Architecture Optimization", NeurIPS 2018 (arXiv 1808.07233), in the form that
SemiNAS (Luo et al., NeurIPS 2020, arXiv 2002.10389) uses on NAS-Bench-101 and TNASP and PINAT
compare with: a bidirectional LSTM of 64 over the sequence of an architecture, a perceptron of
two layers on the mean of its outputs, and an LSTM with attention that writes the sequence again.
(On a CPU, PyTorch's LSTM is oneDNN's: an own one with a written-out gradient is 1.6 times slower.)

Example:
    ``python -m nasp_lightning +experiment=nb101_nao``
"""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.predictor.nao.sequence import PAD, SequenceEncoding
from nasp_lightning.predictor.part.graph import append_features
from nasp_lightning.space.base import Graphs, Shape

HALF = math.sqrt(0.5)


class NAO(GradientPredictor):
    """Scores architectures from a latent that a decoder can write them again from.

    An architecture's latent is the L2-normalised output of the encoder for each symbol,
    ``[L, H]``; its embedding, the normalised mean of them, is what the score is read from.

    Args:
        shape: sizes of the space's encoding.
        hidden: width H of embeddings and LSTMs.
        layers: of the encoder's LSTM.
        decoder_layers: of the decoder's.
        regressor_layers: of the performance predictor, before its last, linear unit.
        regressor_dim: its hidden units.
        dropout: probability of dropping.
        score_weight: weight w of the loss ``w · MSE + (1 − w) · NLL`` of the reconstruction.

    Raises:
        NaspError: for a size or a weight that cannot be.
    """

    encodings: ClassVar[tuple[str, ...]] = ("edge",)  # preferred where a space has several

    def __init__(
        self,
        shape: Shape,
        hidden: int = 64,
        layers: int = 1,
        decoder_layers: int = 1,
        regressor_layers: int = 2,
        regressor_dim: int = 16,
        dropout: float = 0.1,
        score_weight: float = 0.8,
    ) -> None:
        super().__init__()
        sizes = {"hidden": hidden, "layers": layers, "decoder_layers": decoder_layers}
        for name, value in {**sizes, "regressor_dim": regressor_dim}.items():
            check_whole(f"predictor.{name}", value)
        check_whole("predictor.regressor_layers", regressor_layers, 2)
        if not 0 <= score_weight <= 1:
            raise NaspError(f"predictor.score_weight={score_weight}: it must be from 0 to 1")
        self.shape = shape
        self.dropout = dropout
        self.score_weight = score_weight
        self.sequence = SequenceEncoding(shape)
        self.embedding = nn.Embedding(self.sequence.vocabulary, hidden)
        self.encoder = nn.LSTM(
            hidden,
            hidden,
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
            bidirectional=True,
        )
        self.projection = nn.Linear(2 * hidden, hidden)
        widths = [hidden + shape.features, *[regressor_dim] * (regressor_layers - 1), hidden]
        self.regressor = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        self.score = nn.Linear(hidden, 1)
        self.decoder = Decoder(self.sequence.vocabulary, hidden, decoder_layers, dropout)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch of architectures, on the normalised labels' scale."""
        return self.regress(self.encode(graphs), graphs.features)

    def encode(self, graphs: Graphs) -> Tensor:
        """Latents ``[B, L, H]`` of a batch of architectures."""
        return self._encode(self.sequence.encode(graphs))

    def regress(self, latent: Tensor, features: Tensor | None = None) -> Tensor:
        """Scores ``[B]`` of latents ``[B, L, H]`` and extra inputs ``[B, F]``."""
        embedding = mean_embedding(latent)
        value = append_features(embedding, features, self.shape)
        for layer in self.regressor:
            value = F.dropout(F.relu(layer(value)), self.dropout, self.training)
        scores: Tensor = self.score((embedding + value) * HALF)
        return scores.squeeze(-1)

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Weighted sum of the scores' squared error and the sequences' negative log-likelihood."""
        symbols = self.sequence.encode(graphs)
        latent = self._encode(symbols)
        error = F.mse_loss(self.regress(latent, graphs.features), labels)
        logits = self.decoder(symbols, latent)
        likelihood = F.cross_entropy(logits.flatten(0, 1), symbols.flatten())
        return self.score_weight * error + (1 - self.score_weight) * likelihood

    def _encode(self, symbols: Tensor) -> Tensor:
        embedded = F.dropout(self.embedding(symbols), self.dropout, self.training)
        hidden, _ = self.encoder(embedded)
        return F.normalize(embedded + self.projection(hidden), dim=-1)


class Decoder(nn.Module):
    """An LSTM over the symbols so far that attends to the latent of the architecture.

    Args:
        vocabulary: number of distinct symbols S.
        hidden: width H.
        layers: of the LSTM.
        dropout: probability of dropping.
    """

    def __init__(self, vocabulary: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = layers
        self.dropout = dropout
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(
            hidden, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, symbols: Tensor, latent: Tensor) -> Tensor:
        """Logits ``[B, L, S]`` of each of ``[B, L]`` symbols, given those before it."""
        shifted = F.pad(symbols[:, :-1], (1, 0), value=PAD)
        logits, _ = self.step(shifted, latent, self.initial_state(latent))
        return logits

    def initial_state(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden and cell state: the embedding of the architecture, ``[layers, B, H]``."""
        embedding = mean_embedding(latent).expand(self.layers, -1, -1).contiguous()
        return embedding, embedding

    def step(
        self, symbols: Tensor, latent: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Logits ``[B, l, S]`` of the symbols that follow ``[B, l]``, and the new state."""
        embedded = F.dropout(self.embedding(symbols), self.dropout, self.training)
        hidden, state = self.lstm(embedded, state)
        hidden = (embedded + hidden) * HALF
        attention = torch.softmax(self.query(hidden) @ latent.transpose(1, 2), -1)
        mixed = torch.tanh(self.mix(torch.cat([attention @ latent, hidden], -1)))
        return self.output((hidden + mixed) * HALF), state


def mean_embedding(latent: Tensor) -> Tensor:
    """``[B, L, H]`` latents to ``[B, H]`` embeddings of length 1."""
    return F.normalize(latent.mean(1), dim=-1)

"""TNASP: a transformer over operations with the graph's Laplacian as positional encoding.

Lu et al., "TNASP: A Transformer-based NAS Predictor with a Self-evolution Framework", NeurIPS
2021: embedding dimension 80, three encoder layers of four heads, a regressor of two layers with
96 hidden units (supplementary B). What the paper leaves open follows its authors' later PINAT:
the rows of the directed, unnormalised Laplacian, addition of the two branches, heads of 64,
feed-forward width 512, bias-free regressor, mean over all seven slots of a NAS-Bench-101 cell.
Three things do not: PINAT drops out and normalises the sum of the branches, its regressor is
linear with dropout, and its weights start by other rules. PyTorch's own transformer layer and
start, nothing on the sum and a ReLU in the regressor rank better (experiments/tnasp_nasbench101);
they are ours, PINAT's are options.

Example:
    >>> predictor = TNASP(shape=space.shape)  # doctest: +SKIP
    >>> scores = predictor(graphs)  # [B], on the normalised labels' scale  # doctest: +SKIP
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import Codes, GradientPredictor, ScoringModule
from nasp_lightning.predictor.part.laplacian import (
    laplacian,
    laplacian_eigenvectors,
    normalised_laplacian,
    sinusoidal_positions,
)
from nasp_lightning.predictor.part.transformer import NORM_EPSILON, TransformerEncoder
from nasp_lightning.predictor.tnasp.encoder import GCNEncoder, MLPEncoder
from nasp_lightning.predictor.tnasp.scoring import TNASPScoring
from nasp_lightning.space.base import Graphs, Shape

POSITIONAL = ("laplacian", "normalised_laplacian", "eigenvectors", "sinusoidal")
PADDING = ("published", "masked")
EDGE_POSITION_GAIN = 3.0  # of the positional projection's start, see _spread_edge_tokens
ENCODERS = ("transformer", "gcn", "mlp")
REGRESSORS = ("relu", "linear")


class TNASP(GradientPredictor):
    """Scores architectures from their operations and the Laplacian of their graph.

    Args:
        shape: sizes of the space's encoding.
        embedding_dim: dimension E of a token.
        layers: encoder layers.
        heads: attention heads of a layer.
        head_dim: dimension of a head.
        feedforward_dim: inner width of the feed-forward networks.
        regressor_dim: hidden units of the regressor.
        dropout: probability of dropping: attention weights, feed-forward networks, branches.
        operation_branch: whether the operations are seen; False shields them (Table 5).
        positional_branch: whether the positions are seen; False shields them (Table 5).
        positional: ``laplacian`` (published), ``normalised_laplacian``, ``eigenvectors`` or
            ``sinusoidal``. A chain of layers is always ``sinusoidal`` (supplementary A.5).
        eigenvectors: how many, where ``positional=eigenvectors``.
        padding: ``published``: padded slots carry the published padding token and take part in
            attention and in the mean; ``masked``: they take part in neither.
        encoder: ``transformer`` (published), or what replaces it in Table 6: ``gcn``, ``mlp``.
        regressor: ``relu`` between its two layers, or ``linear``: dropout between them (PINAT).
        input_norm: whether the sum of the two branches is dropped out and normalised (PINAT).

    Raises:
        NaspError: if ``positional``, ``padding``, ``encoder`` or ``regressor`` is unknown or both
            branches are shielded.
    """

    def __init__(
        self,
        shape: Shape,
        embedding_dim: int = 80,
        layers: int = 3,
        heads: int = 4,
        head_dim: int = 64,
        feedforward_dim: int = 512,
        regressor_dim: int = 96,
        dropout: float = 0.1,
        operation_branch: bool = True,
        positional_branch: bool = True,
        positional: str = "laplacian",
        eigenvectors: int = 4,
        padding: str = "published",
        encoder: str = "transformer",
        regressor: str = "relu",
        input_norm: bool = False,
    ) -> None:
        super().__init__()
        _check_choice("positional", positional, POSITIONAL)
        _check_choice("padding", padding, PADDING)
        _check_choice("encoder", encoder, ENCODERS)
        _check_choice("regressor", regressor, REGRESSORS)
        if not (operation_branch or positional_branch):
            raise NaspError(
                "predictor.operation_branch and predictor.positional_branch are both false: "
                "the predictor would see nothing; set one of them to true"
            )
        self.shape = shape
        self.dropout = dropout
        self.operation_branch = operation_branch
        self.positional_branch = positional_branch
        self.positional = "sinusoidal" if shape.chain else positional
        self.eigenvectors = eigenvectors
        self.padding = padding
        self.regressor = regressor
        if operation_branch:
            self.operations = nn.Embedding(shape.vocabulary, embedding_dim)
        self.rows_to_tokens = self._build_positions(embedding_dim) if positional_branch else None
        self.register_buffer("token_row", _token_rows(shape, padding), persistent=False)
        self.norm = nn.LayerNorm(embedding_dim, eps=NORM_EPSILON) if input_norm else None
        self.encoder: TransformerEncoder | GCNEncoder | MLPEncoder
        if encoder == "gcn":
            self.encoder = GCNEncoder(shape, layers, embedding_dim, dropout)
        elif encoder == "mlp":
            self.encoder = MLPEncoder(layers, embedding_dim, feedforward_dim, dropout)
        else:
            self.encoder = TransformerEncoder(
                layers, embedding_dim, heads, head_dim, feedforward_dim, dropout
            )
        self.hidden = nn.Linear(embedding_dim + shape.features, regressor_dim, bias=False)
        self.score = nn.Linear(regressor_dim, 1, bias=False)
        if self.rows_to_tokens is not None:
            self._spread_edge_tokens(self.rows_to_tokens)

    def _build_positions(self, embedding_dim: int) -> nn.Linear | None:
        """The positions' parts; where operations sit on edges, from vertex rows to edge tokens."""
        shape = self.shape
        if self.positional == "sinusoidal":
            table = sinusoidal_positions(shape.tokens, embedding_dim)
            self.register_buffer("sinusoids", table, persistent=False)
            return None
        width = self.eigenvectors if self.positional == "eigenvectors" else shape.vertices
        self.positions = nn.Linear(width, embedding_dim)
        if shape.tokens == shape.vertices:
            return None
        return nn.Linear(shape.vertices, shape.tokens)

    def _spread_edge_tokens(self, rows_to_tokens: nn.Linear) -> None:
        """Start edge tokens apart, so that a place in the cell can be told from the first step on.

        The four rows of NAS-Bench-201's Laplacian hardly differ between architectures, and six
        mixtures of them hardly from each other. Ours; neither paper says how TNASP starts.
        """
        nn.init.normal_(rows_to_tokens.bias)
        with torch.no_grad():
            self.positions.weight.mul_(EDGE_POSITION_GAIN)

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch of architectures, on the normalised labels' scale."""
        real = self._real_tokens(graphs)
        tokens = self.embed(graphs)
        if isinstance(self.encoder, TransformerEncoder):
            tokens = self.encoder(tokens, real)
        else:
            tokens = self.encoder(tokens, graphs)
        return self.regress(self.pool(tokens, real), graphs.features)

    def embed(self, graphs: Graphs) -> Tensor:
        """Sum of the two branches: ``[B, T, E]``."""
        tokens = None
        if self.operation_branch:
            tokens = F.embedding(self.token_row[graphs.operations.int()], self.operations.weight)
        if self.positional_branch:
            positions = self._embed_positions(graphs)
            tokens = positions if tokens is None else tokens + positions
        assert tokens is not None
        if tokens.dim() == 2:  # sinusoids alone are the same for every architecture
            tokens = tokens.expand(len(graphs), -1, -1)
        if self.norm is not None:
            tokens = self.norm(F.dropout(tokens, self.dropout, self.training))
        return tokens

    def pool(self, tokens: Tensor, real: Tensor | None) -> Tensor:
        """Mean over the tokens that count: ``[B, T, E]`` to ``[B, E]``."""
        if real is None:
            return tokens.mean(1)
        weight = real.to(tokens.dtype).unsqueeze(-1)
        return (tokens * weight).sum(1) / weight.sum(1)

    def regress(self, pooled: Tensor, features: Tensor | None) -> Tensor:
        """Two bias-free linear layers: ``[B, E]`` and the extra inputs ``[B, F]`` to ``[B]``."""
        if self.shape.features:
            check_features(features, self.shape.features)
            assert features is not None
            pooled = torch.cat([pooled, features], 1)
        hidden = F.linear(pooled, self.hidden.weight)
        if self.regressor == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.dropout(hidden, self.dropout, self.training)
        return F.linear(hidden, self.score.weight).squeeze(-1)

    def scoring_module(
        self, graphs: Graphs, dtype: torch.dtype, codes: Codes | None = None
    ) -> ScoringModule | None:
        """An algebraically equal, faster form for scoring ``graphs``, without gradients.

        None where a GCN or an MLP replaces the transformer: they are fast as they are.
        """
        if not isinstance(self.encoder, TransformerEncoder):
            return None
        return TNASPScoring(self, graphs, dtype)

    def _real_tokens(self, graphs: Graphs) -> Tensor | None:
        if self.padding == "published" or self.shape.padding_token is None:
            return None
        slots = torch.arange(self.shape.tokens, device=graphs.operations.device)
        return slots < graphs.vertices.unsqueeze(-1)

    def _embed_positions(self, graphs: Graphs) -> Tensor:
        if self.positional == "sinusoidal":
            return self.sinusoids
        rows = self._position_rows(graphs)
        if self.shape.tokens != self.shape.vertices:
            mix = self.rows_to_tokens
            assert mix is not None
            rows = F.linear(rows.transpose(1, 2), mix.weight, mix.bias).transpose(1, 2)
        return F.linear(rows, self.positions.weight, self.positions.bias)

    def _position_rows(self, graphs: Graphs) -> Tensor:
        if self.positional == "eigenvectors":
            return laplacian_eigenvectors(graphs.adjacency, self.eigenvectors)
        encode = laplacian if self.positional == "laplacian" else normalised_laplacian
        return encode(graphs.adjacency)

    # Buffers, declared for the type checker.
    token_row: Tensor
    sinusoids: Tensor


def check_features(features: Tensor | None, expected: int) -> None:
    """Refuse graphs without the extra inputs that the predictor was built for."""
    if features is None:
        raise NaspError(
            f"the predictor was built for {expected} extra inputs of each architecture, but the "
            "graphs carry none; encode them with features"
        )


def _check_choice(setting: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise NaspError(f"predictor.{setting}={value!r} is unknown: choose " + "|".join(choices))


def _token_rows(shape: Shape, padding: str) -> Tensor:
    """Row of the embedding for each token: the published code gives padding another's row."""
    rows = torch.arange(shape.vocabulary)
    published = shape.published_padding_token
    if padding == "published" and shape.padding_token is not None and published is not None:
        rows[shape.padding_token] = published
    return rows

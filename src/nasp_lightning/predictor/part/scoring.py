"""Scoring a whole search space with any neural predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import Codes, GradientPredictor, ScoringModule
from nasp_lightning.space.base import Graphs

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def score_all(
    predictor: nn.Module,
    graphs: Graphs,
    batch_size: int | None = None,
    precision: str = "float32",
    device: torch.device | str | None = None,
    progress: Callable[[int], None] | None = None,
    codes: Codes | None = None,
) -> Tensor:
    """Score every architecture, in evaluation mode and without gradients.

    A :class:`~nasp_lightning.predictor.base.GradientPredictor` is asked for its
    ``scoring_module``; where it has none, and any other module, is called as it is. The
    predictor's mode is restored.

    Args:
        predictor: maps a batch of graphs to scores ``[B]``.
        graphs: N encoded architectures.
        batch_size: architectures in a batch; None for what suits the predictor and the device.
        precision: ``float32`` or ``bfloat16`` (weights and activations; products accumulate in
            float32). Only a fast form computes in bfloat16; other predictors run under autocast.
        device: where to compute; None for where the predictor is.
        progress: told the number of architectures of each batch.
        codes: gives the extra inputs of those rows of ``graphs`` that the ranking reads them of,
            where each costs something: of a shortlist, if the predictor says ``shortlists``, else
            of all. None: ``graphs`` carry what is needed.

    Returns:
        ``[N]`` float32 scores on the CPU, in the order of ``graphs``.

    Raises:
        NaspError: if ``precision`` is unknown or ``batch_size`` is not positive.
    """
    if precision not in PRECISIONS:
        raise NaspError(f"precision={precision!r} is unknown: choose " + "|".join(PRECISIONS))
    if batch_size is not None and batch_size < 1:
        raise NaspError(f"batch_size={batch_size}: a batch needs at least 1 architecture")
    here = _device_of(predictor)
    there = here if device is None else torch.device(device)
    training = predictor.training
    predictor.eval()
    try:
        with torch.inference_mode():
            predictor.to(there)
            placed = graphs.to(there)
            return _score(predictor, placed, batch_size, PRECISIONS[precision], progress, codes)
    finally:
        predictor.to(here)
        predictor.train(training)


def _score(
    predictor: nn.Module,
    graphs: Graphs,
    batch_size: int | None,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None,
    codes: Codes | None,
) -> Tensor:
    device = graphs.operations.device
    shortlists = isinstance(predictor, GradientPredictor) and predictor.shortlists
    if codes is not None and not shortlists:
        graphs = replace(graphs, features=codes(torch.arange(len(graphs))).to(device))
        codes = None
    fast: ScoringModule | None = None
    if isinstance(predictor, GradientPredictor):
        fast = predictor.scoring_module(graphs, dtype, codes)
    module: nn.Module = predictor if fast is None else fast
    size = batch_size or (256 if device.type == "cpu" else 8192)
    if fast is not None:
        size = batch_size or fast.batch_size
    autocast = fast is None and dtype is not torch.float32
    scores = torch.empty(len(graphs), dtype=torch.float32, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
        for start in range(0, len(graphs), size):
            part = slice(start, min(start + size, len(graphs)))
            scores[part] = module(graphs[part]).float()
            if progress is not None:
                progress(part.stop - part.start)
    return scores.cpu()


def _device_of(module: nn.Module) -> torch.device:
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")

"""Scoring a whole search space with any neural predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs

# From rows [c] of the architectures at hand to their extra inputs [c, F].
Codes = Callable[[Tensor], Tensor]

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

    A predictor with a method ``scoring_module(graphs, dtype)`` is asked for an algebraically
    equal, faster form of itself; it may use that all of ``graphs`` are known, and returns None
    where it has none. Any other predictor is called as it is. The predictor's mode is restored.

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
    offer = getattr(predictor, "scoring_module", None)
    if codes is None:
        fast = None if offer is None else offer(graphs, dtype)
    elif getattr(predictor, "shortlists", False):
        assert offer is not None
        fast = offer(graphs, dtype, codes)
    else:
        graphs = replace(graphs, features=codes(torch.arange(len(graphs))).to(device))
        fast = None if offer is None else offer(graphs, dtype)
    module: nn.Module = predictor if fast is None else fast
    size = batch_size or int(getattr(module, "batch_size", 256 if device.type == "cpu" else 8192))
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

"""Whether a predictor takes extra inputs of architectures: found out by watching it read them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.space.base import Graphs


class WatchedGraphs(Graphs):
    """Graphs that note in a list whenever their extra inputs are read; so do their parts."""

    seen: list[bool]

    def __getattribute__(self, name: str) -> object:
        """Note a reading of ``features``."""
        if name == "features":
            vars(self).get("seen", []).append(True)
        return object.__getattribute__(self, name)

    def __getitem__(self, index: Tensor | slice) -> Graphs:
        """The chosen architectures, watched as well."""
        return watch(_plain(self)[index], self.seen)

    def to(self, device: torch.device | str) -> Graphs:
        """The same graphs on another device, watched as well."""
        return watch(_plain(self).to(device), self.seen)


def watch(graphs: Graphs, seen: list[bool]) -> WatchedGraphs:
    """The same graphs; each reading of their extra inputs adds to ``seen``."""
    parts = vars(_plain(graphs))
    watched = WatchedGraphs(**parts)
    object.__setattr__(watched, "seen", seen)  # the class is frozen
    return watched


def _plain(graphs: Graphs) -> Graphs:
    return Graphs(**{name: part for name, part in vars(graphs).items() if name != "seen"})


def reads_features(predictor: nn.Module, graphs: Graphs, count: int) -> bool:
    """Whether a neural predictor reads extra inputs when it is trained.

    It is tried on a few architectures with inputs that are made up; neither it nor any random
    state changes.

    Args:
        predictor: before its training.
        graphs: some architectures.
        count: number F of extra inputs.
    """
    device = graphs.operations.device
    made_up = replace(graphs, features=torch.zeros(len(graphs), count, device=device))
    labels = torch.linspace(-1, 1, len(graphs), device=device)
    seen: list[bool] = []
    loss = predictor.own_loss if isinstance(predictor, GradientPredictor) else None
    training = predictor.training
    predictor.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            if loss is None:
                predictor(watch(made_up, seen))
            else:
                loss(watch(made_up, seen), labels)
    finally:
        predictor.train(training)
    return bool(seen)

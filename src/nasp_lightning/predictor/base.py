"""The predictor's contract: all that studies, frameworks and searches read of one.

A predictor is built with ``shape=`` (:class:`~nasp_lightning.space.base.Shape`) and ranks encoded
architectures. Two kinds:

* :class:`GradientPredictor`, a ``torch.nn.Module`` that :mod:`nasp_lightning.task.predictor`
  trains;
* :class:`ClassicalPredictor`, which is fitted at once.

Either may be :class:`Probabilistic` as well and say how sure it is. :func:`adopt` takes what has
no base class of these: a plain module, or an object with ``fit`` and ``score``.

Example:
    >>> class Mine(GradientPredictor):  # doctest: +SKIP
    ...     encodings = ("node",)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs

Loss = Callable[[Tensor, Tensor], Tensor]  # of scores [B] and labels [B]
OwnLoss = Callable[[Graphs, Tensor], Tensor]  # of architectures [B] and labels [B]
Codes = Callable[[Tensor], Tensor]  # from rows [c] to their extra inputs [c, F]


class Predictor:
    """What every predictor says of itself.

    Attributes:
        encodings: of a space that it prefers, best first; empty: the space's own first one.
        shortlists: whether a ranking reads the extra inputs of a shortlist only, which
            :meth:`GradientPredictor.scoring_module` asks for; False: those of all.
        pairwise: whether it only compares pairs: its scores order architectures, and no framework
            can hold one against a label.
        needs_labels: False: it ranks without any label, and none is counted.
        ranks_only: whether scores lie on no scale; False: on that of the normalised labels.
        loss: name under which results list what was minimised; of a
            :class:`GradientPredictor` the task says it.
    """

    encodings: ClassVar[tuple[str, ...]] = ()
    shortlists: ClassVar[bool] = False
    pairwise: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    ranks_only: bool = False
    loss: str = "mse"

    @property
    def title(self) -> str:
        """Its name in messages."""
        return type(self).__name__

    def set_label_scale(self, mean: float, deviation: float) -> None:
        """Told which accuracies in [0, 1] the labels 0 and 1 are: ``mean``, ``mean + deviation``.

        Called before the fit, and again where a framework chooses the labels.
        """


class GradientPredictor(nn.Module, Predictor):
    """A module from architectures to scores, trained by gradients.

    ``training_loss``, where a subclass has one, takes the place of ``task.loss``.
    """

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` of a batch, higher is better."""
        raise NotImplementedError

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Loss of its own, a scalar, of a batch and its normalised labels ``[B]``."""
        raise NotImplementedError

    @property
    def own_loss(self) -> OwnLoss | None:
        """``training_loss`` where a subclass has one, else None."""
        own = type(self).training_loss is not GradientPredictor.training_loss
        return self.training_loss if own else None

    def rank_by(self, loss: Loss) -> bool:
        """Told of a ranking ``task.loss``: whether its own loss now is by that one.

        Only asked of those with a loss of their own; the others' scores are trained by it anyway.
        """
        return False

    def scoring_module(
        self, graphs: Graphs, dtype: torch.dtype, codes: Codes | None = None
    ) -> ScoringModule | None:
        """A faster form for scoring ``graphs`` in evaluation, without gradients; None: itself.

        Args:
            graphs: all N that will be scored, in that order.
            dtype: float32 or bfloat16, of weights and activations.
            codes: where it ``shortlists``: gives the extra inputs of the rows that it asks for;
                None: ``graphs`` carry them.
        """
        return None

    def choosing(self) -> AbstractContextManager[None]:
        """Within it, rankings choose architectures to train on."""
        return nullcontext()

    def check_codes(self, graphs: Graphs) -> None:
        """Refuse extra inputs of a batch that it could not refuse in a vectorised step.

        Raises:
            NaspError: with the remedy.
        """

    def fit_posterior(self, graphs: Graphs, labels: Tensor) -> None:
        """Called after a training: ``n`` architectures and their normalised labels ``[n]``."""


class ScoringModule(nn.Module):
    """Hands out the scores ``[B]`` of the architectures that it was made for.

    Attributes:
        batch_size: architectures in a batch that suit it.
    """

    batch_size: int


class ClassicalPredictor(Predictor, ABC):
    """A predictor without gradient training."""

    @abstractmethod
    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their normalised labels ``[n]``."""

    @abstractmethod
    def score(self, graphs: Graphs) -> Array:
        """``[N]`` float64 scores, higher is better."""

    def prepare(self, graphs: Graphs) -> Graphs:
        """Work on a pool that needs no label, done once before many fits on its members.

        What it returns is indexed for fits, and given to scorings, in place of ``graphs``.
        """
        return graphs

    def refit(self, graphs: Graphs, labels: Array) -> None:
        """Fit again, with further labels; it may go on from the last fit."""
        self.fit(graphs, labels)

    def forget(self) -> None:
        """The next :meth:`refit` is a first one; what :meth:`prepare` worked out is kept."""


@dataclass(frozen=True)
class Posterior:
    """Belief in labels.

    Attributes:
        mean: ``[N]`` float64.
        deviation: ``[N]`` float64, standard deviation.
        scale: ``label``: of normalised labels; ``accuracy``: in [0, 1].
    """

    mean: Array
    deviation: Array
    scale: Literal["label", "accuracy"] = "label"

    def accuracy(self, mean: float, deviation: float) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of accuracies in [0, 1].

        Args:
            mean: accuracy that the normalised label 0 is.
            deviation: accuracy that a unit of normalised labels is.
        """
        if self.scale == "accuracy":
            return self.mean, self.deviation
        return self.mean * deviation + mean, self.deviation * deviation


@dataclass(frozen=True)
class Draws:
    """Joint draws of what labels are about.

    Attributes:
        values: ``[S, N]`` float64, each row one draw of all N.
        scale: as a :class:`Posterior`'s.
    """

    values: Array
    scale: Literal["label", "accuracy"] = "label"

    def accuracy(self, mean: float, deviation: float) -> Array:
        """The draws as accuracies in [0, 1]; arguments as :meth:`Posterior.accuracy`'s."""
        return self.values if self.scale == "accuracy" else self.values * deviation + mean


class Probabilistic(Predictor, ABC):
    """A predictor, of whichever kind, that says how sure it is."""

    @abstractmethod
    def posterior(self, graphs: Graphs) -> Posterior:
        """Belief in a new label of each of ``[N]`` architectures, after the fit.

        Its noise included. Of a :class:`GradientPredictor`, with ``graphs`` on its device.
        """

    def signal(self, graphs: Graphs) -> Posterior:
        """The same of what a label is about, without noise; where that is not told apart, of it."""
        return self.posterior(graphs)

    def draws(self, graphs: Graphs, count: int, rng: np.random.Generator) -> Draws:
        """``count`` draws of :meth:`signal`, each of all ``[N]`` architectures jointly.

        This one takes them to be normal and independent, which no two similar architectures are:
        a search that evaluates several at once then chooses neighbours.
        """
        found = self.signal(graphs)
        normal = rng.standard_normal((count, len(found.mean)))
        return Draws(found.mean + normal * found.deviation, found.scale)

    def interval(self, graphs: Graphs, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper ends ``[N]`` that hold a new label with probability ``level``.

        On the posterior's scale; this one takes it to be normal.
        """
        found = self.posterior(graphs)
        reach = NormalDist().inv_cdf(0.5 + level / 2) * found.deviation
        return found.mean - reach, found.mean + reach


@runtime_checkable
class _Fits(Protocol):
    """What a classical predictor without a base class has to have."""

    def fit(self, graphs: Graphs, labels: Array) -> None: ...

    def score(self, graphs: Graphs) -> Array: ...


class AdoptedModule(GradientPredictor):
    """A module that knows nothing of the contract, with all of its defaults.

    Args:
        module: from architectures to scores ``[B]``.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    @property
    def title(self) -> str:
        """The module's class."""
        return type(self.module).__name__

    def forward(self, graphs: Graphs) -> Tensor:
        """The module's scores ``[B]``."""
        scores: Tensor = self.module(graphs)
        return scores


class AdoptedClassical(ClassicalPredictor):
    """The same for an object with ``fit`` and ``score``."""

    def __init__(self, fitting: _Fits) -> None:
        self.fitting = fitting

    @property
    def title(self) -> str:
        """The object's class."""
        return type(self.fitting).__name__

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their normalised labels ``[n]``."""
        self.fitting.fit(graphs, labels)

    def score(self, graphs: Graphs) -> Array:
        """The object's scores ``[N]``."""
        return self.fitting.score(graphs)


def adopt(predictor: object, name: str) -> GradientPredictor | ClassicalPredictor:
    """What a config made, as a predictor: itself, or wrapped with the contract's defaults.

    Args:
        predictor: of either kind, a ``torch.nn.Module``, or an object with ``fit`` and ``score``.
        name: its config's, for messages.

    Raises:
        NaspError: if it is none of them, or has a name of the contract, which a wrapper would
            not ask for.
    """
    if isinstance(predictor, GradientPredictor | ClassicalPredictor):
        return predictor
    if isinstance(predictor, nn.Module):
        # ``loss`` and ``needs_labels`` are asked of classical ones only.
        _check_plain(predictor, name, GradientPredictor, {"forward", "loss", "needs_labels"})
        return AdoptedModule(predictor)
    if isinstance(predictor, _Fits):
        _check_plain(predictor, name, ClassicalPredictor, {"fit", "score"})
        return AdoptedClassical(predictor)
    raise NaspError(
        f"predictor {name} is neither a torch.nn.Module nor has it the methods fit and score "
        "(see nasp_lightning/predictor/base.py)"
    )


def _check_plain(predictor: object, name: str, base: type[Predictor], passed: set[str]) -> None:
    """Refuse names of the contract but those ``passed`` on by its wrapper, or read by nobody."""
    contract = {
        item
        for kind in (Predictor, base, Probabilistic)
        for item in vars(kind)
        if not item.startswith("_")
    }
    own = sorted(item for item in contract - passed - {"title"} if hasattr(predictor, item))
    if own:
        raise NaspError(
            f"predictor {name} has {', '.join(own)} without being a predictor of this project, so "
            f"nothing would ask for it: subclass nasp_lightning.predictor.base.{base.__name__}"
        )


def check_labels(labels: Array) -> Array:
    """Labels ``[n]`` as float64.

    Raises:
        NaspError: if there is none or one is not finite.
    """
    values: Array = np.asarray(labels, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise NaspError(
            f"training labels must be finite and at least one; got {list(values.shape)} with "
            f"{int((~np.isfinite(values)).sum())} not finite"
        )
    return values

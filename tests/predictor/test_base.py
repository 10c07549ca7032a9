from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    GradientPredictor,
    Posterior,
    Predictor,
    Probabilistic,
    adopt,
    check_labels,
)
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.part.targets import Targets
from nasp_lightning.run.config import RunInfo
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.study.settings import make_space
from tests.tiny import compose_config

PREDICTORS = sorted(file.stem for file in (conf_dir() / "predictor").glob("*.yaml"))


class Ones(nn.Module):
    """A user's module that knows nothing of the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, graphs: Graphs) -> Tensor:
        return self.one.expand(len(graphs))


class Counts:
    """A user's class without gradients that knows nothing of it either."""

    def fit(self, graphs: Graphs, labels: Array) -> None:
        self.count = len(labels)

    def score(self, graphs: Graphs) -> Array:
        return np.full(len(graphs), float(self.count))


class Own(GradientPredictor):
    """A predictor with a loss of its own."""

    encodings = ("node",)

    def forward(self, graphs: Graphs) -> Tensor:
        return graphs.operations.float().sum(1)

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        return self(graphs).sum()


class Sure(ClassicalPredictor, Probabilistic):
    """Believes in 1 ± 2 for every architecture."""

    def fit(self, graphs: Graphs, labels: Array) -> None: ...

    def score(self, graphs: Graphs) -> Array:
        return self.posterior(graphs).mean

    def posterior(self, graphs: Graphs) -> Posterior:
        return Posterior(np.ones(len(graphs)), np.full(len(graphs), 2.0))


SPACE = NASBench201()
GRAPHS = SPACE.encode(*SPACE.sample(np.random.default_rng(0), 5))


def make(name: str) -> Predictor:
    config = compose_config("benchmark=nasbench201", f"predictor={name}")
    make_predictor = instantiate(config["predictor"])
    info = RunInfo.of(config)
    shape = make_space(info.component("space"), info.component("predictor")).shape
    made: Predictor = make_predictor(shape=replace(shape, features=int(name == "proxy")))
    return made


def test_what_shipped_predictors_say_of_themselves() -> None:
    made = {name: make(name) for name in PREDICTORS}
    kinds = (GradientPredictor, ClassicalPredictor)
    assert all(isinstance(item, kinds) for item in made.values())

    def those(says: Callable[[Predictor], bool]) -> set[str]:
        return {name for name, item in made.items() if says(item)}

    classical = {"bananas", "gaussian_process", "gradient_boosting", "multiview", "proxy"}
    assert those(lambda item: isinstance(item, ClassicalPredictor)) == classical
    sure = {"bananas", "bonas", "gaussian_process", "multiview"}
    assert those(lambda item: isinstance(item, Probabilistic)) == sure
    own = {"bonas", "brp", "nao", "siamese"}
    assert those(lambda item: isinstance(item, GradientPredictor) and bool(item.own_loss)) == own
    assert those(lambda item: item.pairwise) == {"brp"}
    assert those(lambda item: item.shortlists) == {"siamese"}
    assert those(lambda item: item.ranks_only) == those(lambda item: not item.needs_labels)
    assert those(lambda item: item.ranks_only) == {"proxy"}
    likely = {"gaussian_process", "multiview"}
    assert those(lambda item: item.loss == "marginal_likelihood") == likely
    assert all(adopt(item, name) is item for name, item in made.items())


def test_a_plain_module_has_the_defaults() -> None:
    module = Ones()
    found = adopt(module, "ones")
    assert isinstance(found, GradientPredictor)
    assert (found.encodings, found.shortlists, found.pairwise) == ((), False, False)
    assert (found.needs_labels, found.ranks_only, found.loss) == (True, False, "mse")
    assert (found.own_loss, found.title) == (None, "Ones")
    assert not found.rank_by(torch.dot)
    assert found.scoring_module(GRAPHS, torch.float32) is None
    found.set_label_scale(0.9, 0.1)
    found.check_codes(GRAPHS)
    found.fit_posterior(GRAPHS, torch.zeros(5))
    with found.choosing():
        assert score_all(found, GRAPHS).tolist() == score_all(module, GRAPHS).tolist() == [1.0] * 5
    assert [name for name, _ in found.named_parameters()] == ["module.one"]
    assert found.module.one is module.one  # type: ignore[union-attr]


def test_an_object_with_fit_and_score_has_them_too() -> None:
    found = adopt(Counts(), "counts")
    assert isinstance(found, ClassicalPredictor)
    assert not isinstance(found, Probabilistic)
    assert (found.title, found.loss, found.needs_labels) == ("Counts", "mse", True)
    found.fit(GRAPHS, np.zeros(3))
    assert found.score(GRAPHS).tolist() == [3.0] * 5


def test_a_loss_of_its_own_is_found() -> None:
    made = Own()
    assert adopt(made, "own") is made
    assert made.own_loss is not None
    assert made.own_loss(GRAPHS, torch.zeros(5)) == made(GRAPHS).sum()


@pytest.mark.parametrize("made", [object(), 3, None, np.zeros(2)])
def test_anything_else_is_no_predictor(made: object) -> None:
    told = "predictor mine is neither a torch.nn.Module nor has it the methods fit and score"
    with pytest.raises(NaspError, match=told):
        adopt(made, "mine")


@pytest.mark.parametrize(
    ("base", "has"),
    [
        (Ones, "encodings"),
        (Ones, "training_loss"),
        (Ones, "set_label_scale"),
        (Ones, "scoring_module"),
        (Ones, "posterior"),
        (Counts, "encodings"),
        (Counts, "loss"),
        (Counts, "needs_labels"),
        (Counts, "interval"),
    ],
)
def test_a_part_of_the_contract_wants_its_base_class(base: type, has: str) -> None:
    made = type("Part", (base,), {has: ()})()
    kind = "GradientPredictor" if base is Ones else "ClassicalPredictor"
    told = f"predictor part has {has} without .*: subclass nasp_lightning.predictor.base.{kind}"
    with pytest.raises(NaspError, match=told):
        adopt(made, "part")


def test_half_of_the_contract_is_not_enough() -> None:
    class Half(Ones, Probabilistic):
        def posterior(self, graphs: Graphs) -> Posterior:
            raise NotImplementedError

    with pytest.raises(NaspError, match=r"subclass nasp_lightning\.predictor\.base\.Gradient"):
        adopt(Half(), "half")


def test_names_that_only_others_have_are_free() -> None:
    module = Ones()
    module.loss, module.fit = nn.MSELoss(), print
    assert isinstance(adopt(module, "ones"), GradientPredictor)


def test_a_posterior_gives_accuracies_and_intervals() -> None:
    found = Sure().posterior(GRAPHS)
    mean, deviation = found.accuracy(0.9, 0.05)
    np.testing.assert_allclose(mean, 0.95)
    np.testing.assert_allclose(deviation, 0.1)
    low, high = Sure().interval(GRAPHS, 0.9)
    np.testing.assert_allclose([low[0], high[0]], [1 - 2 * 1.644854, 1 + 2 * 1.644854], atol=1e-5)
    stated = Posterior(mean, deviation, "accuracy")
    assert stated.accuracy(0.1, 9.0) == (mean, deviation)


@pytest.mark.parametrize("labels", [[], [1.0, np.nan], [np.inf], [[1.0]]])
def test_labels_must_be_finite_and_some(labels: list[float]) -> None:
    with pytest.raises(NaspError, match="finite"):
        check_labels(np.array(labels))


@pytest.mark.parametrize("kind", ["normal_scores", "raw"])
def test_targets_go_there_and_back(kind: str) -> None:
    labels = np.array([0.3, -2.0, 0.3, 1.0, 0.9])
    targets = Targets(labels, kind)
    np.testing.assert_allclose(targets.inverse(targets.values), labels)
    wide = targets.inverse(np.linspace(-9, 9, 400))
    assert (np.diff(wide) > 0).all()  # beyond the labels too: no ties in a ranking


def test_normal_scores_see_ranks_alone() -> None:
    labels = np.array([0.1, 0.5, 0.9, 0.7])
    first, second = Targets(labels), Targets(np.exp(20 * labels))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_allclose(first.values, [-1.1503, -0.3186, 1.1503, 0.3186], atol=1e-4)


@pytest.mark.parametrize("labels", [[0.5], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("kind", ["normal_scores", "raw"])
def test_equal_labels(labels: list[float], kind: str) -> None:
    targets = Targets(np.array(labels), kind)
    np.testing.assert_allclose(targets.inverse(targets.values), labels)
    assert (np.diff(targets.inverse(np.array([-1.0, 0.0, 1.0]))) > 0).all()


def test_unknown_targets() -> None:
    with pytest.raises(NaspError, match="normal_scores"):
        Targets(np.array([1.0, 2.0]), "ranks")


@pytest.mark.parametrize("name", PREDICTORS)
def test_extra_inputs_are_taken_or_refused(name: str) -> None:
    """No shipped predictor is given ``data.features`` and ranks as if it had none."""
    config = compose_config("benchmark=nasbench201", f"predictor={name}")
    torch.manual_seed(0)
    make_predictor = instantiate(config["predictor"])
    info = RunInfo.of(config)
    space = make_space(info.component("space"), info.component("predictor"))
    rng = np.random.default_rng(0)
    extra = torch.from_numpy(rng.standard_normal((40, 2)).astype(np.float32))
    graphs = replace(space.encode(*space.sample(rng, 40)), features=extra)
    try:
        predictor = make_predictor(shape=replace(space.shape, features=2))
    except NaspError as refusal:
        told = str(refusal)
    else:
        told = ""
    if told:
        assert "data.features" in told
        return
    others = replace(graphs, features=extra.flip(0))
    if isinstance(predictor, nn.Module):
        before, after = score_all(predictor, graphs), score_all(predictor, others)
    else:
        predictor.fit(graphs, extra[:, 0].double().numpy())
        before, after = predictor.score(graphs), predictor.score(others)
    assert not np.allclose(np.asarray(before), np.asarray(after))

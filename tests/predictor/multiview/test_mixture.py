from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.multiview import MultiView
from nasp_lightning.predictor.multiview.additive_process import AdditiveProcess
from nasp_lightning.predictor.multiview.mixture import (
    Hyperparameters,
    Mixture,
    choose,
    held_out_errors,
)
from tests.predictor.multiview import tables
from tests.predictor.multiview.processes import problem, squared

MODELS = [(0, 1), (1,)]


def test_a_view_alone_wins_where_it_alone_is_right() -> None:
    rng = np.random.default_rng(0)
    right = rng.standard_normal((60, 2)) / np.sqrt(2)
    wrong = [rng.standard_normal((60, 9)) / 3 for _ in range(6)]
    distances = [squared(view, view) for view in (right, *wrong)]
    targets = right[:, 0] - right[:, 1]
    targets = (targets - targets.mean()) / targets.std()
    models = [tuple(range(7)), (0,), (1,)]
    weights = choose(distances, targets, models, 60).weights
    assert weights.argmax() == 1
    assert weights.sum() == pytest.approx(1)
    assert weights[2] < 1e-3


def test_moments_are_those_of_draws() -> None:
    inside, outside, targets = problem()
    chosen = choose(inside, targets, MODELS, 60)
    chosen = Hyperparameters(chosen.logarithms, np.array([0.6, 0.4]))
    mixture = Mixture(inside, targets, MODELS, chosen)
    outside, own = [part[:1] for part in outside], [np.zeros((1, 1))] * 2
    drawn = mixture.draws(outside, own, 40_000, np.random.default_rng(0))
    mean, deviation = mixture.moments(outside, noisy=False)
    np.testing.assert_allclose(mean, mixture.mean(outside))
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), deviation, atol=0.02)
    assert (mixture.moments(outside)[1] > deviation).all()  # of a label, with its noise
    assert mixture.shares(2).sum() == pytest.approx(1)


def test_a_copy_of_a_training_architecture_is_drawn_as_itself() -> None:
    inside, _, targets = problem()
    mixture = Mixture(inside, targets, MODELS, choose(inside, targets, MODELS, 60))
    twice = [np.concatenate([part[:3], part[:3]]) for part in inside]
    own = [np.tile(part[:3, :3], (2, 2)) for part in inside]
    drawn = mixture.draws(twice, own, 50, np.random.default_rng(0))
    np.testing.assert_allclose(drawn[:, :3], drawn[:, 3:], atol=0.05)


def test_held_out_errors_come_from_fits_without_the_fold() -> None:
    inside, _, targets = problem()
    folds = np.arange(len(targets)) % 4
    errors = held_out_errors(inside, targets, [(0, 1)], 99, folds)
    rest, held = np.flatnonzero(folds != 2), np.flatnonzero(folds == 2)
    part = [distances[np.ix_(rest, rest)] for distances in inside]
    logarithms = choose(part, targets[rest], [(0, 1)], 99).logarithms[0]
    refit = AdditiveProcess(part, targets[rest], logarithms)
    mean, deviation = refit.moments([distances[np.ix_(held, rest)] for distances in inside])
    deviation = np.sqrt(deviation**2 + refit.noise)
    np.testing.assert_allclose(errors[held], (targets[held] - mean) / deviation)


TABLES: dict[str, Callable[[Path], tables.Labelled]] = {
    "GPU latency": lambda folder: tables.hardware(folder, "edgegpu_latency"),
    "accelerator energy": lambda folder: tables.hardware(folder, "eyeriss_energy"),
    "scenes": lambda folder: tables.transnas(folder, "class_scene_val"),
    "room layout (minus the loss)": lambda folder: tables.transnas(folder, "room_layout_val"),
    "chains": tables.macro,
    "a chain of three settings": lambda _: tables.settings_chain(),
}


@pytest.mark.parametrize("name", TABLES)
def test_it_never_loses_to_twenty_lines(name: str, request: pytest.FixtureRequest) -> None:
    """Kendall's tau at 50, 100 and 200 labels, of accuracies, costs and losses alike."""
    made_here = name == "a chain of three settings"
    folder = Path() if made_here else request.getfixturevalue("data_dir")
    try:
        shape, graphs, labels = TABLES[name](folder)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is absent")
    inputs = tables.onehots(graphs, shape)
    for size in (50, 100, 200):
        taus: dict[str, list[float]] = {}
        for seed in range(4):
            order = np.random.default_rng(seed).permutation(len(labels))
            train, test = order[:size], order[size : size + 2000]
            rows, others = torch.from_numpy(train), torch.from_numpy(test)
            found = {}
            for kind, predictor in (
                ("own", MultiView(shape, calibrated=False)),
                ("plain", GaussianProcess(shape, restarts=0)),
            ):
                predictor.fit(graphs[rows], labels[train])
                found[kind] = predictor.score(graphs[others])
            known = (inputs[train], labels[train], inputs[test])
            found["one-hot process"] = tables.onehot_process(*known)
            found["one-hot boosting"] = tables.onehot_boosting(*known)
            for kind, scores in found.items():
                taus.setdefault(kind, []).append(kendalltau(scores, labels[test])[0])
        means = {kind: float(np.mean(values)) for kind, values in taus.items()}
        own = means.pop("own")
        assert own >= max(means.values()) - 0.005, (size, own, means)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import Probabilistic
from nasp_lightning.predictor.multiview import MultiView
from nasp_lightning.predictor.part.watch import watch
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.chain import Chain
from tests.predictor.problems import SPACE, problem


def fitted(labels: Any, graphs: Graphs, **settings: Any) -> MultiView:
    process = MultiView(SPACE.shape, **{"width": 8, **settings})
    process.fit(graphs[: len(labels)], labels)
    return process


@pytest.mark.parametrize("targets", ["normal_scores", "raw"])
def test_learns_and_keeps_the_labels_scale(targets: str) -> None:
    graphs, labels = problem(600)
    process = fitted(labels[:150], graphs, targets=targets)
    assert isinstance(process, Probabilistic)
    scores = process.score(graphs)
    assert scores.shape == (600,)
    assert kendalltau(scores[150:], labels[150:])[0] > 0.65
    assert np.sqrt(np.mean((scores[150:] - labels[150:]) ** 2)) < 0.6
    assert sum(process.shares.values()) == pytest.approx(1)
    networks = {"mean/end", "mean/sum", "root/end", "root/sum"}
    assert set(process.shares) == {"features", "contracted", "subtrees", "places", *networks}


@pytest.mark.parametrize("targets", ["normal_scores", "raw"])
def test_intervals_hold_new_labels_as_often_as_they_say(targets: str) -> None:
    inside: dict[float, list[float]] = {0.5: [], 0.9: []}
    for seed in range(4):
        graphs, labels = problem(700, noise=0.5, seed=seed)
        process = fitted(labels[:120], graphs, targets=targets)
        held_out, truth = graphs[slice(120, None)], labels[120:]
        for level, shares in inside.items():
            low, high = process.interval(held_out, level)
            shares.append(float(((low <= truth) & (truth <= high)).mean()))
        found = process.posterior(held_out)
        mean, deviation = found.mean, found.deviation
        assert ((low < mean) & (mean < high)).all()
        assert 0.4 < deviation.mean() < 1.0  # the noise is 0.5
    for level, shares in inside.items():
        assert np.mean(shares) == pytest.approx(level, abs=0.06)


def test_calibration_changes_no_score() -> None:
    graphs, labels = problem(150, noise=0.3)
    set_right = fitted(labels[:80], graphs)
    as_is = fitted(labels[:80], graphs, calibrated=False)
    np.testing.assert_array_equal(set_right.score(graphs), as_is.score(graphs))
    before, after = as_is.posterior(graphs), set_right.posterior(graphs)
    assert not np.allclose(before.deviation, after.deviation)


def test_heavy_tails_widen_the_intervals() -> None:
    """Half of the labels' noise is ten times the other half's: a normal width does not do."""
    graphs, labels = problem(900)
    rng = np.random.default_rng(1)
    labels = labels + rng.standard_t(1.5, len(labels)) * 0.2
    process = fitted(labels[:300], graphs, targets="raw")
    low, high = process.interval(graphs[slice(300, None)], 0.9)
    assert 0.85 < ((low <= labels[300:]) & (labels[300:] <= high)).mean() < 0.95


def test_isomorphic_cells_have_one_score() -> None:
    graphs, labels = problem(80)
    views = ["contracted", "subtrees", "mean", "root"]
    process = fitted(labels[:60], graphs, views=views)
    # conv3 then pool: through node 1, through node 2, with a skip between, with a dead conv1.
    same = np.array(
        [[3, 0, 0, 0, 4, 0], [0, 3, 0, 0, 0, 4], [3, 0, 1, 0, 0, 4], [3, 2, 0, 0, 4, 0]], np.uint8
    )
    scores = process.score(SPACE.encode(same))
    np.testing.assert_allclose(scores, scores[0], atol=1e-4)


def test_order_depends_on_ranks_alone() -> None:
    graphs, labels = problem(300)
    first = fitted(labels[:80], graphs).score(graphs)
    second = fitted(np.expm1(5 * labels[:80]), graphs).score(graphs)
    assert kendalltau(first, second)[0] > 0.999


def test_likelihood_on_a_part_uses_all_labels_afterwards() -> None:
    graphs, labels = problem(500)
    part = fitted(labels[:60], graphs)
    more = fitted(labels[:300], graphs, likelihood_labels=60, seed=1)
    truth = labels[300:]
    better, worse = (kendalltau(each.score(graphs)[300:], truth)[0] for each in (more, part))
    assert better > worse


def test_same_seed_same_scores() -> None:
    graphs, labels = problem(120)
    scores = [
        fitted(labels[:80], graphs, likelihood_labels=40, seed=3).score(graphs) for _ in range(2)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])


@pytest.mark.parametrize("labels", [[0.5], [0.5, 0.5, 0.5]])
def test_few_or_equal_labels_give_finite_scores(labels: list[float]) -> None:
    graphs, _ = problem(20)
    process = fitted(np.array(labels), graphs)
    assert np.isfinite(process.score(graphs)).all()
    assert np.isfinite(process.interval(graphs, 0.9)).all()


@pytest.mark.parametrize("trend", [True, False])
def test_extra_inputs_help_as_a_view_and_as_a_prior_mean(trend: bool) -> None:
    graphs, labels = problem(400)
    proxy = torch.from_numpy(labels + 0.3 * np.random.default_rng(0).standard_normal(400))
    informed = replace(graphs, features=torch.stack([proxy, -proxy], 1).float())
    shape, seen = replace(SPACE.shape, features=2), []  # type: ignore[var-annotated]
    process = MultiView(shape, width=8, trend=trend)
    process.fit(watch(informed[:40], seen), labels[:40])
    assert seen
    better = kendalltau(process.score(informed)[40:], labels[40:])[0]
    assert better > kendalltau(fitted(labels[:40], graphs).score(graphs)[40:], labels[40:])[0]
    found = process.posterior(informed)
    inside = np.abs(found.mean - labels)[40:] < 2 * found.deviation[40:]
    assert inside.mean() > 0.85
    drawn = process.draws(informed[40:60], 2000, np.random.default_rng(0)).values
    signal = process.signal(informed[40:60])
    np.testing.assert_allclose(drawn.mean(0), signal.mean, atol=0.15)


def test_a_prior_mean_needs_inputs() -> None:
    graphs, labels = problem(30)
    with pytest.raises(NaspError, match=r"no extra inputs: set data.features"):
        fitted(labels[:20], graphs, trend=True)


def test_a_search_goes_on_from_the_last_fit_on_a_pool() -> None:
    graphs, labels = problem(200)
    process = MultiView(SPACE.shape, width=8, calibrated=False)
    pool = process.prepare(graphs)
    for count in (20, 24, 40):
        rows = torch.arange(count)
        process.refit(pool[rows], labels[:count])
    alone = MultiView(SPACE.shape, width=8, calibrated=False)
    alone.prepare(graphs)
    alone.refit(graphs[rows], labels[:40])
    found, expected = process.signal(pool), alone.signal(graphs)
    np.testing.assert_allclose(found.mean, expected.mean, atol=0.05)
    np.testing.assert_allclose(found.deviation, expected.deviation, atol=0.05)
    assert kendalltau(process.score(pool)[40:], labels[40:])[0] > 0.5
    process.forget()
    process.refit(pool[rows], labels[:40])
    np.testing.assert_allclose(process.signal(pool).mean, expected.mean, atol=1e-3)


class Blocks(Chain):
    """A chain of one's own."""

    name: ClassVar[str] = "tests.predictor.test_multiview.Blocks"
    operation_names = ("skip", "conv3", "conv5", "pool")
    layers = 5


def test_a_chain_of_ones_own() -> None:
    space = Blocks()
    operations, _ = space.sample(np.random.default_rng(0), 300)
    graphs = space.encode(operations)
    labels = (
        (operations == 2).sum(1) + 0.5 * (operations[:, 0] == 1) - 0.7 * (operations == 0).sum(1)
    )
    process = MultiView(space.shape, width=8)
    process.fit(graphs[:100], labels[:100])
    assert set(process.shares) == {"features", "places"}  # of a chain a graph says nothing
    assert kendalltau(process.score(graphs)[100:], labels[100:])[0] > 0.8


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """A CSV of cells is ranked without a setting, by the command's config."""
    from nasp_lightning.job.train_predictor import run
    from tests.tiny import compose_config

    graphs, labels = problem(60)
    rows = zip(graphs.operations.tolist(), labels, strict=True)
    lines = ["".join(map(str, codes)) + f",{0.9 + value / 100}" for codes, value in rows]
    file, columns = tmp_path / "mine.csv", tmp_path / "columns.yaml"
    file.write_text("\n".join(["cell,accuracy", *lines]) + "\n", encoding="utf-8")
    columns.write_text(
        "architecture: {form: digits, column: cell}\n"
        "metrics: {cifar10/test_accuracy/200: {columns: accuracy}}\n",
        encoding="utf-8",
    )
    config = compose_config(
        *("benchmark=csv", "space=nasbench201", "predictor=multiview", "predictor.width=8"),
        *(f"benchmark.path={file}", f"benchmark.columns={columns}", "benchmark.name=mine"),
        *("data.train_size=30", "data.validation_size=0"),
    )
    results = run(config, tmp_path / "run")
    assert results["kendall_tau"] > 0.5
    assert 0 <= results["calibration"]["coverage"] <= 1


def test_mistakes() -> None:
    graphs, _ = problem(10)
    with pytest.raises(NaspError, match=r"predictor\.views has 'wl'"):
        MultiView(SPACE.shape, views=["wl"])
    with pytest.raises(NaspError, match="likelihood_labels=1"):
        MultiView(SPACE.shape, likelihood_labels=1)
    with pytest.raises(NaspError, match=r"predictor\.width=0"):
        MultiView(SPACE.shape, width=0)
    with pytest.raises(NaspError, match=r"predictor\.targets='rank'"):
        MultiView(SPACE.shape, targets="rank")
    with pytest.raises(NaspError, match="fit before score"):
        MultiView(SPACE.shape).score(graphs)


def test_ranks_better_than_the_plain_process_on_nasbench201(data_dir: Path) -> None:
    from nasp_lightning.benchmark.nasbench201 import load_table
    from nasp_lightning.data.architectures import ArchitectureData
    from nasp_lightning.predictor.gaussian_process import GaussianProcess

    path = data_dir / "nasbench201" / "nasbench201_15625.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is absent")
    data = ArchitectureData(load_table("csv", path), SPACE, train_size=78, validation_size=0)
    taus: dict[str, list[float]] = {"own": [], "plain": []}
    for seed in range(3):
        split = data.with_seed(seed)
        for name, kind in (("own", MultiView), ("plain", GaussianProcess)):
            process: Any = kind(SPACE.shape, seed=seed)
            process.fit(split.graphs[split.training_indices], split.training_labels.numpy())
            taus[name].append(kendalltau(process.score(split.graphs), split.true_accuracy)[0])
    assert np.mean(taus["own"]) > np.mean(taus["plain"]) + 0.005

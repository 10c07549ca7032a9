"""The run.sh of Siamese-NAS's experiments: what they sweep exists, and what published.csv has."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.folder import resolved
from nasp_lightning.shipped import conf_dir
from tests.commands import ROOT, answer, run, word

FOLDERS = sorted(path.parent for path in ROOT.glob("experiments/siamese_*/run.sh"))
SWEPT = [path for path in FOLDERS if "_variants" in (path / "run.sh").read_text(encoding="utf-8")]
NAMES = ("VARIANTS", "LABELS", "TOP_K", "REPEATS", "DATASETS", "FIXED", "ROUNDS")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice of the shell that the tests are started from."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def sweeps_of(found: list[list[str]]) -> list[list[str]]:
    return [call for call in found if call[:3] == ["-m", "nasp_lightning", "-m"]]


@pytest.mark.parametrize("folder", SWEPT, ids=lambda path: path.name)
def test_everything_that_is_swept_can_be_composed(folder: Path, calls: Path) -> None:
    """Each of its lines, with the first of several values; the names are all different."""
    status, found = run(folder, calls)
    assert status == 0
    assert any(call[:2] == ["-m", "nasp_lightning.report"] for call in found)
    sweeps = sweeps_of(found)
    register_resolvers()
    keys = []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for call in sweeps:
            words = [item.partition(",")[0] for item in call[3:]]
            config = resolved(compose("config", words))
            assert config["job"]["_target_"] == "nasp_lightning.job.n_plus_k.run"
            assert config["job"]["repeats"] >= 5
            keys.append((config["name"], config["job"]["top_k"]))
    assert len(set(keys)) == len(keys) >= 2


@pytest.mark.parametrize(
    "file",
    sorted(ROOT.glob("experiments/siamese_*/published.csv")),
    ids=lambda path: path.parent.name,
)
def test_published_numbers_say_whether_they_are_confirmed(file: Path) -> None:
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert rows
    assert {row["confirmed"] for row in rows} <= {"yes", "digitised", "by eye"}
    assert all(row["source"] for row in rows)


def test_figures_share_their_runs(calls: Path) -> None:
    """A variant of one name is swept with the same words, so that a figure finds another's runs."""
    words: dict[str, set[str]] = {}
    for folder in SWEPT:
        calls.unlink(missing_ok=True)
        for call in sweeps_of(run(folder, calls, DATASETS="cifar10")[1]):
            own = [item for item in call if not item.startswith(("data.train_size", "job.repeats"))]
            words.setdefault(word(call, "name"), set()).add(" ".join(sorted(own)))
    assert {name: len(found) for name, found in words.items() if len(found) > 1} == {}
    assert "nb201_figure5_siamese" in words


def test_one_run_has_all_k(calls: Path) -> None:
    folder = next(path for path in FOLDERS if "figure6" in path.name)
    status, found = run(folder, calls, FIXED="n", REPEATS="3")
    assert status == 0
    assert {
        (word(call, "data.train_size"), word(call, "job.top_k")) for call in sweeps_of(found)
    } == {("30", "170")}
    assert "--fixed-n" in found[-1]


def test_a_part_of_an_experiment(calls: Path, tmp_path: Path) -> None:
    chosen = {"VARIANTS": "spikenas_naive", "LABELS": "30,60", "REPEATS": "3", "RUNS": "mine"}
    (tmp_path / "mine" / "spikenas_naive").mkdir(parents=True)
    folder = next(path for path in FOLDERS if path.name == "siamese_spikenas")
    status, found = run(folder, calls, **chosen, WORDS="trainer.max_epochs=2")
    assert status == 0
    (sweep,) = sweeps_of(found)
    assert {"name=spikenas_naive", "data.train_size=30,60", "job.repeats=3"} < set(sweep)
    assert sweep[-1] == "trainer.max_epochs=2"
    assert found[-1][2] == "mine/spikenas_naive"


def test_a_failed_variant_stops_no_other(calls: Path, tmp_path: Path) -> None:
    answer('case "$*" in *name=spikenas_naive*) exit 1 ;; esac\n', tmp_path)
    folder = next(path for path in FOLDERS if path.name == "siamese_spikenas")
    status, found = run(folder, calls)
    assert status == 1
    assert len(sweeps_of(found)) == 13
    answer("exit 130\n", tmp_path)
    calls.unlink()
    status, found = run(folder, calls)
    assert (status, len(found)) == (130, 1)

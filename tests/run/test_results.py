"""Results are declared once: written flat, read back checked, every key with its meaning."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.run.json_form import from_json, keys_of, to_json
from nasp_lightning.run.results import (
    BuildResults,
    Codes,
    FitResults,
    Origin,
    PhaseResults,
    Results,
    Scores,
    TableSource,
)
from nasp_lightning.run.results_file import JOBS, OtherFormatError, parse_results, read_results


@dataclass(frozen=True, kw_only=True)
class Holder:
    codes: Codes | None = None


SCORES = Scores(
    kendall_tau=0.5,
    kendall_tau_excluding_train=None,
    spearman=0.7,
    pearson=float("nan"),
    top_k=10,
    best_in_top_k=0.94,
    regret_at_k=0.001,
    precision_at_k=0.1,
    best_percent_in_top_k=0.2,
    kendall_tau_top_tenth=0.3,
    train_labels=78,
)
CODES = Codes(queried_codes=0, code_cost=None, code_labels=0.0, budget=78.0)
FIT = FitResults(
    origin=Origin(name="nb201_tnasp", config_hash="0123456789ab", seed=3, versions={"torch": "2"}),
    method_hash="ba9876543210",
    source=TableSource(
        benchmark="nasbench201",
        source="csv",
        source_file=None,
        source_sha256=None,
        partial=False,
        data_hash="ffff",
        dataset="cifar10",
        epochs="final",
        space_size=15625,
    ),
    split="78 of 15625",
    train_size=78,
    test_size="all",
    validation_size=200,
    train_on_validation=False,
    predictor="tnasp",
    framework="supervised",
    estimation_code=None,
    encoding="node",
    loss="mse",
    variant={"optimizer.lr": 0.1},
    train_metric="validation_accuracy",
    train_reduction="mean",
    test_metric="test_accuracy",
    test_reduction="mean",
    scores=SCORES,
    queried_labels=78,
    codes=CODES,
    fit_seconds=1.5,
    rank_seconds=0.5,
    phases={"supervised": PhaseResults(scores=SCORES, queried_labels=78, codes=CODES)},
    threads=1,
)


def test_the_file_is_flat_and_names_its_format(tmp_path: Path) -> None:
    content = FIT.write(tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == content
    assert content["format"] == "nasp_lightning.results/1"
    assert content["kendall_tau"] == 0.5
    assert content["pearson"] is None  # JSON has no NaN
    assert content["code_cost"] is None
    assert "calibration" not in content  # a key with a default is left out
    assert isinstance(content["phases"], dict)
    assert content["phases"]["supervised"]["queried_labels"] == 78  # type: ignore[index,call-overload]
    assert not {"origin", "source_", "scores", "codes"} & set(content)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    FIT.write(tmp_path)
    found = read_results(tmp_path)
    assert isinstance(found, FitResults)
    assert found.to_json() == FIT.to_json()
    assert found.source.epochs == "final"
    assert found.scores.pearson is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kendall_tau": None}, "kendall_tau is 'None', which is not a number"),
        ({"kendall_tau": "high"}, "kendall_tau is 'high', which is not a number"),
        ({"seed": True}, "seed is 'True', which is not a whole number"),
        ({"seed": 1.5}, "seed is '1.5'"),
        ({"partial": "no"}, "partial is 'no', which is not true or false"),
        ({"variant": [1]}, "variant is '\\[1\\]', which is not an object"),
        ({"phases": {"supervised": 3}}, "phases.supervised is '3'"),
        ({"format": "nasp_lightning.results/2"}, "results/2' is none of"),
        ({"format": None}, "None is none of"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "results.json").write_text(json.dumps({**FIT.to_json(), **change}))
    with pytest.raises(NaspError, match=message) as caught:
        read_results(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"format": '])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(NaspError, match=r"not JSON|not a JSON object"):
        read_results(tmp_path)


def test_a_missing_key_is_named_unless_null_says_the_same() -> None:
    content = FIT.to_json()
    without = {name: item for name, item in content.items() if name != "predictor"}
    with pytest.raises(NaspError, match="no predictor"):
        parse_results(FitResults, without)
    newer = ("encoding", "threads", "best_percent_in_top_k", "kendall_tau_top_tenth")
    older = {name: item for name, item in content.items() if name not in newer}
    assert parse_results(FitResults, older).encoding is None
    assert parse_results(FitResults, older).scores.kendall_tau_top_tenth is None
    assert parse_results(FitResults, older).selection_labels is None
    assert parse_results(FitResults, {**content, "of_a_later_version": 1}) == parse_results(
        FitResults, content
    )


def test_another_job_is_told_from_a_damaged_file() -> None:
    with pytest.raises(OtherFormatError):
        parse_results(FitResults, {"format": BuildResults.FORMAT})
    with pytest.raises(NaspError) as caught:
        parse_results(FitResults, {"format": "somebody.else/1"})
    assert not isinstance(caught.value, OtherFormatError)


@pytest.mark.parametrize("kind", sorted(set(JOBS.values()), key=lambda kind: kind.FORMAT))
def test_every_key_says_what_it_means(kind: type[Results]) -> None:
    names = [name for name, _, _ in keys_of(kind)]
    assert len(names) == len(set(names)), "two parts have one key"
    for name, words, key in keys_of(kind):
        if "(" not in words:  # an object of its own is described by its class
            assert key.meaning, name


def test_a_part_that_may_be_absent_is_read_from_the_flat_file() -> None:
    content = {**to_json(CODES), "queried_codes": 3.0}
    assert from_json(Holder, content).codes == replace(CODES, queried_codes=3.0)
    assert from_json(Holder, {}).codes is None
    assert [name for name, _, _ in keys_of(Holder)] == [name for name, _, _ in keys_of(Codes)]

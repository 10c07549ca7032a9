from __future__ import annotations

from pathlib import Path

import pytest

from nasp_lightning.report import Row, collect_runs, summarise
from nasp_lightning.report.method import deviations, method_name, place, worded, words
from nasp_lightning.run.choice import names_of
from nasp_lightning.run.recipe import recipe
from nasp_lightning.run.variant import variant
from tests.report.conftest import WriteRun, self_evolution
from tests.tiny import compose_config

NAO = {name: item.value for name, item in recipe("nasbench101", "nao").items()}
BONAS = {name: item.value for name, item in recipe("nasbench101", "bonas").items()}


def only_row(tmp_path: Path) -> Row:
    (row,) = summarise(collect_runs([tmp_path]))
    return row


@pytest.mark.parametrize(
    ("changes", "name", "tau"),
    [
        ({"variant": {"predictor.encoder": "gcn"}}, "tnasp, GCN instead of transformer", 0.303),
        ({"variant": {"predictor.encoder": "mlp"}}, "tnasp, MLP instead of transformer", 0.426),
        (
            {"variant": {"predictor.positional_branch": False}},
            "tnasp, operation branch only",
            0.426,
        ),
        (
            {"variant": {"predictor.operation_branch": False}},
            "tnasp, positional branch only",
            0.303,
        ),
        ({"framework": "seminas"}, "tnasp + SM", 0.718),
        ({"predictor": "nao", "loss": "own", "variant": NAO}, "nao", 0.666),
        (
            {"predictor": "nao", "framework": "seminas", "loss": "own", "variant": NAO},
            "nao + SM",
            0.670,
        ),
        (
            {
                "predictor": "nao",
                "framework": "seminas",
                "loss": "own",
                "variant": {**NAO, **variant(compose_config("framework=seminas_original"))},
            },
            "nao + SM, SemiNAS' own sizes",
            None,
        ),
        ({"predictor": "bonas", "loss": "own", "variant": BONAS}, "bonas", None),
        ({"predictor": "mlp"}, "mlp", None),
        (
            {
                "predictor": "pinat",
                "variant": {"predictor.heads": 4, "predictor.invariant_heads": 0},
            },
            "pinat, self-attention heads only",
            0.732,
        ),
    ],
)
def test_methods_of_the_papers(
    write_run: WriteRun, tmp_path: Path, changes: dict, name: str, tau: float | None
):
    """A clear name, the method's own published number, and nothing that would be changed."""
    write_run(**changes)
    row = only_row(tmp_path)
    assert row.method == name
    assert (row.published.kendall_tau if row.published else None) == tau
    assert row.reasons == ()


def test_keeping_to_the_defaults_departs_from_a_recipe(write_run: WriteRun, tmp_path: Path):
    write_run(predictor="nao", loss="own", variant={**NAO, "trainer.max_epochs": 50})
    row = only_row(tmp_path)
    assert row.method == "nao, trainer.max_epochs=50"
    assert row.reasons == ("changed: trainer.max_epochs=50",)
    fewer = {name: value for name, value in NAO.items() if name != "trainer.max_epochs"}
    path = write_run(seed=1, predictor="nao", loss="own", variant=fewer)
    assert deviations(collect_runs([path])[0]) == {"trainer.max_epochs": 300}


def pinat(**variant: object) -> dict:
    return {
        "benchmark": "nasbench201",
        "source": "nats",
        "epochs": 200,
        "space_size": 15625,
        "train_size": 156,
        "train_reduction": "mean",
        "predictor": "pinat",
        "variant": {f"predictor.{name}": value for name, value in variant.items()},
    }


def test_pinat_as_published_on_nasbench201(write_run: WriteRun, tmp_path: Path):
    write_run(**pinat(), kendall_tau=0.64)
    row = only_row(tmp_path)
    assert row.method == "pinat"
    assert row.published is not None
    assert row.published.kendall_tau == 0.631
    assert row.reasons == ()
    assert row.difference == pytest.approx(0.009)


def test_pinat_repaired_on_nasbench201_is_another_method(write_run: WriteRun, tmp_path: Path):
    write_run(**pinat(published_nb201=False), kendall_tau=0.66)
    row = only_row(tmp_path)
    assert row.method == "pinat, repaired graph branches"
    assert row.published is not None
    assert row.reasons == ("changed: predictor.published_nb201=false",)


def test_first_phase_and_control_of_nao(write_run: WriteRun, tmp_path: Path):
    write_run(predictor="nao", loss="own", **self_evolution(0.6, variant=NAO))
    control = {**NAO, "data.train_on_validation": True}
    write_run(predictor="nao", loss="own", train_on_validation=True, variant=control)
    assert [row.method for row in summarise(collect_runs([tmp_path]))] == [
        "nao",
        "nao + SE",
        "nao, control: n + validation labels",
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("brp", "brp_sampling", "own"), "brp + iterative sampling"),
        (("tnasp", "self_evolution", "logistic"), "tnasp + SE (logistic)"),
        (("pinat", "supervised", ""), "pinat"),
        (
            ("tnasp", "supervised", "mse", "a.b=1, predictor.encoder=gcn, predictor.layers=4"),
            "tnasp, GCN instead of transformer, a.b=1, predictor.layers=4",
        ),
        (
            ("pinat", "supervised", "mse", "predictor.heads=4, predictor.invariant_heads=02"),
            "pinat, predictor.heads=4, predictor.invariant_heads=02",
        ),
    ],
)
def test_names(words: tuple[str, ...], name: str):
    assert method_name(*words) == name


@pytest.mark.parametrize("group", ["predictor", "framework", "estimation_code"])
def test_what_is_named_is_a_choice(group: str):
    papers_only = {"one_shot"}
    for name in worded(group):
        assert name in {*names_of(group), *papers_only}
        named = words(group, name)
        assert named.label is not None or named.variants or named.repairs


def test_a_choice_without_words_has_its_own_name():
    assert method_name("mine", "my_framework", "mse") == "mine + my framework"
    assert place("my_framework") > place("self_evolution") > place("supervised")

from __future__ import annotations

from nasp_lightning.run.choice import choices, default_choices, names_of, read_choice


def test_choices_are_read_as_they_are_written() -> None:
    experiment = read_choice("experiment", "nb101_nao")
    assert experiment is not None
    assert choices(experiment)["benchmark"] == "nasbench101"
    assert choices({"defaults": ["_self_", {"/space@_global_.space": "macro"}]}) == {
        "space@_global_.space": "macro"
    }
    assert choices({}) == {}
    assert read_choice("predictor", "mine") is None


def test_the_roots_defaults() -> None:
    chosen = default_choices()
    assert chosen["predictor"] == "tnasp"
    assert chosen["job"] == "train_predictor"
    assert chosen["predictor"] in names_of("predictor")

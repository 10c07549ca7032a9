"""Who chooses the encoding: the user, else the predictor, else the space."""

from __future__ import annotations

import functools

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.neural_predictor import NeuralPredictor
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.study.parts import make_space

TARGET = "nasp_lightning.space.nasbench201.NASBench201"
ONE = "nasp_lightning.space.nasbench101.NASBench101"


@pytest.mark.parametrize(
    ("target", "asked", "predictor", "expected"),
    [
        (TARGET, None, NeuralPredictor, "node"),
        (TARGET, None, TNASP, "edge"),
        (TARGET, "edge", NeuralPredictor, "edge"),
        (TARGET, "node", TNASP, "node"),
        (ONE, None, NeuralPredictor, "graph"),
    ],
)
def test_choice(target: str, asked: str | None, predictor: type, expected: str) -> None:
    config = {"space": {"_target_": target, "encoding": asked}}
    make_predictor = functools.partial(predictor)
    assert make_space(config, make_predictor).encoding == expected
    assert make_space(config, predictor).encoding == expected


def test_unknown_encoding_is_refused() -> None:
    config = {"space": {"_target_": TARGET, "encoding": "path"}}
    with pytest.raises(Exception, match=r"space\.encoding=edge\|node") as raised:
        make_space(config, TNASP)
    assert isinstance(raised.value.__cause__ or raised.value, NaspError)

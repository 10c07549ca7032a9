"""Who chooses the encoding: the user, else the predictor, else the space."""

from __future__ import annotations

import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.neural_predictor import NeuralPredictor
from nasp_lightning.predictor.tnasp import TNASP
from nasp_lightning.run.config import Component
from nasp_lightning.space.base import Space
from nasp_lightning.study.settings import make_space

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
    chosen = {"_target_": f"{predictor.__module__}.{predictor.__qualname__}"}
    space: Component[Space] = Component("space", {"_target_": target, "encoding": asked})
    assert make_space(space, Component("predictor", chosen)).encoding == expected


def test_unknown_encoding_is_refused() -> None:
    space: Component[Space] = Component("space", {"_target_": TARGET, "encoding": "path"})
    with pytest.raises(Exception, match=r"space\.encoding=edge\|node") as raised:
        make_space(space, None)
    assert isinstance(raised.value, NaspError)

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from nasp_lightning.network.base import Costed, DropsPaths, WithAuxiliary
from nasp_lightning.network.count import evaluated_parameters, parameter_count
from nasp_lightning.network.darts import DartsNetwork
from nasp_lightning.network.mobilenet import MobileNetNetwork
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.network.tinynano import TinyNanoNetwork
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.nasbench201 import NASBench201


@pytest.mark.parametrize(
    ("kind", "costed"),
    [
        (DartsNetwork, True),
        (MobileNetNetwork, True),
        (NASBench201Network, False),
        (TinyNanoNetwork, False),
    ],
)
def test_a_class_tells_whether_it_knows_costs(kind: type[nn.Module], costed: bool) -> None:
    assert issubclass(kind, Costed) == costed


def test_the_network_of_darts_drops_paths_and_its_auxiliary_head_is_not_counted() -> None:
    operations, adjacency = Darts().sample(np.random.default_rng(0), 1)
    made = [
        DartsNetwork(operations[0], adjacency[0], channels=4, layers=3, auxiliary=auxiliary)
        for auxiliary in (True, False)
    ]
    for network in made:
        assert isinstance(network, DropsPaths)
        assert isinstance(network, WithAuxiliary)
    assert evaluated_parameters(made[0]) == parameter_count(made[1])
    assert parameter_count(made[0]) > parameter_count(made[1])


def test_another_network_does_not() -> None:
    network = NASBench201Network(NASBench201().sample(np.random.default_rng(0), 1)[0][0])
    assert not isinstance(network, DropsPaths)
    assert not isinstance(network, WithAuxiliary)
    assert evaluated_parameters(network) == parameter_count(network)
    own = nn.Linear(2, 2)
    own.drop_path_rate = 0.0  # type: ignore[assignment]
    assert isinstance(own, DropsPaths)

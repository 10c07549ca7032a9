"""Reading the state that a framework kept in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nasp_lightning.data.split import Indices

State = Mapping[str, object]


def read_tensor(state: State, name: str) -> Tensor:
    """A kept tensor, on the CPU."""
    value = state[name]
    assert isinstance(value, Tensor), name
    return value.cpu()


def read_rows(state: State, name: str) -> Indices:
    """Kept rows of the space, which were a tensor."""
    found: Indices = read_tensor(state, name).numpy()
    return found


def read_number(state: State, name: str) -> float:
    """A kept number."""
    value = state[name]
    assert isinstance(value, int | float), name
    return value

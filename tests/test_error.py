"""Settings that must be whole numbers."""

from __future__ import annotations

from typing import Any

import pytest

from nasp_lightning.error import NaspError, check_whole


@pytest.mark.parametrize(("value", "least"), [(1, 1), (0, 0), (7, 2)])
def test_a_whole_number_comes_back(value: int, least: int) -> None:
    assert check_whole("data.batch_size", value, least) == value


@pytest.mark.parametrize("value", [0, -3, 1.0, "8", None, True])
def test_anything_else_is_refused_with_its_setting_and_value(value: Any) -> None:
    with pytest.raises(NaspError, match=rf"^data\.batch_size={value}: .* at least 1$"):
        check_whole("data.batch_size", value)

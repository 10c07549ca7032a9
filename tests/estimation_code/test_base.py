from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode, check_codes
from nasp_lightning.estimation_code.part.cost import label_equivalents
from tests.estimation_code.networks import table


class Given(EstimationCode):
    """Codes that the test gives."""

    def __init__(self, codes: Any, **options: Any) -> None:
        super().__init__(table(4), length=3, cost=0.0015, **options)
        self.given = np.asarray(codes, dtype=float)

    def compute(self, rows: Any) -> Any:
        return self.given[rows]


CODES = np.arange(12.0).reshape(4, 3)
WITH_NAN = np.where(CODES == 4, np.nan, CODES)


def test_published_costs() -> None:
    assert label_equivalents(3, 5000, 100, 50_000) == pytest.approx(0.003)
    assert label_equivalents(3, 5000, 200, 50_000) == pytest.approx(0.0015)
    assert label_equivalents(3, 5000, 80, 50_000) == pytest.approx(0.00375)
    with pytest.raises(NaspError, match="label of 0 epochs"):
        label_equivalents(3, 5000, 0, 50_000)


def test_codes_of_the_rows_asked_for() -> None:
    code = Given(CODES)
    found = code.codes(np.array([2, 0, 2]))
    assert found.dtype == np.float32
    assert found.tolist() == CODES[[2, 0, 2]].tolist()
    assert code.codes(np.array([], dtype=int)).shape == (0, 3)


def test_each_architecture_is_paid_once() -> None:
    code = Given(CODES)
    assert code.spent == 0
    code.codes(np.array([2, 0, 2]))
    code.codes(np.array([0]))
    assert code.spent == pytest.approx(2 * 0.0015)
    assert code.describe_cost() == "0.15 % of a label"


def test_nan_is_an_error_unless_a_setting_says_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = np.array([0, 1])
    with pytest.raises(NaspError, match=r"1 of the 2 .* hold NaN .*the first is of row 1"):
        Given(WITH_NAN).codes(rows)
    assert np.isnan(Given(WITH_NAN, missing="keep").codes(rows)[1]).tolist() == [False, True, False]
    with caplog.at_level("WARNING"):
        assert Given(WITH_NAN, missing=10).codes(rows)[1].tolist() == [3, 10, 5]
    assert "hold NaN" in caplog.text
    for wrong in ("ignore", True, float("nan")):
        with pytest.raises(NaspError, match=r"estimation_code.missing="):
            Given(CODES, missing=wrong)


def test_a_code_of_the_wrong_length() -> None:
    with pytest.raises(NaspError, match=r"shape \[2, 2\] .*expected \[2, 3\]"):
        Given(CODES[:, :2]).codes(np.array([0, 1]))
    with pytest.raises(NaspError, match=r"shape \[3\] were given for 1"):
        check_codes(np.arange(3.0), 1, 3)
    with pytest.raises(NaspError, match=r"architecture 1 of 4 is \[3.0, nan, 5.0\]"):
        check_codes(WITH_NAN, 4, 3)
    with pytest.raises(NaspError, match="finite numbers"):
        Given(np.where(CODES == 4, np.inf, CODES), missing="keep").codes(np.array([1]))
    assert check_codes(CODES, 4, 3).dtype == np.float32


@pytest.mark.parametrize("rows", [[4], [-1], [0.5], [[0, 1]]])
def test_rows_that_the_table_does_not_have(rows: Any) -> None:
    with pytest.raises(NaspError, match="rows from 0 to 3"):
        Given(CODES).codes(np.array(rows))

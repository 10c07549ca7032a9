from __future__ import annotations

import struct

import numpy as np
import pytest

from nasp_lightning.benchmark.format import protobuf
from nasp_lightning.benchmark.format.protobuf import MessageError, decode_model_metrics
from tests.benchmark.nasbench101_files import (
    EPOCH,
    SECONDS,
    TEST,
    TRAIN,
    VALIDATION,
    message,
    run,
    varint,
)

NAN = float("nan")


def final(data: bytes) -> list[float]:
    values: list[float] = decode_model_metrics([data]).final[0].tolist()
    return values


def test_official_message() -> None:
    decoded = decode_model_metrics([run(108, [0.5, 0.25, 0.75], seconds=1000.0)])
    np.testing.assert_array_equal(decoded.final, [[0.5, 0.25, 0.75, 1000.0]])
    np.testing.assert_array_equal(decoded.halfway, [[0.25, 0.125, 0.375, 500.0]])
    np.testing.assert_array_equal(decoded.parameters, [1_000_000])


def test_absent_fields_are_nan() -> None:
    data = message([{EPOCH: 54.0}, {EPOCH: 108.0, VALIDATION: 0.5}], parameters=None)
    decoded = decode_model_metrics([data, b""])
    np.testing.assert_array_equal(decoded.final, [[NAN, 0.5, NAN, NAN], [NAN] * 4])
    assert np.isnan(decoded.parameters).all()


def test_final_is_the_largest_epoch_wherever_it_stands() -> None:
    points = [{EPOCH: epoch, TEST: epoch / 1000} for epoch in (0.0, 108.0, 54.0, 12.0)]
    decoded = decode_model_metrics([message(points)])
    assert decoded.final[0, 2] == 0.108
    assert decoded.halfway[0, 2] == 0.054


def test_absent_epoch_is_the_initial_one() -> None:
    assert final(message([{EPOCH: 4.0, TEST: 0.75}, {TEST: 0.1}]))[2] == 0.75
    assert final(message([{TEST: 0.1}, {TEST: 0.2}]))[2] == 0.2


def test_no_evaluation_near_half_is_no_halfway() -> None:
    decoded = decode_model_metrics([message([{EPOCH: 0.0, TEST: 0.1}, {EPOCH: 108.0, TEST: 0.9}])])
    assert np.isnan(decoded.halfway).all()


def test_unknown_fields_and_strings_are_passed_over() -> None:
    known = {EPOCH: 108.0, SECONDS: 7.0, TRAIN: 0.5, VALIDATION: 0.25, TEST: 0.75}
    extra = b"\x32\x05a/b/c" + b"\x38\xff\x01" + b"\x45" + struct.pack("<f", 1.0)
    body = message([known])[2:47] + extra
    data = b"\x0a" + varint(len(body)) + body + b"\x10\x05" + b"\x22\x03abc" + b"\x28\x01"
    decoded = decode_model_metrics([data])
    np.testing.assert_array_equal(decoded.final, [[0.5, 0.25, 0.75, 7.0]])
    assert decoded.parameters[0] == 5


@pytest.mark.parametrize("parameters", [0, 1, 127, 128, 300, 49_979_274, 2**31 - 1, -1])
def test_parameters_of_every_length(parameters: int) -> None:
    assert decode_model_metrics([message([], parameters)]).parameters[0] == parameters


def test_mixed_layouts_in_bulk_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(600):
        points = []
        for _ in range(rng.integers(0, 4)):
            fields = rng.permutation([EPOCH, SECONDS, TRAIN, VALIDATION, TEST])
            kept = fields[: rng.integers(0, 6)]
            points.append({int(number): float(rng.uniform(0, 1)) for number in kept})
        messages.append(message(points, int(rng.integers(0, 1 << 28))))
    bulk = decode_model_metrics(messages)
    for row, data in enumerate(messages):
        one = decode_model_metrics([data])
        np.testing.assert_array_equal(bulk.final[row], one.final[0])
        np.testing.assert_array_equal(bulk.halfway[row], one.halfway[0])
        np.testing.assert_array_equal(bulk.parameters[row], one.parameters[0])


def test_more_layouts_than_are_read_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "_LAYOUTS_IN_BULK", 1)
    messages = [message([{field: 0.5}]) for field in (TRAIN, VALIDATION, TEST, SECONDS)]
    values = decode_model_metrics(messages).final
    np.testing.assert_array_equal(np.argwhere(values == 0.5), [[0, 0], [1, 1], [2, 2], [3, 3]])


@pytest.mark.parametrize(
    "data",
    [
        run(108, [0.5] * 3)[:-1],
        run(108, [0.5] * 3)[:-20],
        b"\x0a\x7f\x09",  # an evaluation longer than the message
        b"\x0a\x02\x09\x00",  # a double longer than its evaluation
        b"\x0b",  # a group, long out of use
        b"\x10" + b"\xff" * 11,  # an endless number
        b"\x00\x00",
    ],
)
def test_malformed_message_is_named_by_its_index(data: bytes) -> None:
    good = run(108, [0.5] * 3)
    with pytest.raises(MessageError) as error:
        decode_model_metrics([good, good, data, good])
    assert error.value.index == 2

"""NAS-Bench-101's ``ModelMetrics`` messages, decoded in bulk without a protobuf library.

``model_metrics.proto`` of google-research/nasbench, in short::

    ModelMetrics:   repeated EvaluationData evaluation_data = 1; int32 trainable_parameters = 2;
                    double total_time = 3
    EvaluationData: double current_epoch = 1, training_time = 2, train_accuracy = 3,
                    validation_accuracy = 4, test_accuracy = 5; string checkpoint_path = 6

Messages of one writer differ in their numbers, hardly ever in their layout. So one message is
walked field by field, all those with the same tags at the same offsets are read from it as one
numpy array, and the walk is repeated for what is left. Unknown fields are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array

QUANTITIES = ("train_accuracy", "validation_accuracy", "test_accuracy", "train_seconds")
_FIELDS = (3, 4, 5, 2)  # of EvaluationData, in the order of QUANTITIES
_EPOCH_FIELD = 1
_LAYOUTS_IN_BULK = 64  # of one length; what is left after so many is read message by message
_HALFWAY_TOLERANCE = 0.1  # of the final epoch


class MessageError(ValueError):
    """A message that is no ``ModelMetrics``; ``index`` says which of those given."""

    def __init__(self, index: int, reason: str) -> None:
        """Keep the index of the message."""
        super().__init__(reason)
        self.index = index


@dataclass(frozen=True)
class ModelMetrics:
    """Decoded messages.

    Attributes:
        final: ``[N, 4]`` float64 in the order of :data:`QUANTITIES`, at the evaluation with the
            largest epoch; NaN where a field is absent.
        halfway: the same at the evaluation nearest to half of that epoch, NaN where there is none
            within a tenth of it.
        parameters: ``[N]`` float64, NaN where absent.
    """

    final: Array
    halfway: Array
    parameters: Array


@dataclass(frozen=True)
class _Layout:
    """Where the fields stand in messages whose masked bytes equal ``template & mask``."""

    template: Array
    mask: Array
    evaluations: tuple[dict[int, int], ...]  # field number to offset of its double
    parameters: tuple[int, int] | None  # first byte and end of the varint


def decode_model_metrics(messages: Sequence[bytes]) -> ModelMetrics:
    """Decode messages in bulk.

    Raises:
        MessageError: if a message is malformed; it carries the message's index.
    """
    count = len(messages)
    decoded = ModelMetrics(
        np.full((count, len(QUANTITIES)), np.nan),
        np.full((count, len(QUANTITIES)), np.nan),
        np.full(count, np.nan),
    )
    lengths = np.fromiter(map(len, messages), dtype=np.int64, count=count)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        if length == 0:
            continue  # a message without fields: all are absent
        joined = b"".join([messages[row] for row in rows.tolist()])
        _decode_same_length(np.frombuffer(joined, np.uint8).reshape(len(rows), -1), rows, decoded)
    return decoded


def _decode_same_length(block: Array, rows: Array, decoded: ModelMetrics) -> None:
    for _ in range(_LAYOUTS_IN_BULK):
        layout = _layout(block[0].tobytes(), int(rows[0]))
        fits = (((block ^ layout.template) & layout.mask) == 0).all(axis=1)
        if fits.all():
            _read(layout, block, rows, decoded)
            return
        _read(layout, block[fits], rows[fits], decoded)
        block, rows = block[~fits], rows[~fits]
    for index, row in enumerate(rows):
        one = slice(index, index + 1)
        _read(_layout(block[index].tobytes(), int(row)), block[one], rows[one], decoded)


def _layout(message: bytes, index: int) -> _Layout:
    """Walk one message."""
    mask = np.full(len(message), 0xFF, dtype=np.uint8)
    evaluations: list[dict[int, int]] = []
    parameters: tuple[int, int] | None = None
    try:
        for number, wire, start, end in _walk(message, 0, len(message)):
            if (number, wire) == (1, 2):
                offsets: dict[int, int] = {}
                for inner, inner_wire, inner_start, inner_end in _walk(message, start, end):
                    _open(mask, inner_wire, inner_start, inner_end)
                    if inner_wire == 1:
                        offsets[inner] = inner_start  # the last of a repeated scalar holds
                evaluations.append(offsets)
            else:
                _open(mask, wire, start, end)
                if (number, wire) == (2, 0):
                    parameters = (start, end)
    except (ValueError, IndexError) as error:
        raise MessageError(index, str(error) or "it ends inside a field") from error
    template = np.frombuffer(message, dtype=np.uint8)
    return _Layout(template, mask, tuple(evaluations), parameters)


def _open(mask: Array, wire: int, start: int, end: int) -> None:
    """Let a field's value differ within a layout: of a varint, all but its length."""
    mask[start:end] = 0x80 if wire == 0 else 0


def _walk(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of ``data[position:end]``: number, wire type, start and end of the value."""
    while position < end:
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        if wire == 0:
            start, (_, position) = position, _varint(data, position, end)
        elif wire in (1, 5):
            start, position = position, position + (8 if wire == 1 else 4)
        elif wire == 2:
            size, start = _varint(data, position, end)
            position = start + size
        else:
            raise ValueError(f"field {number} has the unknown wire type {wire}")
        if position > end:
            raise ValueError("it ends inside a field")
        yield number, wire, start, position


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError("it ends inside a field")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number takes more than ten bytes")


def _read(layout: _Layout, block: Array, rows: Array, decoded: ModelMetrics) -> None:
    """Read the fields of all messages of one layout, ``block`` ``[n, length]`` uint8."""
    if layout.parameters is not None:
        first, end = layout.parameters
        value = np.zeros(len(block), dtype=np.uint64)
        for place, column in enumerate(range(first, end)):
            value |= (block[:, column] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
        decoded.parameters[rows] = value.view(np.int64)
    if not layout.evaluations:
        return
    evaluations = layout.evaluations
    epochs = np.zeros((len(block), len(evaluations)))  # an absent epoch is the initial one, 0
    values = np.full((len(block), len(evaluations), len(QUANTITIES)), np.nan)
    for place, offsets in enumerate(evaluations):
        if _EPOCH_FIELD in offsets:
            epochs[:, place] = _doubles(block, offsets[_EPOCH_FIELD])
        for column, number in enumerate(_FIELDS):
            if number in offsets:
                values[:, place, column] = _doubles(block, offsets[number])
    epochs = np.nan_to_num(epochs, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    every = np.arange(len(block))
    final = len(evaluations) - 1 - epochs[:, ::-1].argmax(axis=1)  # the last of equal ones
    decoded.final[rows] = values[every, final]
    if len(evaluations) > 1:
        _read_halfway(epochs, values, final, rows, decoded)


def _read_halfway(
    epochs: Array, values: Array, final: Array, rows: Array, decoded: ModelMetrics
) -> None:
    every = np.arange(len(epochs))
    last = epochs[every, final]
    finite = np.isfinite(last)
    last = np.where(finite, last, 0.0)
    distance = np.abs(epochs - last[:, None] / 2)
    distance[every, final] = np.inf
    half = distance.argmin(axis=1)
    near = finite & (last > 0) & (distance[every, half] <= _HALFWAY_TOLERANCE * last)
    decoded.halfway[rows[near]] = values[every[near], half[near]]


def _doubles(block: Array, offset: int) -> Array:
    return np.ascontiguousarray(block[:, offset : offset + 8]).view("<f8")[:, 0]

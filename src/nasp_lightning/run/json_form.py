"""Dataclasses as flat JSON objects and back, checked by their types.

A field annotated with :class:`Key` says what its key means. A field whose type is a :class:`Part`
has no key: the part's own keys stand in its place, so that objects are nested in code and flat in
the file.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, TypeVar, Union, get_args, get_origin, get_type_hints

from nasp_lightning.error import NaspError

# What a JSON file can hold.
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """What a key of a JSON object means.

    Attributes:
        meaning: with its unit.
        null: what null means; empty where it cannot be. A key with a default is left out instead
            of null, which means the same.
    """

    meaning: str
    null: str = ""


class Part:
    """Base of dataclasses whose keys stand among those of the object that holds them."""


def to_json(item: object) -> dict[str, Json]:
    """The flat JSON object of a dataclass; numbers that JSON does not have become null."""
    found: dict[str, Json] = {}
    assert is_dataclass(item)
    for part in fields(item):
        value = vars(item)[part.name]
        if isinstance(value, Part):
            found |= to_json(value)
        elif value is not None or not _has_default(part):
            found[part.name] = _plain(value)
    return found


def _plain(value: object) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return to_json(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def from_json(kind: type[T], content: Mapping[str, object]) -> T:
    """The dataclass of a JSON object; keys that it does not know are passed over.

    Raises:
        NaspError: that names a key which is missing, or of another type.
    """
    values: dict[str, object] = {}
    for part, hint in _typed_fields(kind):
        if _is_part(hint):
            values[part.name] = from_json(hint, content)
        elif (inner := _optional_part(hint)) is not None:
            present = any(name in content for name, _, _ in keys_of(inner))
            values[part.name] = from_json(inner, content) if present else None
        elif part.name in content:
            values[part.name] = _checked(part.name, content[part.name], hint)
        elif _may_be_null(hint) and not _has_default(part):
            values[part.name] = None  # of a version that did not write it yet
        elif not _has_default(part):
            raise NaspError(f"no {part.name}")
    return kind(**values)


def keys_of(kind: type) -> Iterator[tuple[str, str, Key]]:
    """Name, type in words and meaning of each key of a dataclass, its parts' in their places."""
    hints = get_type_hints(kind, include_extras=True)
    for part, hint in _typed_fields(kind):
        inner = hint if _is_part(hint) else _optional_part(hint)
        if inner is not None:
            yield from keys_of(inner)
            continue
        told = [item for item in get_args(hints[part.name]) if isinstance(item, Key)]
        yield part.name, _in_words(hint), told[0] if told else Key("")


def _typed_fields(kind: type) -> tuple[tuple[Field[object], type], ...]:
    hints = get_type_hints(kind)  # without what Annotated adds
    assert is_dataclass(kind)
    return tuple((part, hints[part.name]) for part in fields(kind))


def _may_be_null(hint: type) -> bool:
    return type(None) in get_args(hint)


def _is_part(hint: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, Part)


def _optional_part(hint: type) -> type | None:
    """The part that a field holds or has None instead of."""
    return next((item for item in get_args(hint) if _is_part(item)), None)


def _has_default(part: Field[object]) -> bool:
    return part.default is not MISSING or part.default_factory is not MISSING


def _checked(name: str, value: object, hint: type) -> object:
    """A value that is of a type; whole numbers are numbers.

    Raises:
        NaspError: if it is not.
    """
    origin, within = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _checked(name, value, within[0])
    if hint is object:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in within:
            return None
        for one in (item for item in within if item is not type(None)):
            try:
                return _checked(name, value, one)
            except NaspError:
                continue
    elif origin is dict and isinstance(value, dict):
        return {str(key): _checked(f"{name}.{key}", item, within[1]) for key, item in value.items()}
    elif origin is list and isinstance(value, list):
        return [_checked(f"{name}[{place}]", item, within[0]) for place, item in enumerate(value)]
    elif is_dataclass(hint) and isinstance(value, dict):
        return from_json(hint, value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif origin is None and isinstance(value, hint) and isinstance(value, bool) <= (hint is bool):
        return value
    raise NaspError(f"{name} is {str(value)[:60]!r}, which is not {_in_words(hint)}")


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _in_words(hint: type) -> str:
    origin, within = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _in_words(within[0])
    if origin in (Union, types.UnionType):
        named = [_in_words(item) for item in within if item is not type(None)]
        return " or ".join([*dict.fromkeys(named), *(["null"] if type(None) in within else [])])
    if origin is dict:
        return f"an object of {_in_words(within[1])}"
    if origin is list:
        return f"a list of {_in_words(within[0])}"
    if is_dataclass(hint):
        return f"an object ({hint.__name__})"
    return _WORDS.get(hint, "a value")

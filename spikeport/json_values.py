"""Conversion between frozen dataclasses and the JSON that files and `--json` contain.

A class inherits from `JsonValue` and declares typed fields. A field that is `None` is written as `null`, or left out if
it was declared with `field(default=None, metadata=OMIT_NONE)`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Self, Union

OMIT_NONE = {"omit_none": True}  # metadata of fields that JSON leaves out where they are None


class JsonValue:
    """Base of dataclasses that are part of a JSON document.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Point(JsonValue):
    ...     steps: int
    ...     note: str | None = dataclasses.field(default=None, metadata=OMIT_NONE)
    >>> Point(steps=3).to_json(), Point.from_json({"steps": 3, "note": "late"})
    ({'steps': 3}, Point(steps=3, note='late'))
    """

    def to_json(self) -> Any:
        """The value as JSON: an object of lists, numbers and texts, which has the type that its reader declares."""
        found = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None or not field.metadata.get("omit_none"):
                found[field.name] = _encode(value)
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The value that `to_json` wrote. Unknown keys are ignored; fields with a default may be absent.

        Args:
            value: the JSON object.

        Raises:
            ValueError: a key without a default is absent, or a value has another form.
        """
        found: Self = _decode_dataclass(cls, value)
        return found


def _encode(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _encode(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(entry) for entry in value]
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode_dataclass(cls: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{cls.__name__} is not an object")
    hints, arguments = _hints(cls), {}
    for field in dataclasses.fields(cls):
        if field.name in value:
            arguments[field.name] = _decode(hints[field.name], value[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{cls.__name__} has no {field.name}")
    return cls(**arguments)


def _decode(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value)
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value)
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        if arguments[1:] == (Ellipsis,):
            return tuple(_decode(arguments[0], entry) for entry in value)
        return tuple(_decode(each, entry) for each, entry in zip(arguments, value, strict=True))
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: _decode(arguments[1], entry) for key, entry in value.items()}
    if origin is typing.Literal:
        fits = value in arguments
    elif hint is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif hint in (str, bool, type(None)):
        fits = isinstance(value, hint)
    else:
        fits = hint in (Any, object)
    if not fits:
        raise ValueError(f"{repr(value)[:80]} is not of type {hint}")
    return value


def _decode_union(hints: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in hints:
        return None
    faults = []
    for hint in hints:
        try:
            return _decode(hint, value)
        except ValueError as fault:
            faults.append(str(fault))
    raise ValueError("; ".join(faults))

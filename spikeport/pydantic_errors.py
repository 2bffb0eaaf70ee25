"""Faults that pydantic finds in a TOML file, as one line of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

LONGEST_VALUE = 200  # characters of a value that an error repeats
NAME_KEYS = ("op", "id")  # keys that name an entry of an array of tables


def tuples(value: Any) -> Any:
    """Converts TOML arrays to tuples at any depth, which strict validation of frozen models needs.

    Args:
        value: content of a TOML file.
    """
    if isinstance(value, dict):
        return {key: tuples(entry) for key, entry in value.items()}
    return tuple(tuples(entry) for entry in value) if isinstance(value, list) else value


def short(value: Any) -> str:
    """The `repr` of a value, cut after 200 characters.

    Args:
        value: any value.

    >>> short("a" * 1000) == "'" + "a" * 199 + "..."
    True
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits, or brackets, than Python writes
        return f"a very long {type(value).__name__}"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def explain(error: ValidationError, values: Mapping[str, Any]) -> str:
    """All faults of a validation in one line, each with its key, its value and the reason.

    Args:
        error: what pydantic raised.
        values: the values that were validated; they name the entries of arrays.

    Returns:
        The faults, separated by semicolons.
    """
    faults = []
    for fault in error.errors():
        key = dotted_key(fault["loc"], values)
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown key {short(key)}")
        elif fault["type"] == "missing":
            faults.append(f"{key} is missing")
        else:
            reason = fault["msg"].removeprefix("Value error, ")
            # A section is not repeated.
            value = "" if isinstance(fault["input"], dict) else f" = {short(fault['input'])}"
            faults.append(f"{key}{value}: {reason}" if key else reason)
    return "; ".join(faults)


def dotted_key(location: tuple[int | str, ...], values: Mapping[str, Any]) -> str:
    """A pydantic location as a key of the file, entries of arrays by name where they have one: `energy[synop].value`.

    Args:
        location: `loc` of a pydantic error.
        values: content of the file.

    >>> dotted_key(("energy", 0, "value"), {"energy": [{"op": "synop"}]})
    'energy[synop].value'
    """
    text = ""
    place: Any = values
    for part in location:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):  # the key is missing
            place = None
        if isinstance(part, int):
            named = (place.get(key) for key in NAME_KEYS) if isinstance(place, dict) else ()
            text += f"[{next((name for name in named if name), part)}]"
        else:
            text += f".{part}" if text else part
    return text

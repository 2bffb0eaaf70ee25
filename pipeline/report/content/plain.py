"""Converts values to plain JSON without NaN and without absolute paths, for files that are published."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# An absolute path of two parts or more; not a part of a URL or of a unit such as pJ/op.
_POSIX = re.compile(r"(?<![\w.:/~-])~?/(?:[^\s/'\",;:()]+/)+([^\s/'\",;:()]*)")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\'\",;]+\\)*([^\s\\'\",;]*)")


def plain(value: Any) -> Any:
    """Converts a value to JSON types: string keys, lists, numbers and strings; None for NaN and infinity.

    Args:
        value: nested mappings, sequences, arrays, numbers and strings.

    Raises:
        TypeError: a value has another type.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a report")


def portable(value: Any) -> Any:
    """Replaces every absolute path in the strings of a JSON value by its file name.

    Args:
        value: the JSON value.
    """
    if isinstance(value, dict):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [portable(entry) for entry in value]
    return _WINDOWS.sub(r"\1", _POSIX.sub(r"\1", value)) if isinstance(value, str) else value

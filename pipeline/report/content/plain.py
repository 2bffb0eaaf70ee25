"""Makes values fit for a file that leaves the machine: plain JSON, no NaN, no absolute path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# A path of two parts or more that begins at a root; not the middle of a URL or of a unit such as pJ/op.
_POSIX = re.compile(r"(?<![\w.:/~-])~?/(?:[^\s/'\",;:()]+/)+([^\s/'\",;:()]*)")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\'\",;]+\\)*([^\s\\'\",;]*)")


def plain(value: Any) -> Any:
    """`value` as JSON would read it back: string keys, lists, numbers, strings; None for NaN and infinity."""
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
    """`value` with every absolute path in its strings cut down to the file's name."""
    if isinstance(value, dict):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [portable(entry) for entry in value]
    return _WINDOWS.sub(r"\1", _POSIX.sub(r"\1", value)) if isinstance(value, str) else value

"""Types of functions of the caller that long work calls to report progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # parts done, parts in all
NamedProgress = Callable[[int, int, str], None]  # parts done, parts in all, what is done now

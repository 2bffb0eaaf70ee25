"""Types of functions of the caller that long work calls to report progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]  # parts done, parts in all
NamedProgress = Callable[[int, int, str], None]  # parts done, parts in all, what is done now


@runtime_checkable
class LineProgress(Protocol):
    """A progress function that prints lines too."""

    def log_once(self, text: str, *, key: object) -> None:
        """Prints a text, unless one was printed for this key before.

        Args:
            text: the text.
            key: any hashable value.
        """

    def log_epoch(self, text: str) -> None:
        """Prints a text about work that goes on.

        Args:
            text: the text.
        """

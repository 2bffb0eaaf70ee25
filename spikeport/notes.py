"""Notes and warnings: single lines on standard error, while the command continues."""

from __future__ import annotations

import os
import sys

from spikeport.errors import printable

_printed: set[str] = set()


def note(text: str) -> None:
    """Prints "note: " and `text`, once for each text. Notes are facts worth knowing; nothing is wrong.

    Args:
        text: one sentence.
    """
    if text not in _printed and _print_line(f"note: {text}"):
        _printed.add(text)


def warning(text: str) -> None:
    """Prints "warning: " and `text`: something seems wrong.

    Args:
        text: one sentence.
    """
    _print_line(f"warning: {text}")


def _print_line(text: str) -> bool:
    """Prints one line without control characters, on rank 0 only. Returns whether it was printed."""
    if os.environ.get("RANK", "0") != "0":
        return False
    print(printable(" ".join(text.split())), file=sys.stderr, flush=True)
    return True

"""What a user should know though the command goes on: one line on standard error, from wherever it is noticed."""

from __future__ import annotations

import os
import sys

from spikeport.errors import printable

_said: set[str] = set()


def note(text: str) -> None:
    """Says what is right and worth knowing, after "note: ", once: what was said is not said again."""
    if text not in _said and _say(f"note: {text}"):
        _said.add(text)


def warning(text: str) -> None:
    """Says what does not seem right, after "warning: "."""
    _say(f"warning: {text}")


def _say(text: str) -> bool:
    """Says it in one line that cannot steer a terminal. Of several processes that train together the first speaks."""
    if os.environ.get("RANK", "0") != "0":
        return False
    print(printable(" ".join(text.split())), file=sys.stderr, flush=True)
    return True

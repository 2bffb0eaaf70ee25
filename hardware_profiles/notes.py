"""What a user should know though nothing is wrong: one line on standard error, once, from wherever it is noticed."""

from __future__ import annotations

import os
import sys

from hardware_profiles.errors import printable

_said: set[str] = set()


def note(text: str) -> None:
    """Says `text` after "note: ", in one line that cannot steer a terminal. What was said is not said again; of several
    processes that train together the first speaks."""
    if text in _said or os.environ.get("RANK", "0") != "0":
        return
    _said.add(text)
    print(f"note: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)

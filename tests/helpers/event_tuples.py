"""Events of a file as tuples, and the words with which a file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikeport.errors import UserError
from spikeport.pipeline.data.readers.recordings import Reading, read_events


def read(path: Path, columns: str = "") -> list[tuple[int, ...]]:
    """(t, x, y, p) of each event."""
    found = read_events(path, reading=Reading(columns=columns))
    return [tuple(int(event[name]) for name in "txyp") for event in found]


def refusal(path: Path, columns: str = "") -> str:
    """The one line of the error, which has a hint."""
    with pytest.raises(UserError) as caught:
        read_events(path, reading=Reading(columns=columns))
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    assert "Hint: " in message
    return message

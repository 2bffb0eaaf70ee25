"""Facts of one event file of unknown layout: events, durations, bounding box, polarity and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.events import check_events, in_order
from spikeport.pipeline.data.readers.event_columns import UNITS_US, EventFileError, polarity_codes
from spikeport.pipeline.data.readers.event_streams import stated_sensor
from spikeport.pipeline.data.readers.recordings import TABLES, Reading, read_events

_FARTHEST = 2**15  # coordinates are 16-bit integers


@dataclass(frozen=True, kw_only=True)
class RecordingFacts:
    """What one event file contains.

    Attributes:
        path: the file.
        format: its extension.
        events: number of events.
        duration: time from the first to the last event, in the unit that is stored.
        step_back: largest decrease of time in the order of the file, in the unit that is stored; 0: sorted.
        box: first and last column, first and last row with an event.
        on: number of ON events.
        codes: codes of polarity in the file.
        columns: likely order of its columns, such as "txyp"; "" where the file names them.
        fractions: whether its times have fractions.
        sensor: width and height in its header; None if it states none.
    """

    path: Path
    format: str
    events: int
    duration: float
    step_back: float
    box: tuple[int, int, int, int]
    on: int
    codes: tuple[int, ...]
    columns: str
    fractions: bool
    sensor: tuple[int, int] | None = None

    @property
    def states_unit(self) -> bool:
        """Whether the format defines the unit of time, which is then a microsecond."""
        return self.format not in TABLES

    @property
    def pixels(self) -> int:
        """Pixels of the bounding box."""
        left, right, top, bottom = self.box
        return (right - left + 1) * (bottom - top + 1)


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file that is not read.

    Attributes:
        path: the file.
        reason: what is wrong.
        hint: what to do.
    """

    path: Path
    reason: str
    hint: str

    @classmethod
    def of(cls, path: Path, error: UserError) -> Unreadable:
        """The file with the reason in an error.

        Args:
            path: the file.
            error: the refusal.
        """
        return cls(
            path=path, reason=f"{error.message}: {error.cause}" if error.cause else error.message, hint=error.hint
        )

    def error(self, folder: Path) -> UserError:
        """The error where no recording of a folder can be read, this one being the first.

        Args:
            folder: the folder.
        """
        cause = f"{self.path}: {self.reason}"
        return UserError("no recording can be read", where=str(folder), cause=cause, hint=self.hint)

    def to_json(self) -> dict[str, str]:
        """`file`, `reason` and `hint`."""
        return {"file": str(self.path), "reason": self.reason, "hint": self.hint}


def read_facts(path: Path) -> tuple[RecordingFacts, np.ndarray]:
    """Reads one event file, with the order of columns that its values suggest where nothing names them.

    Args:
        path: the file.

    Returns:
        Its facts, and EVENT_DTYPE `[N]` sorted by time. Times are those in the file, or in millionths of its unit
        where they have fractions.

    Raises:
        UserError: the file cannot be read, or times or coordinates are below zero.
        MissingDependencyError: the decompressor of the format is not installed.
    """
    events, codes, settings = _read(path)
    ordered, step_back = in_order(events)
    check_events(ordered, _FARTHEST, _FARTHEST, where=str(path))
    fractions = "time_unit" in settings
    unit = UNITS_US["s"] if fractions else 1
    x, y, t = ordered["x"], ordered["y"], ordered["t"]
    return RecordingFacts(
        path=path,
        format=path.suffix.lower(),
        events=len(ordered),
        duration=int(t[-1] - t[0]) / unit,
        step_back=step_back / unit,
        box=(int(x.min()), int(x.max()), int(y.min()), int(y.max())),
        on=int(np.count_nonzero(ordered["p"])),
        codes=codes or tuple(np.unique(ordered["p"]).tolist()),
        columns=str(settings.get("columns", "")),
        fractions=fractions,
        sensor=stated_sensor(path) if path.suffix.lower() in (".dat", ".raw") else None,
    ), ordered


def _read(path: Path) -> tuple[np.ndarray, tuple[int, ...], dict[str, Any]]:
    """Events, codes of polarity, and the settings without which the file is refused."""
    settings: dict[str, Any] = {}
    while True:
        try:
            with polarity_codes() as codes:
                return read_events(path, reading=Reading(**settings)), tuple(sorted(codes)), settings
        except UserError as error:
            fault = error.__context__
            likely = fault.settings if isinstance(fault, EventFileError) else {}
            if likely.keys() <= settings.keys():
                raise
            settings |= likely


def names_of(files: Sequence[Path], count: int = 3) -> str:
    """The first files of a list as text.

    Args:
        files: paths of files.
        count: how many are named.

    >>> names_of([Path("a/1.npy"), Path("a/2.npy"), Path("b/1.npy")], 2)
    'a/1.npy, a/2.npy and 1 more'
    """
    text = ", ".join(f"{file.parent.name}/{file.name}" for file in files[:count])
    return text + (f" and {len(files) - count} more" if len(files) > count else "")

"""Reads event files as structured arrays, with one reader for each extension.

To add a format: write a reader in this folder, and add its extension to READERS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import in_order
from spikeport.pipeline.data.readers import aedat, aedat4, event_arrays, event_hdf5, event_streams, event_text
from spikeport.pipeline.data.readers.event_columns import EventFileError, Table, damaged
from spikeport.pipeline.data.readers.frame_files import FrameSteps, read_frame_events
from spikeport.pipeline.data.readers.nmnist import EVENT_BYTES, decode
from spikeport.pipeline.data.readers.orientation import turned
from spikeport.pipeline.data.readers.sensor_view import SensorView


@dataclass(frozen=True)
class Reading:
    """How event files are read.

    Attributes:
        orientation: how the sensor was mounted, see `turned`.
        columns: order of the columns of tables without names.
        time_unit: unit of the times of formats that do not state one.
        sort: whether events may be sorted by time.
        view: part of a larger sensor, and its scale; None: the sensor is the frame.
        frames: the frames that recordings hold already; None: they hold events. Not part of `repr`, which is hashed.
    """

    orientation: str = "as-stored"
    columns: str = ""
    time_unit: str = "us"
    sort: bool = False
    view: SensorView | None = None
    frames: FrameSteps | None = field(default=None, repr=False)


AS_STORED = Reading()


def read_recording(
    path: Path, sensor: tuple[int, int], *, label: int, key: str, reading: Reading = AS_STORED
) -> Recording:
    """Reads the recording in one event file. The extension selects the reader.

    Args:
        path: the file.
        sensor: height and width of the sensor, after `reading.view`.
        label: class of the recording.
        key: key of the recording.
        reading: settings of the reading.

    Returns:
        The recording, with times in microseconds from the zero of the file.

    Raises:
        UserError: the file is damaged, empty, of another layout, or does not fit the sensor.
        MissingDependencyError: the decompressor of the format is not installed.
    """
    if reading.frames is not None:
        wanted = reading.frames
        events = read_events(path, lambda path: read_frame_events(path, wanted), reading=reading)
    else:
        events = read_events(path, reading=reading)
    late_us = 0
    if reading.sort:
        events, late_us = in_order(events)
    events = on_frame(events, sensor, reading, str(path))
    start_us = None if reading.frames is None else 0
    return Recording(
        events=events, sensor=sensor, label=label, key=key, origin=str(path), late_us=late_us, start_us=start_us
    )


def on_frame(events: np.ndarray, sensor: tuple[int, int], reading: Reading, where: str) -> np.ndarray:
    """Events as a sensor sends them, on the pixels of the frame: turned upright, cropped and scaled.

    Args:
        events: EVENT_DTYPE `[N]`.
        sensor: height and width of the sensor, after `reading.view`.
        reading: settings of the reading.
        where: the file, for errors.

    Raises:
        UserError: an event lies outside the sensor.
    """
    view = reading.view
    events = turned(events, reading.orientation, sensor if view is None else view.sensor, where=where)
    return events if view is None else view.apply(events, where)


def read_events(
    path: Path, decode: Callable[[Path], np.ndarray] | None = None, *, reading: Reading = AS_STORED
) -> np.ndarray:
    """Reads the events of one file, as they are stored.

    Args:
        path: the file.
        decode: reader that replaces that of the extension; its errors count as damage of the file.
        reading: settings of the reading.

    Returns:
        EVENT_DTYPE `[N]`.

    Raises:
        UserError: the file is damaged, empty, or of another layout. The sensor is not checked.
        MissingDependencyError: the decompressor of the format is not installed.
    """
    if not decode and path.suffix.lower() not in READERS:
        raise UserError(
            f"no reader for {path.suffix or 'a file without extension'}",
            where=str(path),
            hint="convert it to one of " + ", ".join(READERS),
        )
    try:
        if path.stat().st_size == 0 and not path.is_dir():
            raise damaged("the file is empty")
        if decode:
            events = decode(path)
        else:
            _check_extension(path)
            events = _read(path, reading)
        if not len(events):
            raise EventFileError("it holds no event", message="this event file is empty", hint="remove it")
    except (UserError, ImportError):
        raise
    except EventFileError as fault:
        raise UserError(fault.message, where=str(path), cause=fault.cause, hint=fault.hint) from None
    except MemoryError:
        raise UserError(
            "this event file needs more memory than there is", where=str(path), hint="cut it into recordings"
        ) from None
    except Exception as error:  # decoders raise whatever they like on bytes that they did not expect
        broken = damaged(f"{type(error).__name__}: {error}"[:300])
        raise UserError(broken.message, where=str(path), cause=broken.cause, hint=broken.hint) from error
    return events


def _read(path: Path, reading: Reading) -> np.ndarray:
    extension = path.suffix.lower()
    if reading.time_unit != "us" and extension not in TABLES:
        raise EventFileError(
            f"{extension} files state their times in microseconds", message="data.time_unit has no meaning here",
            hint=f'set data.time_unit = "us"; it is for {", ".join(sorted(TABLES))}',
        )  # fmt: skip
    return READERS[extension](path, Table(columns=reading.columns, time_unit=reading.time_unit))


def _read_nmnist(path: Path) -> np.ndarray:
    content = event_streams.content_of(path)
    if len(content) % EVENT_BYTES:
        raise damaged(
            f"{len(content)} bytes are not a multiple of {EVENT_BYTES}, the size of an event; the file is cut short"
        )
    return decode(content)


Reader = Callable[[Path, Table], np.ndarray]  # the file, and what the recipe says of tables


def _stream(read: Callable[[Path], np.ndarray]) -> Reader:
    """The reader of a stream format that names its content."""
    return lambda path, layout: read(path)


READERS: dict[str, Reader] = {
    ".bin": _stream(_read_nmnist),  # N-MNIST and N-Caltech101
    ".dat": _stream(event_streams.read_dat),
    ".raw": _stream(event_streams.read_raw),
    ".aedat4": _stream(aedat4.read_aedat4),
    ".npy": event_arrays.read_npy,
    ".npz": event_arrays.read_npz,
    ".h5": event_hdf5.read_h5,
    ".hdf5": event_hdf5.read_h5,
    ".aedat": _stream(aedat.read_aedat),
    ".mat": event_arrays.read_mat,
    ".csv": event_text.read_text,
    ".txt": event_text.read_text,
}

TABLES = {".npy", ".npz", ".h5", ".hdf5", ".mat", ".csv", ".txt"}  # formats of columns, which state no unit

_BEGINNINGS: dict[bytes, tuple[str, ...]] = {
    b"\x89HDF\r\n\x1a\n": (".h5", ".hdf5"),
    b"\x93NUMPY": (".npy",),
    b"PK\x03\x04": (".npz",),
    b"#!AER-DAT4": (".aedat4",),
    b"#!AER-DAT2": (".aedat",),
    b"#!AER-DAT3": (".aedat",),
    b"MATLAB 5.0": (".mat",),
    b"% ": (".dat", ".raw"),
}


def _check_extension(path: Path) -> None:
    """Raises EventFileError if the first bytes are those of another format."""
    with open(path, "rb") as file:
        first = file.read(16)
    extension = path.suffix.lower()
    if READERS[extension] is event_text.read_text and first.startswith(b"% "):
        return  # a comment
    for beginning, extensions in _BEGINNINGS.items():
        # .bin begins with an event: a short beginning may be one.
        if first.startswith(beginning) and extension not in extensions and (extension != ".bin" or len(beginning) > 5):
            raise EventFileError(
                f"its first bytes are those of {' or '.join(extensions)}",
                message=f"this event file is not a {extension}",
                hint="rename it by what it is",
            )

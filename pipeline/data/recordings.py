"""Event files -> structured arrays, one reader for each extension."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hardware_profiles.errors import MissingPart, UserError
from pipeline.data.dataset import Recording
from pipeline.data.events import EVENT_DTYPE
from pipeline.data.nmnist import EVENT_BYTES, decode

# Field names that other tools write for ours.
_ALIASES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "on"),
}


def read_recording(path: Path, sensor: tuple[int, int], *, label: int, key: str) -> Recording:
    """The recording that one event file holds; t in us from the file's own zero.

    The extension chooses the reader (see READERS). Raises UserError naming the file where it is damaged, empty
    or does not fit a sensor of that height and width, MissingPart where the format's decoder is not installed.
    """
    return Recording(events=read_events(path), sensor=sensor, label=label, key=key, origin=str(path))


def read_events(path: Path, reader: Callable[[Path], np.ndarray] | None = None) -> np.ndarray:
    """The events of one file as EVENT_DTYPE, as the file has them. Raises as `read_recording`, but sees no sensor.

    `reader`: instead of the one that the extension chooses; what it raises is said to be the file's damage.
    """
    reader = reader or READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"no reader for {path.suffix or 'a file without extension'}",
            where=str(path),
            mend="convert it to one of " + ", ".join(READERS),
        )
    try:
        if path.stat().st_size == 0:
            raise _DamagedError("the file is empty")
        events = reader(path)
    except (UserError, ImportError):
        raise
    except _DamagedError as fault:
        raise _damaged(path, str(fault)) from None
    except Exception as error:  # decoders raise whatever they like on bytes that they did not expect
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not len(events):
        raise _damaged(path, "it holds no event")
    return events


def _read_nmnist(path: Path) -> np.ndarray:
    content = path.read_bytes()
    if len(content) % EVENT_BYTES:
        raise _DamagedError(
            f"{len(content)} bytes are no multiple of the {EVENT_BYTES} that each event takes; the file is cut short"
        )
    return decode(content)


def _read_prophesee_dat(path: Path) -> np.ndarray:
    from expelliarmus import Wizard

    # Checked here, because the decoder drops half an event silently and never returns from half a header.
    header = 0
    with open(path, "rb") as file:
        while (line := file.readline()).startswith(b"%"):
            header += len(line)
            if not line.endswith(b"\n"):
                raise _DamagedError("its header is cut short")
    body = path.stat().st_size - header - 2  # two bytes say what an event is
    if not header or body < 0:
        raise _DamagedError("it has no header of % lines")
    if body % 8:
        raise _DamagedError(f"{body} bytes of events are no multiple of the 8 that each takes; the file is cut short")
    events = Wizard(encoding="dat").read(path) if body else None
    return np.empty(0, EVENT_DTYPE) if events is None else from_columns(events)


def _read_aedat4(path: Path) -> np.ndarray:
    try:
        import aedat  # noqa: F401  tonic's reader imports it
    except ImportError:
        raise MissingPart(
            "reading .aedat4 needs the decoder `aedat`", where=str(path), mend="pip install aedat"
        ) from None
    from tonic.io import read_aedat4

    return from_columns(read_aedat4(str(path)))


def _read_aedat2(path: Path) -> np.ndarray:
    """AEDAT 2.0 of a DVS128: big-endian 32-bit words, address and time in us in turn. In the address, bit 0 is 0
    for ON, bits 1 to 7 count columns and bits 8 to 14 rows of the chip, which stood on its side: turned here, as
    the makers of CIFAR10-DVS turn it. Bit 15 marks a sync pulse, which is no event.
    """
    content = path.read_bytes()
    start, version = 0, ""
    while content[start : start + 1] == b"#":
        end = content.find(b"\n", start)
        if end < 0:
            raise _DamagedError("its header is cut short")
        if content[start:end].startswith(b"#!AER-DAT"):
            version = content[start + len("#!AER-DAT") : end].decode("ascii", "replace").strip()
        start = end + 1
    if not version.startswith("2"):
        raise _DamagedError(f"it is AEDAT {version or 'of no stated version'}; .aedat is read in version 2.0")
    if (len(content) - start) % 8:
        raise _DamagedError(f"{len(content) - start} bytes of events are no multiple of the 8 that each takes")
    address, time = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2).T.astype(np.int64)
    if (address >> 16).any():
        raise _DamagedError("its addresses are not those of a DVS128")
    kept = address >> 15 == 0
    address, time = address[kept], time[kept]
    return from_columns(
        {"t": time, "x": 127 - (address >> 8 & 127), "y": 127 - (address >> 1 & 127), "p": 1 - (address & 1)}
    )


def _read_mat(path: Path) -> np.ndarray:
    from scipy.io import loadmat

    columns = {name: np.ravel(value) for name, value in loadmat(path).items() if isinstance(value, np.ndarray)}
    for name, column in columns.items():  # MATLAB writes whole numbers as doubles
        if column.dtype.kind == "f" and np.array_equal(column, np.rint(column)):
            columns[name] = column.astype(np.int64)
    return from_columns(columns)


def _read_npy(path: Path) -> np.ndarray:
    array = np.load(path, allow_pickle=False)
    if array.dtype.names is None:
        raise _DamagedError("it is no structured array with the fields t, x, y, p")
    return from_columns(array)


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) == 1 and archive[archive.files[0]].dtype.names:
            return from_columns(archive[archive.files[0]])
        return from_columns({name: archive[name] for name in archive.files})


def _read_h5(path: Path) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        found = file.get("events", file)
        if isinstance(found, h5py.Dataset):
            return from_columns(found[()])
        return from_columns({name: item[()] for name, item in found.items() if isinstance(item, h5py.Dataset)})


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".bin": _read_nmnist,  # N-MNIST and N-Caltech101
    ".dat": _read_prophesee_dat,
    ".aedat4": _read_aedat4,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".aedat": _read_aedat2,
    ".mat": _read_mat,
}


class _DamagedError(Exception):
    """Why a file cannot be what its extension says."""


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        "this event file cannot be read",
        where=str(path),
        why=why,
        mend="copy it again from its source, or remove it",
    )


def from_columns(source: Any) -> np.ndarray:
    """A structured array, or arrays by name, as EVENT_DTYPE; nothing is rounded or wrapped on the way."""
    names = source.dtype.names if isinstance(source, np.ndarray) else tuple(source)
    if names is None:
        raise _DamagedError("it is no structured array with the fields t, x, y, p")
    columns = {}
    for field, aliases in _ALIASES.items():
        found = next((name for name in names if name.lower() in aliases), None)
        if found is None:
            raise _DamagedError(f"there is no field {field!r}, only {', '.join(names) or 'none'}")
        columns[field] = np.asarray(source[found])
    if len({column.shape for column in columns.values()}) > 1 or columns["t"].ndim != 1:
        raise _DamagedError("t, x, y and p are not columns of one length")
    if columns["p"].dtype.kind in "if" and (columns["p"] == -1).any():
        columns["p"] = np.where(columns["p"] == -1, 0, columns["p"])  # a common way to write OFF
    events = np.empty(len(columns["t"]), EVENT_DTYPE)
    for field, column in columns.items():
        if column.dtype.kind not in "iub":
            raise _DamagedError(f"{field} must hold whole numbers (time in us), it has {column.dtype}")
        events[field] = column
        if not np.array_equal(events[field], column):
            raise _DamagedError(f"{field} has values that do not fit {events[field].dtype}")
    return events

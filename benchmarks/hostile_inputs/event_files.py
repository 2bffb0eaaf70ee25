"""Small valid event files of every extension, written here, and folders of recordings with such a file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

FIELDS = [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "<u1")]
HEIGHT, WIDTH = 6, 9
RECIPE = f"""name = "hostile"
[data]
source = "class-folders"
root = "."
events = "events"
images = "pictures"
pairing = "class"
height = {HEIGHT}
width = {WIDTH}
steps = 5
step_us = 10
validation = 1
test = 2
"""


def some_events(rng: np.random.Generator, count: int = 30) -> np.ndarray:
    """Random events of a sensor of HEIGHT x WIDTH over 50 us, in order of time.

    Args:
        rng: random numbers.
        count: number of events.
    """
    events = np.empty(count, FIELDS)
    events["t"] = np.sort(rng.integers(0, 50, count))
    events["x"], events["y"] = rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count)
    events["p"] = rng.integers(0, 2, count)
    return events


def as_file(extension: str, events: np.ndarray) -> bytes:
    """The bytes of an event file.

    Args:
        extension: extension of the file.
        events: the events.

    Raises:
        KeyError: the extension is unknown here.
    """
    return WRITERS[extension](events)


def _nmnist(events: np.ndarray) -> bytes:
    time = events["t"].astype(np.int64)
    last = [(events["p"].astype(np.int64) << 7) | time >> 16, time >> 8 & 255, time & 255]
    return np.stack([events["x"], events["y"], *last], axis=1).astype(np.uint8).tobytes()


def _dat(events: np.ndarray) -> bytes:
    header = f"% Data file containing CD events.\n% Version 2\n% Height {HEIGHT}\n% Width {WIDTH}\n"
    address = events["x"].astype("<u4") | events["y"].astype("<u4") << 14 | events["p"].astype("<u4") << 28
    return header.encode() + b"\x0c\x08" + np.stack([events["t"].astype("<u4"), address], axis=1).tobytes()


def _aedat2(events: np.ndarray) -> bytes:
    address = events["x"].astype(">u4") << 1 | events["y"].astype(">u4") << 8 | 1 - events["p"].astype(">u4")
    body = np.stack([address, events["t"].astype(">u4")], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n# of a test\r\n" + body.tobytes()


def _npy(events: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, events)
    return buffer.getvalue()


def _npz(events: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: events[name] for name in events.dtype.names})
    return buffer.getvalue()


def _h5(events: np.ndarray) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["events"] = events
    return buffer.getvalue()


def _mat(events: np.ndarray) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {name: events[name].astype(np.float64)[:, None] for name in events.dtype.names})
    return buffer.getvalue()


def _evt2(events: np.ndarray) -> bytes:
    """EVT 2.0: a word of time above 6 bits before each event."""
    header = f"% evt 2.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n".encode()
    time = events["t"].astype(np.uint64)
    high = np.uint64(0x8 << 28) | time >> np.uint64(6)
    low = events["p"].astype(np.uint64) << np.uint64(28) | (time & np.uint64(63)) << np.uint64(22)
    low |= events["x"].astype(np.uint64) << np.uint64(11) | events["y"].astype(np.uint64)
    return header + np.stack([high, low], axis=1).astype("<u4").tobytes()


def _aedat4(events: np.ndarray) -> bytes:
    """AEDAT 4.0 with one uncompressed packet, with flatbuffers made by hand."""
    xml = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/outInfo/"><node name="0" path="/0/">'
        '<attr key="compression" type="string">NONE</attr><attr key="originalOutputName" type="string">events</attr>'
        '<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/info/">'
        f'<attr key="sizeX" type="int">{WIDTH}</attr><attr key="sizeY" type="int">{HEIGHT}</attr>'
        '<attr key="source" type="string">test</attr></node></node></node></dv>'
    ).encode()
    text = len(xml).to_bytes(4, "little") + xml + bytes(4 - len(xml) % 4)
    # root -> table {compression: int32, dataTablePosition: int64, infoNode: string}, its vtable before it
    vtable = np.array([10, 20, 16, 4, 12], "<u2").tobytes() + b"\0\0"
    table = (
        np.array([len(vtable)], "<i4").tobytes() + (-1).to_bytes(8, "little", signed=True) + b"\x08\0\0\0" + b"\0\0\0\0"
    )
    root = (8 + len(vtable)).to_bytes(4, "little") + b"IOHE"
    header = root + vtable + table + text
    rows = np.zeros(len(events), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("pad", "u1", 3)])
    for name in ("t", "x", "y", "p"):
        rows[name] = events[name]
    packet = (16).to_bytes(4, "little") + b"EVTS" + np.array([6, 8, 4], "<u2").tobytes() + b"\0\0"
    packet += np.array([8], "<i4").tobytes() + (4).to_bytes(4, "little") + len(rows).to_bytes(4, "little")
    packet += rows.tobytes()
    packet = len(packet).to_bytes(4, "little") + packet
    sized = len(header).to_bytes(4, "little") + header
    return b"#!AER-DAT4.0\r\n" + sized + bytes(4) + len(packet).to_bytes(4, "little") + packet


def _csv(events: np.ndarray) -> bytes:
    rows = np.stack([events[name].astype(np.int64) for name in ("x", "y", "t", "p")], axis=1)
    return b"x,y,t,p\n" + b"".join(b"%d,%d,%d,%d\n" % tuple(row) for row in rows.tolist())


def _txt(events: np.ndarray) -> bytes:
    rows = np.stack([events[name].astype(np.int64) for name in ("t", "x", "y", "p")], axis=1)
    buffer = io.BytesIO()
    np.savetxt(buffer, rows, "%d", header="t x y p")
    return buffer.getvalue()


WRITERS = {
    ".bin": _nmnist,
    ".dat": _dat,
    ".aedat4": _aedat4,
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _h5,
    ".hdf5": _h5,
    ".aedat": _aedat2,
    ".mat": _mat,
    ".raw": _evt2,
    ".csv": _csv,
    ".txt": _txt,
}


def class_folders(folder: Path, rng: np.random.Generator, *, recording: tuple[str, bytes] | None = None) -> None:
    """Writes a recipe, two classes of recordings, and their pictures.

    Args:
        folder: the folder to write into.
        rng: random numbers.
        recording: (extension, bytes) of one recording of the first class; None: all recordings are valid.
    """
    for label, name in enumerate(("ant", "bee")):
        (folder / "events" / name).mkdir(parents=True)
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            odd = recording if number == label == 0 else None
            extension, content = odd or (".npy", _npy(some_events(rng)))
            (folder / "events" / name / f"{number:03}{extension}").write_bytes(content)
            Image.new("RGB", (5, 4), (40 * number, 80 * label, 7)).save(folder / "pictures" / name / f"{number:03}.png")
    (folder / "recipe.toml").write_text(RECIPE)

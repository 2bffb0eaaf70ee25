"""Writes events in each format that `spikeport` reads, for `framing_formats.py`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import lz4.frame
import numpy as np
import scipy.io

WIDTH, HEIGHT = 346, 260
_PACKET = 10_000  # events in a packet of AEDAT 4
Written = tuple[Path, Callable[[Path], object]]  # the file, and how NumPy or the format's library reads its bytes


def moved(events: np.ndarray, width: int, height: int) -> np.ndarray:
    """Events that are scaled to a sensor of this size.

    Args:
        events: EVENT_DTYPE `[N]`.
        width: columns of the sensor.
        height: rows of the sensor.
    """
    out = events.copy()
    for axis, size in (("x", width), ("y", height)):
        out[axis] = events[axis].astype(np.int64) * size // (int(events[axis].max()) + 1)
    return out


def write_all(events: np.ndarray, folder: Path) -> dict[str, Written]:
    """Writes the events once for each format.

    Args:
        events: EVENT_DTYPE `[N]`, times below 2^28 us.
        folder: where the files are made.

    Returns:
        By name of the format: the file and a function that only reads its bytes.
    """
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    columns = {"t": t, "x": x.astype(np.uint16), "y": y.astype(np.uint16), "p": p.astype(np.uint8)}
    rows = np.stack([t, x, y, p], axis=1)
    fields = np.rec.fromarrays([x.astype("<u2"), y.astype("<u2"), p.astype("<i2"), t], names="x,y,p,t")
    stated = f"% geometry {WIDTH}x{HEIGHT}\n"
    found: dict[str, Written] = {}

    def write(name: str, file: str, content: bytes, numpy: Callable[[Path], object] | None = None) -> None:
        (folder / file).write_bytes(content)
        found[name] = folder / file, numpy or (lambda path: np.fromfile(path, np.uint8))

    dat = np.stack([t, x | y << 14 | p << 28], axis=1).astype("<u4").tobytes()
    write(".dat", "a.dat", f"% Version 2\n{stated}".encode() + b"\x0c\x08" + dat)
    write(".raw EVT 2.1", "b.raw", f"% evt 2.1\n% endianness little\n{stated}% end\n".encode() + _evt21(t, x, y, p))
    write(".raw EVT 3.0, singles", "c.raw", f"% evt 3.0\n{stated}% end\n".encode() + evt3_bytes(t, x, y, p))
    davis = np.stack([y << 22 | x << 12 | p << 11, t], axis=1).astype(">u4").tobytes()
    write(".aedat 2.0", "d.aedat", b"#!AER-DAT2.0\r\n# AEChip: DAVIS346\r\n" + davis)
    write(".aedat 3.1", "e.aedat", b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + _aedat3(t, x, y, p))
    write(".aedat4, LZ4", "f.aedat4", aedat4_bytes(events))
    for name, array in ((".npy, fields", fields), (".npy, [N, 4]", rows)):
        path = folder / f"{name[6:]}.npy".replace(" ", "")
        np.save(path, array)
        found[name] = path, np.load
    np.savez(folder / "g.npz", **columns)
    np.savez_compressed(folder / "h.npz", **columns)
    found[".npz"] = folder / "g.npz", _load_all
    found[".npz, compressed"] = folder / "h.npz", _load_all
    for name, file, packing in ((".h5 Metavision", "i.h5", None), (".h5 Metavision, gzip", "j.h5", "gzip")):
        with h5py.File(folder / file, "w") as out:
            out.create_dataset(
                "CD/events", data=np.asarray(fields), chunks=(min(len(t), 1 << 16),), compression=packing
            )
        found[name] = folder / file, _read_cd
    scipy.io.savemat(folder / "k.mat", {"ts": t, **{name: columns[name] for name in "xyp"}})
    found[".mat"] = folder / "k.mat", lambda path: scipy.io.loadmat(path)
    np.savetxt(folder / "l.csv", rows, "%d", delimiter=",", header="t,x,y,p", comments="")
    found[".csv"] = folder / "l.csv", lambda path: np.loadtxt(path, np.int64, delimiter=",", skiprows=1)
    np.savetxt(folder / "m.txt", rows, "%d")
    found[".txt"] = folder / "m.txt", lambda path: np.loadtxt(path, np.int64)
    return found


def _load_all(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[name] for name in "txyp"]


def _read_cd(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["CD/events"][()]


def _evt21(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    """A word for each event, and one of time where the high part changes."""
    begins = np.diff(t >> 6, prepend=-1) != 0
    words = (p << 60 | (t & 63) << 54 | (x & ~31) << 43 | y << 32 | 1 << (x & 31)).astype(np.uint64)
    times = (8 << 60 | (t[begins] >> 6).astype(np.uint64).astype(object) << 32).astype(np.uint64)
    return np.insert(words, np.flatnonzero(begins), times).astype("<u8").tobytes()


def evt3_bytes(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    """Words of EVT 3.0 without vectors: a column for each event, time and row where they change.

    Args:
        t: times in us, below 2^24.
        x: columns.
        y: rows.
        p: polarities.
    """
    words = np.stack([0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x], axis=1)
    late = np.diff(t, prepend=-1) != 0
    used = np.stack([np.diff(t >> 12, prepend=-1) != 0, late, late | (np.diff(y, prepend=-1) != 0), t >= 0], axis=1)
    return words[used].astype("<u2").tobytes()


def _aedat3(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    body = np.stack([x << 17 | y << 2 | p << 1 | 1, t], axis=1).astype("<u4")
    parts = [body[at : at + _PACKET] for at in range(0, len(body), _PACKET)]
    heads = [struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, len(part), len(part), len(part)) for part in parts]
    return b"".join(head + part.tobytes() for head, part in zip(heads, parts, strict=True))


def aedat4_bytes(events: np.ndarray) -> bytes:
    """AEDAT 4 as DV writes it: a header and packets of flatbuffers, of one stream of events.

    Args:
        events: EVENT_DTYPE `[N]`.
    """
    text = b'<dv><node name="0" path="/0/"><attr key="typeIdentifier" type="string">EVTS</attr></node></dv>'
    head = struct.pack("<I4sHHHHHxxiiqII", 20, b"IOHE", 10, 20, 4, 8, 16, 12, 1, -1, 4, len(text)) + text
    kind = {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12]}
    parts = [events[at : at + _PACKET] for at in range(0, len(events), _PACKET)]
    packets = []
    for part in parts:
        body = np.zeros(len(part), np.dtype({**kind, "itemsize": 16}))
        for name in "txyp":
            body[name] = part[name]
        table = struct.pack("<I4sHHHxxiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(part)) + body.tobytes()
        packet = lz4.frame.compress(struct.pack("<I", len(table)) + table)
        packets.append(struct.pack("<iI", 0, len(packet)) + packet)
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(head)) + head + b"".join(packets)

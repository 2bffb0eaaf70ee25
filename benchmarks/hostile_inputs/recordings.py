"""Hostile recordings: empty, cut, forged or too large files of every extension, in otherwise valid class folders."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hostile_inputs.cases import Case
from hostile_inputs.event_files import FIELDS, as_file, class_folders, some_events
from hostile_inputs.forged_files import OWN
from spikeport.pipeline.data.readers.recordings import READERS

INFO = ["data", "info", "recipe.toml"]
BIG = ("--set", "data.height=128", "--set", "data.width=128")  # an .aedat's coordinates may count from the far end
Change = Callable[[np.random.Generator, bytes], bytes]
ANY: dict[str, Change] = {  # for every format
    "empty": lambda rng, sound: b"",
    "one byte": lambda rng, sound: sound[:1],
    "nine bytes": lambda rng, sound: sound[:9],
    "half": lambda rng, sound: sound[: len(sound) // 2],
    "last byte gone": lambda rng, sound: sound[:-1],
    "first byte gone": lambda rng, sound: sound[1:],
    "noise": lambda rng, sound: rng.bytes(999),
    "zeros": lambda rng, sound: bytes(1000),
    "ones": lambda rng, sound: b"\xff" * 1000,
    "noise behind": lambda rng, sound: sound + rng.bytes(77),
    "twice": lambda rng, sound: sound + sound,
    "text": lambda rng, sound: b"t,x,y,p\n1,2,3,1\n",
    "percent lines": lambda rng, sound: b"% \x1b[31m\n" * 40_000,
    "hash lines": lambda rng, sound: b"#!AER-DAT2.0\n" + b"# \x1b]0;x\x07\n" * 40_000,
    "one endless line": lambda rng, sound: sound[:20] + b"%" * 4_000_000,
    "a picture": lambda rng, sound: b"\x89PNG\r\n\x1a\n" + rng.bytes(200),
    "a program": lambda rng, sound: b"\x7fELF" + rng.bytes(200),
    "a pickle": lambda rng, sound: b"cos\nsystem\n(S'touch run-by-pickle'\ntR.",
}


def _columns(**changed: Any) -> Callable[[np.random.Generator], dict[str, np.ndarray]]:
    def make(rng: np.random.Generator) -> dict[str, np.ndarray]:
        events = some_events(rng)
        columns = {name: np.array(events[name]) for name, _ in FIELDS}
        for name, value in changed.items():
            if value is None:
                columns.pop(name)
            else:
                columns[name] = np.resize(value, 30) if np.ndim(value) < 2 else np.asarray(value)
        return columns

    return make


COLUMNS = {  # values of named columns
    "time runs backwards": _columns(t=np.arange(30)[::-1]),
    "time below zero": _columns(t=np.arange(-30, 0)),
    "time at the end of int64": _columns(t=np.full(30, 2**63 - 1)),
    "time from end to end": _columns(t=np.linspace(-(2**62), 2**62, 30).astype(np.int64)),
    "time of uint64": _columns(t=np.full(30, 2**64 - 1, np.uint64)),
    "time is NaN": _columns(t=np.nan),
    "time is infinite": _columns(t=np.inf),
    "time in seconds": _columns(t=np.linspace(0, 1e-4, 30)),
    "complex time": _columns(t=np.linspace(0, 50, 30) * 1j),
    "dates": _columns(t=np.arange(30).astype("datetime64[us]")),
    "words": _columns(t=np.array(["a\x1b[31m", "b"])),
    "bytes": _columns(p=np.array([b"\xff\xfe", b"on"])),
    "x beyond the sensor": _columns(x=60_000),
    "x below zero": _columns(x=np.full(30, -1)),
    "y of 2^40": _columns(y=np.full(30, 2**40)),
    "polarity 7": _columns(p=7),
    "polarity -1, 0 and 1": _columns(p=np.array([-1, 0, 1])),
    "bool polarity": _columns(p=np.array([True, False])),
    "no p": _columns(p=None),
    "no column at all": lambda rng: {},
    "two axes": _columns(t=np.zeros((30, 2), np.int64)),
    "other lengths": lambda rng: _columns()(rng) | {"x": np.zeros(7, np.int64)},
    "no event": lambda rng: {name: column[:0] for name, column in _columns()(rng).items()},
    "hostile names": lambda rng: {f"{name}\x1b[31m\u202e": column for name, column in _columns()(rng).items()},
    "other names": lambda rng: dict(zip("abcd", _columns()(rng).values(), strict=True)),
}


def _packed(extension: str, columns: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    if extension == ".npz":
        np.savez(buffer, **columns)
    elif extension == ".npy":
        rows = np.zeros(30, [(name, column.dtype) for name, column in columns.items() if column.shape == (30,)])
        for name in rows.dtype.names or ():
            rows[name] = columns[name]
        np.save(buffer, rows)
    elif extension == ".mat":
        from scipy.io import savemat

        plain = {name: column for name, column in columns.items() if column.dtype.kind not in "MSU"}
        savemat(buffer, {ascii(name)[1:31]: column for name, column in plain.items()})
    else:
        with h5py.File(buffer, "w") as file:
            for name, column in columns.items():
                file[name] = column.astype("S8") if column.dtype.kind in "US" else _plain(column)
    return buffer.getvalue()


def _plain(column: np.ndarray) -> np.ndarray:
    return column.astype(np.int64) if column.dtype.kind == "M" else column


def _recording(
    extension: str, make: Callable[[np.random.Generator], bytes], more: tuple[str, ...] = ()
) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng, recording=(extension, make(rng)))
        return [*INFO, *more]

    return build


def _changed(extension: str, change: Change) -> Callable[[np.random.Generator], bytes]:
    return lambda rng: change(rng, as_file(extension, some_events(rng)))


def _placed(place: Callable[[Path], None]) -> Callable[..., list[str]]:
    """Calls `place` with the folder of recordings of a class."""

    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng)
        place(folder / "events" / "ant")
        return INFO

    return build


def _socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(at)  # a socket's path has at most 107 characters
        made.bind("9.npy")
        os.chdir(here)


ODD_ENTRIES: dict[str, Callable[[Path], None]] = {
    "a FIFO": lambda at: os.mkfifo(at / "9.npy"),
    "a socket": _socket,
    "a link to nothing": lambda at: (at / "9.npy").symlink_to("nowhere"),
    "a link to itself": lambda at: (at / "9.npy").symlink_to("9.npy"),
    "a link to /dev/zero": lambda at: (at / "9.npy").symlink_to("/dev/zero"),
    "a link to a FIFO": lambda at: (os.mkfifo(at.parent / "pipe"), (at / "9.npy").symlink_to("../pipe"))[1],
    "a folder with a file's name": lambda at: (at / "9.npy").mkdir(),
    "a name that is no UTF-8": lambda at: (at / os.fsdecode(b"9\xff.npy")).write_bytes(b"x"),
    "a sound file with such a name": lambda at: (at / "000.npy").rename(at / os.fsdecode(b"9\xff.npy")),
    "a name that steers": lambda at: (at / "9\x1b[31m\n.npy").write_bytes(b"x"),
    "a sound file that steers": lambda at: (at / "000.npy").rename(at / "9\x1b[31m\nerror: x\u202e.npy"),
    "a file that may not be read": lambda at: (at / "000.npy").chmod(0),
    "an unknown extension": lambda at: (at / "9.\x1b[31m").write_bytes(b"x"),
    "no extension": lambda at: (at / "9").write_bytes(b"x"),
    "the same id twice": lambda at: (at / "000.bin").write_bytes(bytes(5)),
    "a class that steers": lambda at: at.rename(at.parent / "ant\x1b]0;x\x07\n"),
    "a class of HTML": lambda at: at.rename(at.parent / "<script>alert(1)<"),
    "a class with a long name": lambda at: at.rename(at.parent / ("a" * 255)),
    "a class named like an option": lambda at: at.rename(at.parent / "--help"),
}


def cases() -> list[Case]:
    """All hostile recordings, in order."""
    found = []
    for extension in READERS:
        sound = _recording(extension, _changed(extension, lambda rng, content: content), more=BIG)
        found.append(Case("recordings", f"{extension} sound", sound, codes=(0,)))
        for name, change in ANY.items():
            made = _recording(extension, _changed(extension, change))
            found.append(Case("recordings", f"{extension} {name}", made))
        for name, own in OWN.get(extension, {}).items():
            found.append(Case("recordings", f"{extension} {name}", _recording(extension, own)))
        if extension in (".npy", ".npz", ".h5", ".mat"):
            for name, columns in COLUMNS.items():
                made = _recording(extension, lambda rng, e=extension, c=columns: _packed(e, c(rng)))
                found.append(Case("recordings", f"{extension} {name}", made))
    found += [Case("recordings", name, _placed(place)) for name, place in ODD_ENTRIES.items()]
    return found

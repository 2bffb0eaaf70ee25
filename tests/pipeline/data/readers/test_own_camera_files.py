"""The files that people with a camera of their own have: each is read, or refused with words that lead on.

Times in ms or ns are whole numbers as well: they are read, and `tests/pipeline/data/test_windows.py` has the warning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.pipeline.data.readers.recordings import Reading, read_recording

HEIGHT, WIDTH = 48, 64
T = np.array([5_000_003, 5_000_008, 5_000_008, 5_070_000], np.int64)
X = np.array([63, 6, 1, 5], np.int64)
Y = np.array([4, 47, 2, 3], np.int64)
P = np.array([1, 0, 0, 1], np.int64)
Write = Callable[[Path], None]


def fields(names: str = "x y t p", types: str = "<u2 <u2 <i8 u1", **changed: np.ndarray) -> np.ndarray:
    """A structured array; `changed` has other values by the letter that a name begins with."""
    columns = {"t": T, "x": X, "y": Y, "p": P} | changed
    array = np.zeros(4, list(zip(names.split(), types.split(), strict=True)))
    for name in array.dtype.names or ():
        array[name] = columns[name[0].lower()]
    return array


def npy(array: np.ndarray) -> tuple[str, Write]:
    return "a.npy", lambda path: np.save(path, array, allow_pickle=True)


def npz(**arrays: object) -> tuple[str, Write]:
    return "a.npz", lambda path: np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})


def h5(**members: object) -> tuple[str, Write]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name, member in members.items():
                file[name.replace("__", "/")] = member

    return "a.h5", write


def text(suffix: str, mark: str, head: str = "", t: np.ndarray = T) -> tuple[str, Write]:
    rows = [mark.join(map(str, row)) for row in zip(t.tolist(), X, Y, P, strict=True)]
    return f"a{suffix}", lambda path: path.write_text(head + "\n".join(rows) + "\n") and None


def evt3() -> tuple[str, Write]:
    """Each event with its row, both halves of its time, and its column."""
    words = [
        word
        for t, x, y, p in zip(T.tolist(), X.tolist(), Y.tolist(), P.tolist(), strict=True)
        for word in (0x8000 | t >> 12, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x)
    ]
    head = f"% evt 3.0\n% format EVT3;height={HEIGHT};width={WIDTH}\n% end\n".encode()
    return "a.raw", lambda path: path.write_bytes(head + np.array(words, "<u2").tobytes()) and None


TABLE = np.stack([T, X, Y, P], axis=1)
METAVISION = fields("x y p t", "<u2 <u2 <i2 <i8")
READ = {
    "structured": (npy(fields()), ""),
    "time of 32 bits": (npy(fields(types="<u2 <u2 <u4 u1")), ""),
    "True and False": (npy(fields(types="<u2 <u2 <i8 ?")), ""),
    "polarity of -1 and 1": (npy(fields(types="<u2 <u2 <i8 i1", p=2 * P - 1)), ""),
    "timestamp and polarity": (npy(fields("x y timestamp polarity")), ""),
    "ts and pol": (npy(fields("x y ts pol")), ""),
    "capital letters": (npy(fields("X Y T P")), ""),
    "npz of columns": (npz(t=T, x=X, y=Y, p=P), ""),
    "npz of columns and a label": (npz(t=T, x=X, y=Y, p=P, label=3), ""),
    "npz of one structured array": (npz(events=fields()), ""),
    "npz of a structured array and a label": (npz(e=fields(), label=3), ""),
    "npz with a time of its own": (npz(time=7, t=T, x=X, y=Y, p=P), ""),
    "time and polarities": (npy(fields("x y time polarities")), ""),
    "npz of a table": (npz(events=TABLE), "txyp"),
    "npy of a table": (npy(TABLE), "txyp"),
    "h5 of columns": (h5(t=T, x=X, y=Y, p=P), ""),
    "DSEC": (h5(events__t=T, events__x=X, events__y=Y, events__p=P, ms_to_idx=np.arange(2), t_offset=7), ""),
    "h5 of a table": (h5(data=TABLE), "txyp"),
    "Metavision": (h5(CD__events=METAVISION, CD__indexes=np.arange(3)), ""),
    "RPG's text": (text(".txt", " "), "txyp"),
    "csv with a header": (text(".csv", ",", "t,x,y,p\n"), ""),
    "csv of metavision_file_to_csv": (text(".csv", ",", "%geometry:64,48\n"), "txyp"),
    "EVT 3.0": (evt3(), ""),
}
REFUSED = {
    "table without names": (npy(TABLE), "", 'say what its columns are: data.columns = "'),
    "text without names": (text(".txt", " "), "", 'say what its columns are: data.columns = "'),
    "seconds": (npz(t=T * 1e-6, x=X, y=Y, p=P), "", "times must be whole microseconds: t spans 0.069997"),
    "seconds in text": (text(".txt", " ", t=T * 1e-6), "txyp", "times must be whole microseconds: t spans 0.069997"),
    "other names": (npy(fields("x y t phase")), "", "rename the field that holds p to 'p'"),
    "frames": (
        npy(np.zeros((5, 2, HEIGHT, WIDTH), np.uint8)),
        "",
        'if these are frames, set data.recordings = "frames"',
    ),
    "a picture": (("a.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n") and None), "", "convert it to one of "),
    "counted from 1": (npz(t=T, x=X + 1, y=Y + 1, p=P), "", "seem to count from 1: set data.sensor = [65, 49]"),
    "x and y swapped": (npz(t=T, x=Y, y=X, p=P), "", 'set data.orientation = "transpose"'),
    "polarity 1 and 2": (npz(t=T, x=X, y=Y, p=P + 1), "", "decide which of them is ON"),
    "negative time": (npz(t=T - 6_000_000, x=X, y=Y, p=P), "", "before zero"),
    "not sorted": (npz(t=T[::-1], x=X, y=Y, p=P), "", "set data.sort = true"),
    "pickled": (npy(np.array([{"t": 1}], object)), "", "save plain arrays of numbers"),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read(tmp_path: Path, name: str) -> None:
    (file, write), columns = READ[name]
    write(tmp_path / file)
    reading = Reading(columns=columns)
    found = read_recording(tmp_path / file, (HEIGHT, WIDTH), label=0, key="k", reading=reading).events
    for field, column in zip("txyp", (T, X, Y, P), strict=True):
        np.testing.assert_array_equal(found[field], column)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_words_that_lead_on(tmp_path: Path, name: str) -> None:
    (file, write), columns, words = REFUSED[name]
    write(tmp_path / file)
    with pytest.raises(UserError) as caught:
        read_recording(tmp_path / file, (HEIGHT, WIDTH), label=0, key="k", reading=Reading(columns=columns))
    message = str(caught.value)
    assert words in message
    assert "Hint: " in message
    assert "copy it again" not in message

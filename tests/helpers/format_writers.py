"""Writers of one recording in every format and layout that people have; see `own_recordings.write_set`.

Each takes a path without extension and the columns t (in us, or as changed), x, y and p.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from camera_files import aedat2, aedat3, aedat3_packet, davis_word, evt2, evt3, evt21, evt21_clock, evt21_vector
from own_recordings import HEIGHT, WIDTH, Columns, Writer

GEOMETRY = f"% geometry {WIDTH}x{HEIGHT}\n"


def rows_of(columns: Columns) -> list[tuple[int, int, int, int]]:
    """(t, x, y, p) of each event."""
    return [tuple(map(int, row)) for row in zip(*(columns[name] for name in "txyp"), strict=True)]


def table_of(columns: Columns, order: str) -> np.ndarray:
    """`[N, 4]` in an order of columns."""
    return np.stack([columns[name] for name in order], axis=1)


def fields(names: str, types: str) -> Writer:
    """.npy of a structured array; each name begins with the letter of its column."""

    def write(path: Path, columns: Columns) -> None:
        table = np.zeros(len(columns["t"]), list(zip(names.split(), types.split(), strict=True)))
        for name in table.dtype.names or ():
            table[name] = columns[name[0].lower()]
        np.save(path.with_suffix(".npy"), table)

    return write


def npy_table(order: str) -> Writer:
    """.npy of `[N, 4]`."""
    return lambda path, columns: np.save(path.with_suffix(".npy"), table_of(columns, order))


def npz_columns(**names: str) -> Writer:
    """.npz of columns and a label; `names` gives a column another name."""

    def write(path: Path, columns: Columns) -> None:
        np.savez(path.with_suffix(".npz"), **{names.get(name, name): columns[name] for name in "txyp"}, label=3)

    return write


def npz_structured(path: Path, columns: Columns) -> None:
    """.npz of one structured array."""
    np.savez(path.with_suffix(".npz"), events=structured(columns))


def npz_structured_and_label(path: Path, columns: Columns) -> None:
    """.npz of a structured array and a label."""
    np.savez(path.with_suffix(".npz"), events=structured(columns), label=3)


def npz_table_and_label(path: Path, columns: Columns) -> None:
    """.npz of `[N, 4]` in the order t, x, y, p, and a label."""
    np.savez(path.with_suffix(".npz"), events=table_of(columns, "txyp"), label=3)


def structured(columns: Columns) -> np.ndarray:
    """The events as Metavision has them: x, y, p, t."""
    table = np.zeros(len(columns["t"]), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in "xypt":
        table[name] = columns[name]
    return table


def h5_columns(group: str, more: tuple[str, ...] = ()) -> Writer:
    """.h5 of columns at the top, or in a group with members as DSEC has them."""

    def write(path: Path, columns: Columns) -> None:
        with h5py.File(path.with_suffix(".h5"), "w") as file:
            for name in "txyp":
                file[f"{group}{name}"] = columns[name]
            for name in more:
                file[name] = np.arange(5)

    return write


def h5_array(name: str, order: str = "", more: tuple[str, ...] = ()) -> Writer:
    """.h5 of one structured array, or of `[N, 4]` in an order of columns."""

    def write(path: Path, columns: Columns) -> None:
        with h5py.File(path.with_suffix(".h5"), "w") as file:
            file[name] = table_of(columns, order) if order else structured(columns)
            for other in more:
                file[other] = np.arange(5)

    return write


def mat_columns(path: Path, columns: Columns) -> None:
    """.mat of columns as MATLAB writes them: floating point, `[N, 1]`."""
    from scipy.io import savemat

    named = {"ts" if name == "t" else name: columns[name].astype(float)[:, None] for name in "txyp"}
    savemat(path.with_suffix(".mat"), named)


def mat_table(path: Path, columns: Columns) -> None:
    """.mat of one array `[N, 4]` in the order x, y, t, p."""
    from scipy.io import savemat

    savemat(path.with_suffix(".mat"), {"events": table_of(columns, "xytp").astype(float)})


def text(suffix: str, mark: str, order: str, head: str = "", kinds: str = "%s") -> Writer:
    """One event in each line."""

    def write(path: Path, columns: Columns) -> None:
        rows = zip(*(columns[name].tolist() for name in order), strict=True)
        lines = [mark.join(kinds % value for value in row) for row in rows]
        path.with_suffix(suffix).write_text(head + "\n".join(lines) + "\n")

    return write


def dat(path: Path, columns: Columns) -> None:
    """Prophesee's DAT 2 of the size in its header."""
    head = f"% Version 2\n% Height {HEIGHT}\n% Width {WIDTH}\n% end\n".encode() + b"\x0c\x08"
    words = np.stack([columns["t"], columns["x"] | columns["y"] << 14 | columns["p"] << 28], axis=1)
    path.with_suffix(".dat").write_bytes(head + words.astype("<u4").tobytes())


def raw2(path: Path, columns: Columns) -> None:
    """EVT 2.0."""
    evt2(path.with_suffix(".raw"), rows_of(columns), f"% evt 2.0\n{GEOMETRY}% end\n")


def raw21(path: Path, columns: Columns) -> None:
    """EVT 2.1, one pixel a word."""
    words = []
    for t, x, y, p in rows_of(columns):
        words += [evt21_clock(t), evt21_vector(t, x & ~31, y, p, 1 << (x & 31))]
    evt21(path.with_suffix(".raw"), words, f"% format EVT21;endianness=little;height={HEIGHT};width={WIDTH}\n% end\n")


def raw3(path: Path, columns: Columns) -> None:
    """EVT 3.0."""
    evt3(path.with_suffix(".raw"), rows_of(columns), f"% evt 3.0\n% format EVT3;height={HEIGHT};width={WIDTH}\n% end\n")


def aedat2_dvs128(path: Path, columns: Columns) -> None:
    """AEDAT 2.0 of a DVS128: bits 8 to 14 are y, 1 to 7 x, and bit 0 is 0 for ON."""
    words = np.stack([columns["y"] << 8 | columns["x"] << 1 | 1 - columns["p"], columns["t"]], axis=1)
    path.with_suffix(".aedat").write_bytes(b"#!AER-DAT2.0\r\n# by hand\r\n" + words.astype(">u4").tobytes())


def aedat2_davis(path: Path, columns: Columns) -> None:
    """AEDAT 2.0 of a DAVIS."""
    aedat2(path.with_suffix(".aedat"), [(davis_word(x, y, p), t) for t, x, y, p in rows_of(columns)])


def aedat31(path: Path, columns: Columns) -> None:
    """AEDAT 3.1 in two packets."""
    rows = rows_of(columns)
    aedat3(path.with_suffix(".aedat"), aedat3_packet(rows[:100]), aedat3_packet(rows[100:]))


def aedat4(path: Path, columns: Columns) -> None:
    """AEDAT 4 in two packets; skips where its packers are not installed."""
    from aedat4_files import PACKINGS, packet, write

    rows = rows_of(columns)
    write(path.with_suffix(".aedat4"), [(0, PACKINGS[1](packet(part))) for part in (rows[:70], rows[70:])])


def pickled(path: Path, columns: Columns) -> None:
    """.npy of a pickled dictionary."""
    np.save(path.with_suffix(".npy"), np.array(columns, object), allow_pickle=True)

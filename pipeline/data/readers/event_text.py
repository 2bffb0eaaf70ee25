"""Reads events from text files, .csv and .txt: one event in each line, in columns.

Columns are separated by commas, semicolons or white space. Lines that begin with # or % are comments.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.readers.event_columns import (
    ALIASES,
    EventFileError,
    Table,
    check_size,
    column_numbers,
    damaged,
    from_columns,
    unknown_layout,
)
from spikeport.pipeline.data.readers.event_tables import from_table

PIECE = 1 << 22  # bytes that are converted at a time
_COMMENTS = 1 << 16  # bytes of comments before the first event that are remembered
_EXACT = 2.0**53  # from here on, a double does not hold every whole number
_SKIPPED = re.compile(rb"(?m)^[ \t]*(?:[#%][^\n]*|(?<=[ \t])\r?)$")  # comments, and lines of white space
_BOOL = re.compile(rb"(?<![^\s,;])(?:True|False)(?![^\s,;])")
_NUMBER = re.compile(rb"(?i)[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)")
_TAKEN = "columns that the first line names t, x, y and p, or 4 columns that data.columns names"


@dataclass(frozen=True)
class _Layout:
    """Columns of a line.

    Attributes:
        mark: what separates them; "" for white space.
        width: how many there are.
        used: numbers of those that are read, in order.
        names: their names, for example "txyp"; "" if nothing names them.
        header: whether the first line that is no comment holds names.
    """

    mark: str
    width: int
    used: tuple[int, ...]
    names: str
    header: bool = False


def read_text(path: Path, layout: Table) -> np.ndarray:
    """Reads one event from each line. Names in the file come before `layout.columns`.

    Args:
        path: the file.
        layout: order of the columns where the file does not name them, and unit of the times.

    Returns:
        EVENT_DTYPE `[N]`.

    Raises:
        EventFileError: a line is damaged, columns have no names, or values are not whole numbers.
    """
    size = os.path.getsize(path)
    check_size(size, size)
    lines = TextLines(layout)
    found: list[dict[str, np.ndarray]] = []
    events = 0
    for piece in _pieces(path):
        if columns := lines.columns(piece):
            events += len(columns["t"])
            check_size(events * EVENT_DTYPE.itemsize, size)
            found.append(columns)
    if not found:
        return np.empty(0, EVENT_DTYPE)
    return from_columns({name: np.concatenate([each.pop(name) for each in found]) for name in "txyp"}, layout.time_unit)


class TextLines:
    """Converts pieces of whole lines to columns, one after the other. After an error it is as it was before the piece.

    Args:
        layout: order of the columns where the lines do not name them.

    Attributes:
        count: number of lines that were converted.
    """

    def __init__(self, layout: Table) -> None:
        self.count = 0
        self._columns = layout.columns
        self._stated: _Layout | None = None
        self._comments = b""  # before the first line with content, the last ones of which may name the columns

    def columns(self, piece: bytes) -> dict[str, np.ndarray]:
        """The columns t, x, y and p of some lines; empty if there is no event in them.

        Args:
            piece: whole lines.

        Raises:
            EventFileError: a line is damaged, or columns have no names.
        """
        rows, stated, found = _without_comments(piece), self._stated, {}
        if b"True" in rows or b"False" in rows:
            rows = _BOOL.sub(lambda match: b"1" if match[0] == b"True" else b"0", rows)
        start = len(rows) - len(rows.lstrip())
        if stated is None and start < len(rows):
            first = rows[start:].partition(b"\n")[0].strip()
            stated = _layout(first, self._comments + piece, self._columns)
            if stated.header:
                rows = rows[:start] + rows[start + len(first) :]
        if stated is not None and rows.strip():
            table = _table(rows, stated, self.count)
            if not stated.names:
                from_table(table, Table())  # raises, with a likely order
            found = {name: _narrowed(table[:, n]) for n, name in enumerate(stated.names)}
        if stated is None:
            self._comments = (self._comments + piece)[-_COMMENTS:]
        self._stated = stated
        self.count += piece.count(b"\n")
        return found


def _pieces(path: Path) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    rest = b""
    with open(path, "rb") as file:
        if (mark := file.read(3)) != b"\xef\xbb\xbf":  # Excel's mark of UTF-8
            file.seek(0)
        if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise unknown_layout("text in UTF-16", "save it as UTF-8", "text in UTF-8 or ASCII")
        while block := file.read(PIECE):
            if b"\0" in block:
                raise damaged("it has bytes of value 0, so it is not text")
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            elif len(rest) + len(block) > PIECE:
                raise damaged(f"a line of it is longer than {PIECE:,} bytes")
            else:
                rest += block
    if rest:
        yield rest


def _without_comments(piece: bytes) -> bytes:
    """The lines without comments; only the part up to the last comment is searched for them."""
    last = max(piece.rfind(b"#"), piece.rfind(b"%")) + 1
    end = (piece.find(b"\n", last) + 1 or len(piece)) if last else 0
    return _SKIPPED.sub(b"", piece[:end]) + piece[end:]


def _layout(first: bytes, piece: bytes, columns: str) -> _Layout:
    """The layout that the first line with content states, or a comment before it."""
    mark = next((mark for mark in ";," if mark.encode() in first), "")
    fields = _split(first, mark)
    width = len(fields)
    if not all(map(_NUMBER.fullmatch, fields)):
        names = list(map(_column_of, fields))
        numbers = column_numbers([field.decode("latin1") for field in fields])
        if len(numbers) == 4:
            used = tuple(sorted(numbers.values()))
            return _Layout(mark, width, used, "".join(names[number] for number in used), header=True)
        if len(columns) == width and all(name in ("", given) for name, given in zip(names, columns, strict=True)):
            return _Layout(mark, width, tuple(range(width)), columns, header=True)
        raise unknown_layout(f"the first line {_shown(first)}", "name the columns in it t, x, y and p", _TAKEN)
    if width == 4:
        for comment in reversed(piece[: piece.find(first)].splitlines()):  # numpy.savetxt writes such a header
            names = list(map(_column_of, re.split(rb'[\s,;"]+', comment.strip(b'#% \t\r\n"'))))
            if sorted(names) == sorted("txyp"):
                return _Layout(mark, width, (0, 1, 2, 3), "".join(names))
        return _Layout(mark, width, (0, 1, 2, 3), columns)
    hint = "write the names of the columns into a line before it, for example t,x,y,p"
    if width == 2:
        hint = "if it is the width and height of the sensor, remove it, or begin it with #"
    raise unknown_layout(f"{width} columns without names, {_shown(first)}", hint, _TAKEN)


def _table(rows: bytes, layout: _Layout, before: int) -> np.ndarray:
    """The used columns of some lines, int64 or float64.

    Args:
        rows: the lines.
        layout: their columns.
        before: number of lines before these.
    """
    whole = not any(sign in rows for sign in b".eEnN")
    try:
        table = np.loadtxt(
            io.BytesIO(rows),
            np.int64 if whole else np.float64,
            comments=None,
            delimiter=layout.mark or None,
            usecols=layout.used if len(layout.used) < layout.width else None,
            ndmin=2,
            encoding="latin1",
            quotechar='"',
        )
    except ValueError as error:
        if (full := _SKIPPED.sub(b"", rows)) != rows:  # lines of white space
            return _table(full, layout, before)
        raise _bad_line(rows, layout, before) or damaged(str(error)[:200]) from None
    count = table.size
    if len(layout.used) < layout.width:
        count = rows.count(layout.mark.encode()) + len(table) if layout.mark else len(rows.split())
    if count != layout.width * len(table) and (fault := _bad_line(rows, layout, before)):
        raise fault
    return table


def _bad_line(rows: bytes, layout: _Layout, before: int) -> EventFileError | None:
    """The error for the first line that does not have the numbers of its layout."""
    for number, line in enumerate(rows.split(b"\n"), before + 1):
        if not line.strip():
            continue
        fields = _split(line, layout.mark)
        if len(fields) != layout.width:
            return damaged(f"line {number} has {len(fields)} columns, not {layout.width}: {_shown(line)}")
        for field in (fields[at] for at in layout.used):
            if not _NUMBER.fullmatch(field):
                return damaged(f"line {number}: {_shown(field)} is not a number")
            if field.strip(b"+-").isdigit() and len(field) > 18 and abs(int(field[:400])) >= 1 << 63:
                return damaged(f"line {number}: {_shown(field)} does not fit 64 bits")
    return None


def _narrowed(column: np.ndarray) -> np.ndarray:
    """The column in the smallest type that pieces of a file usually need."""
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            large = np.isfinite(column) & (np.abs(column) >= _EXACT)
            if large.any():
                at = int(np.argmax(large))
                raise unknown_layout(
                    f"{column[at]:.17g}, which a number with a decimal point does not hold exactly",
                    "write whole numbers without a decimal point",
                    f"whole numbers, or numbers with a decimal point below {int(_EXACT):,}",
                )
            if not (np.isfinite(column) & (column == np.rint(column))).all():
                return column
        column = column.astype(np.int64)
    narrow = column.astype(np.int16)
    return narrow if np.array_equal(narrow, column) else column


def _split(line: bytes, mark: str) -> list[bytes]:
    """The fields of a line, without spaces and quotes around them."""
    fields = line.split(mark.encode()) if mark else line.split()
    return [re.sub(rb'^"(.*)"$', rb"\1", field.strip()).strip() for field in fields]


def _column_of(field: bytes) -> str:
    """t, x, y or p for a field that names it, else nothing."""
    name = field.decode("latin1").lower()
    return next((column for column, aliases in ALIASES.items() if name in aliases), "")


def _shown(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))

"""Decodes Prophesee's EVT 2.0, 2.1 and 3.0 words to columns, with whole-array operations.

Time, row and column come in separate words; a word is combined with the last ones before it. Words before the first of
these are skipped. Long streams are decoded in pieces; the words that still apply are carried over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.readers.event_columns import check_size

Columns = dict[str, np.ndarray]
PIECE = 1 << 20  # words at a time: what decoding takes beside the events stays below 200 MB

_OFF, _ON, _TIME = 0x0, 0x1, 0x8
_Y, _X, _BASE, _VECTOR_12, _VECTOR_8, _LOW, _HIGH = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8
_LARGEST = 0x7FF  # of a column or row


@dataclass(frozen=True)
class Encoding:
    """An encoding of words.

    Attributes:
        word: type of a word.
        shift: position of the bits that give the kind of a word.
        kinds: known kinds.
        clock: bits of the clock.
        decode: columns of a piece.
        carried: words of a piece that apply to the next one.
    """

    name: str
    word: str
    shift: int
    kinds: tuple[int, ...]
    clock: int
    decode: Callable[[np.ndarray], Columns]
    carried: Callable[[np.ndarray], np.ndarray]


def decode(words: np.ndarray, encoding: Encoding, piece: int = PIECE) -> Columns:
    """Decodes words of an EVT stream.

    Args:
        words: all words of the file.
        encoding: the version of EVT.
        piece: number of words that are decoded at a time.

    Returns:
        Columns t, x, y and p of all events; t is the stored clock, which may wrap.

    Raises:
        ValueError: a word is of an unknown kind.
        EventFileError: there are more events than one recording may have.
    """
    found: list[Columns] = []
    total = 0
    before = words[:0]
    for start in range(0, len(words), piece):
        part = words[start : start + piece]
        _check(part, encoding, start)
        part = np.concatenate([before, part])
        found.append(encoding.decode(part))
        total += len(found[-1]["t"])
        check_size(total * EVENT_DTYPE.itemsize, words.nbytes)
        before = encoding.carried(part)
    return {name: np.concatenate([each[name] for each in found] or [words[:0]]) for name in "txyp"}


def _evt2(words: np.ndarray) -> Columns:
    kind = words >> 28
    time = _last(kind == _TIME)
    rows = np.flatnonzero((kind <= _ON) & (time >= 0))
    events = words[rows]
    high = (words[time[rows]] & 0xFFFFFFF).astype(np.int64)
    return {
        "t": high << 6 | (events >> 22 & 0x3F),
        "x": events >> 11 & _LARGEST,
        "y": events & _LARGEST,
        "p": kind[rows],
    }


def _evt2_carried(words: np.ndarray) -> np.ndarray:
    return words[words >> 28 == _TIME][-1:]


def in_order(words: np.ndarray, order: str) -> np.ndarray:
    """Words of EVT 2.1 with their kind in the highest bits.

    Older cameras write the two halves of a word the other way round ("legacy"). Where the header does not state it, the
    order is the only one in which every word is of a known kind, and at least one is of time.

    Args:
        words: words as stored.
        order: what the header states: "little", "legacy" or nothing.

    Raises:
        ValueError: the order is not known.
    """
    orders = {"little": words, "legacy": words << 32 | words >> 32}
    if not order:
        fit = [
            name
            for name, each in orders.items()
            if np.isin(each >> 60, _EVT2_KINDS).all() and (each >> 60 == _TIME).any()
        ]
        if len(fit) != 1:
            raise ValueError("its header does not state the order of EVT 2.1's words (endianness=little or legacy)")
        order = fit[0]
    if order not in orders:
        raise ValueError(f"its header states the order {order[:20]!r} of words; known are little and legacy")
    return orders[order]


def _evt21(words: np.ndarray) -> Columns:
    kind = (words >> 60).astype(np.uint8)
    time = _last(kind == _TIME)
    rows = np.flatnonzero((kind <= _ON) & (time >= 0))
    events = words[rows]
    event, bit = _ones((events & 0xFFFFFFFF).astype("<u4"))
    high = (words[time[rows]] >> 32 & 0xFFFFFFF).astype(np.int64)
    clock, x = high << 6 | (events >> 54 & 0x3F).astype(np.int64), (events >> 43 & _LARGEST).astype(np.int16)
    return {
        "t": clock[event],
        "x": x[event] + bit,
        "y": (events >> 32 & _LARGEST).astype(np.int16)[event],
        "p": kind[rows].view(np.int8)[event],
    }


def _evt21_carried(words: np.ndarray) -> np.ndarray:
    return words[words >> 60 == _TIME][-1:]


def _evt3(words: np.ndarray) -> Columns:
    kind, value = (words >> 12).astype(np.uint8), words & 0xFFF
    pixels = np.where(kind == _X, 1, np.where(kind == _VECTOR_12, value, np.where(kind == _VECTOR_8, value & 0xFF, 0)))
    rows = np.flatnonzero(pixels)
    lines, bases, high, low = (_last(kind == of)[rows] for of in (_Y, _BASE, _HIGH, _LOW))
    single = kind[rows] == _X
    whole = (lines >= 0) & (high >= 0) & (single | (bases >= 0))
    if not whole.all():
        rows, lines, bases, high, low, single = (each[whole] for each in (rows, lines, bases, high, low, single))
    # The high word begins at a low of 0, until its own low word comes.
    time = value[high].astype(np.int64) << 12 | np.where(low > high, value[low], 0)
    y = value[lines] & _LARGEST
    if single.all():
        return {"t": time, "x": value[rows] & _LARGEST, "y": y, "p": value[rows] >> 11}
    # The n-th vector after a base begins where those before it ended.
    width = _widths(kind)
    begin = np.cumsum(width, dtype=np.int64) - width
    at = np.where(single, rows, bases)  # the word that says column and polarity
    x = (value[at] & _LARGEST) + np.where(single, 0, begin[rows] - begin[at])
    event, bit = _ones(pixels[rows].astype("<u2"))
    return {"t": time[event], "x": x[event] + bit, "y": y[event], "p": (value[at] >> 11)[event]}


def _evt3_carried(words: np.ndarray) -> np.ndarray:
    """The last words of time and row, and the last base column, moved by the vectors after it."""
    kind = words >> 12
    high, low, line, base = (np.flatnonzero(kind == of)[-1:] for of in (_HIGH, _LOW, _Y, _BASE))
    selected = [high, low[low > high] if len(high) else high, line]
    moved = words[base].astype(np.int64)
    if len(base):
        x = min(int(moved[0] & _LARGEST) + int(_widths(kind[base[0] :]).sum()), _LARGEST)
        moved = moved & ~_LARGEST | x
    return np.concatenate([*(words[each] for each in selected), moved.astype(words.dtype)])


def _widths(kind: np.ndarray) -> np.ndarray:
    """Number of columns by which each word of this kind moves a vector."""
    return np.array([12 if of == _VECTOR_12 else 8 if of == _VECTOR_8 else 0 for of in range(16)], np.int8)[kind]


def _last(mask: np.ndarray) -> np.ndarray:
    """For each position the last one up to it where `mask` is true, or -1."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask), dtype=np.int32), np.int32(-1)))


def _ones(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each bit that is 1, lowest bit first: the number of its word, and of the bit in it."""
    bits = 8 * words.itemsize
    found = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(bool))
    return found // bits, (found % bits).astype(np.int16)


def _check(words: np.ndarray, encoding: Encoding, start: int) -> None:
    kind = words >> encoding.shift
    strange = ~np.isin(kind, encoding.kinds)
    if strange.any():
        at = int(np.argmax(strange))
        raise ValueError(
            f"the word at byte {(start + at) * words.itemsize} after the header, of type 0x{int(kind[at]):x}, is not "
            f"a word of {encoding.name}"
        )


# Words other than time and place are triggers or continue one; they are not events.
_EVT2_KINDS = (_OFF, _ON, _TIME, 0xA, 0xE, 0xF)
_EVT3_KINDS = (_Y, _X, _BASE, _VECTOR_12, _VECTOR_8, _LOW, _HIGH, 0x7, 0xA, 0xE, 0xF)
EVT2 = Encoding("EVT 2.0", "<u4", 28, _EVT2_KINDS, 34, _evt2, _evt2_carried)
EVT21 = Encoding("EVT 2.1", "<u8", 60, _EVT2_KINDS, 34, _evt21, _evt21_carried)
EVT3 = Encoding("EVT 3.0", "<u2", 12, _EVT3_KINDS, 24, _evt3, _evt3_carried)

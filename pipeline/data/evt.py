"""Words of Prophesee's EVT 2.0 and 3.0 -> columns, by whole arrays.

The camera sends time, row and column apart; a word counts with the last ones before it. What comes before the first
of these has no time or place and is left out.
"""

from __future__ import annotations

import numpy as np

Decoded = tuple[dict[str, np.ndarray], int]  # columns t, x, y, p, and the bits of the clock

_EVT2_OFF, _EVT2_ON, _EVT2_TIME = 0x0, 0x1, 0x8
_EVT2_OTHERS = (0xA, 0xE, 0xF)  # triggers and what continues them
_Y, _X, _BASE, _VECTOR_12, _VECTOR_8, _LOW, _HIGH = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8
_EVT3_OTHERS = (0x7, 0xA, 0xE, 0xF)


def decode_evt2(words: np.ndarray) -> Decoded:
    """Columns of 32-bit words; the clock has 34 bits. Raises ValueError for a word that is none of EVT 2.0's."""
    kind = words >> 28
    _check(kind, (_EVT2_OFF, _EVT2_ON, _EVT2_TIME, *_EVT2_OTHERS), "EVT 2.0", 4)
    time = _last(kind == _EVT2_TIME)
    rows = np.flatnonzero((kind <= _EVT2_ON) & (time >= 0))
    events = words[rows]
    high = (words[time[rows]] & 0xFFFFFFF).astype(np.int64)
    return {
        "t": high << 6 | (events >> 22 & 0x3F),
        "x": events >> 11 & 0x7FF,
        "y": events & 0x7FF,
        "p": kind[rows],
    }, 34


def decode_evt3(words: np.ndarray) -> Decoded:
    """Columns of 16-bit words; the clock has 24 bits. Raises ValueError for a word that is none of EVT 3.0's."""
    kind, value = words >> 12, (words & 0xFFF).astype(np.int64)
    _check(kind, (_Y, _X, _BASE, _VECTOR_12, _VECTOR_8, _LOW, _HIGH, *_EVT3_OTHERS), "EVT 3.0", 2)
    pixels = np.where(kind == _X, 1, np.where(kind == _VECTOR_12, value, np.where(kind == _VECTOR_8, value & 0xFF, 0)))
    rows = np.flatnonzero(pixels)
    lines, bases, high, low = (_last(kind == of)[rows] for of in (_Y, _BASE, _HIGH, _LOW))
    single = kind[rows] == _X
    whole = (lines >= 0) & (high >= 0) & (single | (bases >= 0))
    rows, lines, bases, high, low, single = (each[whole] for each in (rows, lines, bases, high, low, single))
    # The n-th vector after a base begins where those before it ended.
    width = np.where(kind == _VECTOR_12, 12, np.where(kind == _VECTOR_8, 8, 0))
    begin = np.cumsum(width) - width
    at = np.where(single, rows, bases)  # the word that says column and polarity
    x = (value[at] & 0x7FF) + np.where(single, 0, begin[rows] - begin[at])
    # The high word begins at a low of 0, until its own low word comes.
    time = value[high] << 12 | np.where(low > high, value[low], 0)
    event, bit = np.nonzero(pixels[rows, None] >> np.arange(12) & 1)
    return {
        "t": time[event],
        "x": x[event] + bit,
        "y": value[lines[event]] & 0x7FF,
        "p": value[at[event]] >> 11,
    }, 24


def _last(mask: np.ndarray) -> np.ndarray:
    """For each place the last one up to it where `mask` is true, or -1."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))


def _check(kind: np.ndarray, known: tuple[int, ...], name: str, size: int) -> None:
    strange = ~np.isin(kind, known)
    if strange.any():
        at = int(np.argmax(strange))
        raise ValueError(
            f"the word at byte {at * size} after the header, of type 0x{int(kind[at]):x}, is none of {name}"
        )

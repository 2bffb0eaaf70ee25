"""Converts arrays to events: structured arrays, and arrays `[N, 4]` whose columns the recipe names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spikeport.pipeline.data.readers.event_columns import (
    TAKEN,
    Table,
    column_numbers,
    describe,
    from_columns,
    unknown_layout,
)


def events_member(members: Mapping[str, tuple[tuple[int, ...], tuple[str, ...] | None]]) -> str | None:
    """The name of the only array that can hold events: a structured array with their fields, or an array `[N, 4]`.

    It must be the largest, so that four numbers beside frames are not taken.

    Args:
        members: shape of each array of numbers, and its fields; None: it has none.

    >>> events_member({"label": ((), None), "events": ((70, 4), None)})
    'events'
    """
    found = [
        name
        for name, (shape, fields) in members.items()
        if (shape[1:] == (4,) if fields is None else len(shape) == 1 and len(column_numbers(fields)) == 4)
    ]
    most = max((math.prod(shape) for shape, _ in members.values()), default=0)
    return found[0] if len(found) == 1 and math.prod(members[found[0]][0]) == most else None


def from_table(table: np.ndarray, layout: Table) -> np.ndarray:
    """Converts an array `[N, 4]` to EVENT_DTYPE.

    Args:
        table: one event in each row.
        layout: order of the columns, and unit of the times.
    """
    if table.ndim != 2 or table.shape[1] != 4 or table.dtype.kind not in "iufb":
        hint = "convert it to such columns"
        if table.ndim == 2 and table.shape[0] == 4:
            hint = "transpose it to [N, 4] and name its columns with data.columns"
        elif table.ndim > 2:
            hint = 'if these are frames, set data.recordings = "frames"'
        raise unknown_layout(
            f"an array without fields, {describe(table)}",
            hint,
            f"{TAKEN}, or an array [N, 4] whose columns data.columns names",
        )
    if not layout.columns:
        likely = _likely(table)
        raise unknown_layout(
            f"an array without fields, {describe(table)}",
            f'say what its columns are: data.columns = "{likely}", if `spikeport data preview` looks right',
            f"{TAKEN}, or an array [N, 4] whose columns data.columns names",
            {"columns": likely},
        )
    return from_columns({name: table[:, number] for number, name in enumerate(layout.columns)}, layout.time_unit)


def events_of(array: np.ndarray, layout: Table) -> np.ndarray:
    """Converts a structured array, or an array `[N, 4]`, to EVENT_DTYPE.

    Args:
        array: the events.
        layout: order of the columns of an array without fields, and unit of the times.
    """
    return from_table(array, layout) if array.dtype.names is None else from_columns(array, layout.time_unit)


def _likely(table: np.ndarray) -> str:
    """A guess at the order of columns, for a hint: time rises and is largest, polarity has two values."""
    columns = list(table.T)
    polarity = [n for n, c in enumerate(columns) if len(c) and np.isin(c, (-1, 0, 1)).all()]
    rising = [n for n, c in enumerate(columns) if n not in polarity and len(c) > 1 and (c[1:] >= c[:-1]).all()]
    rising = rising or [n for n in range(4) if n not in polarity]  # of an unsorted file, the largest
    if not polarity or not rising:
        return "txyp"
    names = {polarity[-1]: "p", max(rising, key=lambda n: columns[n].max()): "t"}
    rest = iter("xy")
    order = [names.get(n) or next(rest, "") for n in range(4)]
    return "".join(order) if sorted(order) == sorted("txyp") else "txyp"

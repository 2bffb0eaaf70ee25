"""How recordings were drawn, in report.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Drawn(TypedDict):
    """How recordings were drawn at random.

    Attributes:
        of: number of recordings to draw from.
        seed: seed of the draw.
        classes: number of classes of a draw by class; 0: each recording was equally likely.
        rows: indices of the drawn recordings.
    """

    of: int
    seed: int
    classes: int
    rows: NotRequired[list[int]]

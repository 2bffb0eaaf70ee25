"""Order of names in which numbers count as numbers."""

from __future__ import annotations

import re


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that compares numbers in names as numbers: image_2 is before image_10.

    Args:
        name: the name.
    """
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)

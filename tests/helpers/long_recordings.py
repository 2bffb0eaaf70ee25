"""A recording of several windows, and its frames in plain NumPy."""

from __future__ import annotations

import numpy as np
from data_folders import HEIGHT, WIDTH

START_US = 7  # time of the first event


def long_columns(last: int, seed: int = 3) -> dict[str, np.ndarray]:
    """200 events from 7 us on, the last one `last` us after the first, with a pause in the middle."""
    draws = np.random.default_rng(seed)
    t = np.sort(draws.integers(0, last, 200))
    t = t[(t < last // 3) | (t > last // 2)]
    t[0], t[-1] = 0, last
    columns = {"t": t + START_US, "p": draws.integers(0, 2, len(t))}
    return columns | {"x": draws.integers(0, WIDTH, len(t)), "y": draws.integers(0, HEIGHT, len(t))}


def frames_by_hand(columns: dict[str, np.ndarray], begin: int, steps: int, step_us: int) -> np.ndarray:
    """uint8 `[T, 2, H, W]` of the window that begins `begin` us after the first event."""
    frames = np.zeros((steps, 2, HEIGHT, WIDTH), np.uint8)
    for t, x, y, p in zip(*(columns[name] for name in "txyp"), strict=True):
        step = (t - START_US - begin) // step_us
        if 0 <= step < steps:
            frames[step, p, y, x] = 1
    return frames

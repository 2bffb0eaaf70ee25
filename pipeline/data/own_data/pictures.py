"""Draws one recording: events summed over equal windows, as a picture and as an animation."""

from __future__ import annotations

import os

import numpy as np

from spikeport.files import atomic_path
from spikeport.pipeline.data.preview import LEGEND, PALETTE, picture_grid, save_picture
from spikeport.pipeline.data.windows import period

COMMENT = b"spikeport data look"  # in the file: so that an animation is known for one
WINDOWS = 6  # of a picture
_FRAMES, _FRAME_MS = 24, 80  # of an animation, and how long each is shown
_SIDE = 256  # least pixels of the longer side of an animation
_MOST_SIDE, _MOST_FRAME = 256, 640  # most pixels of the longer side of a picture's window, and of an animation


def window_counts(events: np.ndarray, windows: int, size: tuple[int, int]) -> np.ndarray:
    """Counts events in windows of equal duration, from the first to the last event.

    Args:
        events: EVENT_DTYPE `[N]`, sorted by time.
        windows: number of windows.
        size: height and width.

    Returns:
        int64 `[windows, 2, H, W]`, OFF and ON.
    """
    t = events["t"].astype(np.int64)
    span = int(t[-1] - t[0]) + 1
    window = (t - t[0]) * windows // span
    shape = (windows, 2, *size)
    at = np.ravel_multi_index((window, events["p"], events["y"], events["x"]), shape)
    return np.bincount(at, minlength=int(np.prod(shape))).reshape(shape)


def shaded(counts: np.ndarray) -> np.ndarray:
    """Counts as colors: the more events, the brighter, up to the 99th percentile of all pixels with events.

    Args:
        counts: `[..., 2, H, W]`, OFF and ON.

    Returns:
        float64 `[..., H, W, 3]` in 0..1.
    """
    active = counts[counts > 0]
    full = float(np.percentile(active, 99)) if len(active) else 1.0
    off, on = np.moveaxis(np.sqrt(np.minimum(counts / full, 1.0)), -3, 0)[..., None]
    none, blue, orange, _ = PALETTE
    return np.clip(none + off * (blue - none) + on * (orange - none), 0, 1)


def draw_recording(
    events: np.ndarray, size: tuple[int, int], duration_us: float, title: str, path: str | os.PathLike[str]
) -> None:
    """Writes a PNG with the events of six windows, one beside the other.

    Args:
        events: EVENT_DTYPE `[N]`, sorted by time.
        size: height and width.
        duration_us: duration of the recording in microseconds.
        title: first line above the picture.
        path: the PNG file.
    """
    events, (height, width) = _binned(events, size, _MOST_SIDE)
    images = shaded(window_counts(events, WINDOWS, (height, width)))
    figure, axes = picture_grid(1, WINDOWS, (1.6 * WINDOWS + 0.4, 1.6 * height / width + 0.9))
    for number, (axis, image) in enumerate(zip(axes[0], images, strict=True)):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(f"from {period(number * duration_us / WINDOWS)}", fontsize=8)
    figure.suptitle(f"{title}\n{LEGEND}", fontsize=9)
    save_picture(figure, path)


def animate_recording(events: np.ndarray, size: tuple[int, int], path: str | os.PathLike[str]) -> None:
    """Writes a GIF with 24 windows that repeats without end. Small sensors are enlarged by a whole factor.

    Args:
        events: EVENT_DTYPE `[N]`, sorted by time.
        size: height and width.
        path: the GIF file.
    """
    from PIL import Image

    events, size = _binned(events, size, _MOST_FRAME)
    factor = max(_SIDE // max(size), 1)
    colors = np.rint(255 * shaded(window_counts(events, _FRAMES, size))).astype(np.uint8)
    frames = [Image.fromarray(each.repeat(factor, 0).repeat(factor, 1)) for each in colors]
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0,
            comment=COMMENT,
        )  # fmt: skip


def _binned(events: np.ndarray, size: tuple[int, int], most: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Events and size of a sensor whose pixels are joined in squares, so that no side is longer than `most`."""
    factor = -(-max(size) // most)
    if factor == 1:
        return events, size
    events = events.copy()
    events["x"] //= factor
    events["y"] //= factor
    return events, (-(-size[0] // factor), -(-size[1] // factor))

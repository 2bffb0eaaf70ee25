"""Recordings that are frames already, in every form in which people have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image

import spikeport as sp

COUNTS = {"circle": 6, "cross": 5, "ring": 3}
STEPS, HEIGHT, WIDTH = 5, 12, 17
OFF, ON, BOTH = (255, 0, 0), (0, 255, 0), (255, 255, 0)
Write = Callable[[Path, np.ndarray], None]


def frames_of(label: int, n: int, both: bool = True) -> np.ndarray:
    """bool `[T, 2, H, W]` with an empty first frame; without `both` no pixel is OFF and ON."""
    found = np.random.default_rng(100 * label + n).random((STEPS, 2, HEIGHT, WIDTH)) < 0.1
    found[0] = False
    if not both:
        found[:, 1] &= ~found[:, 0]
    return found


def counts(frames: np.ndarray) -> np.ndarray:
    """How many events fell in each pixel: 0, or 1 to 3."""
    return frames * (1 + np.arange(frames.size).reshape(frames.shape) % 3)


def npy(make: Callable[[np.ndarray], np.ndarray]) -> Write:
    return lambda path, frames: np.save(path.with_suffix(".npy"), make(frames))


def npz(**more: Any) -> Write:
    return lambda path, frames: np.savez(path.with_suffix(".npz"), frames=frames, **more)


def pictures(colors: dict[str, Any], mode: str = "RGB", suffix: str = "png", **options: Any) -> Write:
    """A picture for each frame: colors of nothing, OFF, ON and both; numbers without leading zeros, from 7 on."""

    def write(path: Path, frames: np.ndarray) -> None:
        path.mkdir(parents=True)
        for step, (off, on) in enumerate(frames):
            image = Image.new(mode, (WIDTH, HEIGHT), colors["nothing"])
            for name, where in (("OFF", off & ~on), ("ON", on & ~off), ("both", on & off)):
                for y, x in np.argwhere(where).tolist():
                    image.putpixel((x, y), colors[name])
            image.save(path / f"frame{7 + step}.{suffix}", **options)

    return write


def written(folder: Path, write: Write, both: bool = True) -> dict[str, np.ndarray]:
    """Writes all recordings and gives them by key."""
    found = {}
    for label, (name, count) in enumerate(COUNTS.items()):
        for n in range(count):
            path = folder / name / f"rec.{n}"
            path.parent.mkdir(parents=True, exist_ok=True)
            found[f"{name}/rec.{n}"] = frames_of(label, n, both)
            write(path.with_name(f"{path.name}.x") if write not in FOLDERS else path, found[f"{name}/rec.{n}"])
    return found


def recipe(**settings: Any) -> str:
    data = {
        "source": "class-folders", "root": ".", "events": "mine", "recordings": "frames", "height": HEIGHT,
        "width": WIDTH, "steps": STEPS, "step_us": 2_000, "validation": 2, "test": 4, **settings,
    }  # fmt: skip
    Path("mine.toml").write_text(tomli_w.dumps({"name": "m", "data": data, "distillation": {"method": "baseline"}}))
    return "mine.toml"


def loaded(name: str = "mine.toml") -> dict[str, np.ndarray]:
    data = sp.load_dataset(name)
    return {
        key: frames
        for part in (data.train, data.validation, data.test)
        for key, frames in zip(part.keys, np.asarray(part.frames), strict=True)
    }


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def on_only(frames: np.ndarray) -> np.ndarray:
    """All events are ON."""
    found = frames.copy()
    found[:, 1] |= found[:, 0]
    found[:, 0] = False
    return found


def signed(frames: np.ndarray) -> np.ndarray:
    return frames[:, 1].astype(np.int8) - frames[:, 0]


COLORS = {"nothing": (0, 0, 0), "OFF": OFF, "ON": ON, "both": BOTH}
GRAY = {"nothing": 128, "OFF": 0, "ON": 255}
IN_COLOR, OF_COUNTS = (
    pictures(COLORS),
    pictures({"nothing": (0, 0, 0), "OFF": (1, 0, 0), "ON": (0, 2, 0), "both": (3, 1, 0)}),
)
TRANSPARENT = pictures({name: (*color, 255) for name, color in COLORS.items()}, "RGBA")
ON_GRAY, ON_127 = pictures(GRAY, "L"), pictures(GRAY | {"nothing": 127, "OFF": 126, "ON": 129}, "L")
ON_BLACK = pictures({"nothing": 0, "OFF": 200, "ON": 255, "both": 255}, "L")
JPEG = pictures(GRAY, "L", "jpg", quality=95)
ON_WHITE = pictures({"nothing": 255, "OFF": 0, "ON": 100, "both": 50}, "L")
ORANGE = pictures({"nothing": (0, 0, 0), "OFF": (64, 140, 242), "ON": (255, 153, 38), "both": (9, 9, 9)})
WHITE_COLOR = pictures({"nothing": (255, 255, 255), "OFF": OFF, "ON": (0, 0, 255), "both": (9, 9, 9)})
FOLDERS = (IN_COLOR, OF_COUNTS, TRANSPARENT, ON_GRAY, ON_127, ON_BLACK, JPEG, ON_WHITE, ORANGE, WHITE_COLOR)

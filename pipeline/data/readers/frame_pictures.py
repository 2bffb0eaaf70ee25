"""Reads a folder of pictures as frames of events; what a color means is decided by the background of the recording.

| background | meaning |
|---|---|
| black, pictures in color | red is OFF, green is ON; blue is refused |
| black, gray pictures | what is not black is ON: polarity is not known |
| gray of 127 or 128 | darker is OFF, brighter is ON |
| any other | refused |

JPEG changes values: there, a difference of 32 from the background is the least that counts.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from spikeport.notes import note
from spikeport.pipeline.data.natural_order import natural
from spikeport.pipeline.data.readers.event_columns import check_size, unknown_layout
from spikeport.pipeline.data.readers.pictures import SUFFIXES, Findings, read_picture

_LOSSY = (".jpg", ".jpeg")
_LOSS = 32  # values by which JPEG may change a background
_GRAY = (127, 128)
_TAKEN = "red for OFF and green for ON on black, or darker and brighter than a gray of 128"


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a recording, in order of the numbers in their names.

    Args:
        folder: folder of the recording.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    return sorted(found, key=lambda path: natural(path.name))


def read_pictures(folder: Path) -> np.ndarray:
    """The frames of one recording.

    Args:
        folder: folder of pictures, one for each frame.

    Returns:
        bool `[T, 2, H, W]`, channel 0 is OFF.

    Raises:
        EventFileError: a picture is missing, sizes differ, or the meaning of the colors is not known.
        UserError: a picture cannot be read.
    """
    files = pictures_of(folder)
    if not files:
        raise unknown_layout("no picture", f"place one for each frame there: 0{SUFFIXES[0]}, 1{SUFFIXES[0]}", _TAKEN)
    _check_numbers(files)
    findings = Findings()
    pictures = []
    for file in files:
        pictures.append(np.asarray(read_picture(file, findings)))
        if len(pictures) == 1:
            check_size(len(files) * pictures[0].nbytes, sum(each.stat().st_size for each in files))
        if pictures[-1].shape != pictures[0].shape:
            sizes = [f"{each.shape[1]} x {each.shape[0]}" for each in (pictures[0], pictures[-1])]
            raise unknown_layout(f"pictures of {sizes[0]} and, in {file.name}, of {sizes[1]}", "make them of one size")
    findings.report()
    loss = _LOSS if any(file.suffix.lower() in _LOSSY for file in files) else 0
    return _frames(np.stack(pictures).astype(np.int16), loss)


def _frames(values: np.ndarray, loss: int) -> np.ndarray:
    """bool `[T, 2, H, W]` of RGB `[T, H, W, 3]`."""
    pixels, counts = np.unique(values.reshape(-1, 3), axis=0, return_counts=True)
    background = pixels[np.argmax(counts)]
    colored = bool((np.ptp(values, axis=-1) > loss).any())
    red, green, blue = np.moveaxis(values, -1, 0)
    if (background <= loss).all():
        if not colored:
            note("frames are gray pictures on black: what is not black is taken as ON")
            return np.stack([np.zeros(red.shape, bool), red > loss], axis=1)
        if (blue > loss).any():
            raise unknown_layout("pictures on black with blue parts", "draw OFF in red and ON in green", _TAKEN)
        note("frames are pictures in color: red is taken as OFF, green as ON")
        return np.stack([red > loss, green > loss], axis=1)
    low, high = _GRAY[0] - loss, _GRAY[1] + loss
    if not colored and low <= background[0] <= high:
        note("frames are gray pictures: darker than the background is taken as OFF, brighter as ON")
        return np.stack([red < low, red > high], axis=1)
    name = "white" if (background >= 255 - loss).all() else f"of the color {tuple(background.tolist())}"
    raise unknown_layout(
        f"pictures whose background is {name}" + (" with colored parts" if colored else ""),
        "draw events on black, or on a gray of 128", _TAKEN,
    )  # fmt: skip


def _check_numbers(files: list[Path]) -> None:
    """Refuses a gap in the numbers of the pictures, where each name has one."""
    numbers = [re.findall(r"\d+", file.stem) for file in files]
    if not all(numbers):
        return
    for (file, found), after in zip(zip(files, numbers, strict=True), numbers[1:], strict=False):
        if int(after[-1]) == int(found[-1]):
            raise unknown_layout(f"two pictures with the number {int(found[-1])}", "number them from 0 on", _TAKEN)
        if int(after[-1]) > int(found[-1]) + 1:
            raise unknown_layout(
                f"no picture {int(found[-1]) + 1} after {file.name}",
                "add it, black where no event fell, or number the pictures without gaps",
                _TAKEN,
            )

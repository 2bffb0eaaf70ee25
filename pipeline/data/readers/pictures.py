"""Reads picture files of any kind as RGB with 8 bits a channel, or says why that would be a guess."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.regular_files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MOST_PIXELS = 2**26  # 8192 x 8192; unpacked and turned that takes most of a GB, whatever the file's size
_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "GIF", "TIFF", "WEBP")  # no other decoder sees a file, whatever it is called
_WHITE_16 = 65_535
_BLOCK = 2**20
_DIM_16 = 4_095  # 12 bits of 16


@dataclass
class Findings:
    """Properties of a set of pictures that a user should know.

    Attributes:
        animated: files with several frames.
        transparent: files with transparent parts.
        deep: files with 16 bits a channel.
        brightest: largest value in these.
    """

    animated: list[Path] = field(default_factory=list)
    transparent: list[Path] = field(default_factory=list)
    deep: list[Path] = field(default_factory=list)
    brightest: int = 0  # of all with 16 bits

    def report(self) -> None:
        """Prints a line for each property."""
        if self.animated:
            note(f"{_these(self.animated, 'has', 'have')} several frames or pages: the first alone is taken")
        if self.transparent:
            note(f"{_these(self.transparent, 'has', 'have')} transparent parts: they are shown on black")
        if self.deep and self.brightest <= _DIM_16:
            note(
                f"{_these(self.deep, 'has', 'have')} 16 bits a pixel, and none is brighter than {self.brightest:,} of "
                f"{_WHITE_16:,}, which is white: they come out dark; save them with 8 bits if that is not meant"
            )


def read_picture(path: Path, findings: Findings) -> Image:
    """A picture as PIL's RGB, upright by its EXIF data.

    16 bits are scaled from 0..65535, floating point from 0..1; transparent parts are put on black; of an animation the
    first frame is read.

    Args:
        path: the file.
        findings: properties of the picture are added here.

    Raises:
        UserError: it is not a picture, has more than MOST_PIXELS, or its value of white is unknown.
    """
    import PIL.Image

    PIL.Image.init()  # all decoders, so that those below are there
    formats = [name for name in _FORMATS if name in PIL.Image.OPEN]
    with open_regular(path) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of large pictures, whose size is checked here, and of odd metadata
                picture: Image = PIL.Image.open(file, formats=formats)
                _check_size(path, picture)
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    findings.animated.append(path)
                return _as_rgb(path, _upright(picture), findings)
        except UserError:
            raise
        except Exception as error:  # PIL's decoders raise many kinds on bytes that they did not expect
            why = str(error).replace(repr(file), "its content") or type(error).__name__
            raise UserError(
                "this picture cannot be read", where=str(path), cause=why, hint="copy it again, or remove it"
            ) from error


def _check_size(path: Path, picture: Image) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise UserError(
            f"a picture of more than {MOST_PIXELS:,} pixels is not read",
            where=str(path),
            cause=f"it says it has {width:,} x {height:,}, and a network sees a few thousand",
            hint="make it smaller",
        )


def _upright(picture: Image) -> Image:
    from PIL import ImageOps

    picture.load()
    with contextlib.suppress(Exception):  # damaged EXIF says nothing; the pixels are whole
        ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _as_rgb(path: Path, picture: Image, findings: Findings) -> Image:
    mode = picture.mode
    if mode.startswith("I;16"):
        return _from_16_bits(path, np.asarray(picture), findings)
    if mode == "I":
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > _WHITE_16:
            raise _unknown_white(path, f"whole numbers from {values.min():,} to {values.max():,}", f"0..{_WHITE_16:,}")
        return _from_16_bits(path, values, findings)
    if mode == "F":
        return _from_float(path, np.asarray(picture))
    if picture.has_transparency_data:
        return _on_black(path, picture, findings)
    return picture.convert("RGB")


def _from_16_bits(path: Path, values: np.ndarray, findings: Findings) -> Image:
    findings.deep.append(path)
    findings.brightest = max(findings.brightest, int(values.max()))
    return _grey(values, _WHITE_16)


def _from_float(path: Path, values: np.ndarray) -> Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # NaN is in no range either
        raise _unknown_white(path, f"floating-point values from {low:g} to {high:g}", "0..1")
    return _grey(values, 1)


def _grey(values: np.ndarray, white: int) -> Image:
    import PIL.Image

    gray = np.empty(values.shape, np.uint8)
    given, made = values.reshape(-1), gray.reshape(-1)
    for at in range(0, len(given), _BLOCK):  # no second whole picture of wide numbers
        made[at : at + _BLOCK] = np.rint(given[at : at + _BLOCK].astype(np.float64) * (255 / white))
    return PIL.Image.fromarray(gray).convert("RGB")


def _on_black(path: Path, picture: Image, findings: Findings) -> Image:
    import PIL.Image

    whole = picture if picture.mode == "RGBA" else picture.convert("RGBA")  # of which a copy would be made
    alpha = whole.getchannel("A")
    lowest: Any = alpha.getextrema()[0]
    if lowest == 255:
        return whole.convert("RGB")
    findings.transparent.append(path)
    opaque = PIL.Image.new("RGB", picture.size)
    opaque.paste(whole, mask=alpha)
    return opaque


def _unknown_white(path: Path, found: str, taken: str) -> UserError:
    return UserError(
        "which value of this picture is white is not known",
        where=str(path),
        cause=f"it holds {found}; supported are {taken}",
        hint="save it with 8 bits",
    )


def _these(files: list[Path], one: str, many: str) -> str:
    return f"the picture {files[0]} {one}" if len(files) == 1 else f"{len(files):,} pictures ({files[0]}, ...) {many}"

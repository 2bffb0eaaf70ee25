"""Pictures as text, for report.json and the pages."""

from __future__ import annotations

import base64
import io

import numpy as np


def png_text(image: np.ndarray, most: int | None = None) -> str:
    """An image as PNG in base64.

    Args:
        image: uint8 `[1 or 3, h, w]`.
        most: most pixels on a side, larger images are shrunk; None: any number.
    """
    from PIL import Image

    pixels = np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(1, 2, 0))
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if most is not None:
        picture.thumbnail((most, most))
    picture.save(buffer, format="PNG")
    return base64_text(buffer.getvalue())


def base64_text(data: bytes) -> str:
    """Bytes in base64.

    Args:
        data: the bytes.
    """
    return base64.b64encode(data).decode("ascii")

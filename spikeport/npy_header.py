"""The header of a .npy file, read without unpickling anything."""

from __future__ import annotations

import warnings
from typing import IO

import numpy as np


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the header of an open .npy file and leaves `file` at the start of the data.

    Args:
        file: a .npy file, open for reading at its start.

    Returns:
        (shape, whether the array is in Fortran order, dtype) as stated. Compare them with the number of bytes that
        follow: a damaged file states anything.

    Raises:
        ValueError: this is not a .npy header.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"NumPy format {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(file)

"""The header of a .npy file, read without unpickling anything."""

from __future__ import annotations

import warnings
from typing import IO

import numpy as np


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the order is Fortran's, and type that an open .npy states; `file` then stands at its data.

    What is stated may be a lie: hold it against the bytes that follow. Raises ValueError for what is no such header.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"NumPy format {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(file)

"""Reads and writes frames `[N, T, C, H, W]` or `[N, T, D]` and their labels, in .npz or .npy files.

Files are untrusted: sizes are checked before memory is allocated, nothing is unpickled. Samples are read on demand.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.frame_labels import checked_labels, notice_other_labels
from spikeport.export.formats.frame_reader import FrameReader
from spikeport.files import write_npz
from spikeport.npy_header import read_npy_header
from spikeport.values import Shape

IN_MEMORY = 256 << 20  # bytes; a larger compressed array is unpacked to a temporary file
_PIECE = 1 << 20
_DEFLATE_LIMIT = 1100  # deflate cannot expand further
_FORMATS = "is not a .npz file of plain arrays"
ONE_SAMPLE = "this is one sample; add the axis of samples: frames[None]"
_HINT = "write it with numpy.savez(path, frames=...)"
_ARE_EVENTS = "these are events, which a recipe bins to frames: spikeport frames RECIPE.toml --out frames.npz"


def write_frames(path: str | os.PathLike[str], frames: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Writes frames and labels to a .npz file, atomically.

    Args:
        path: the file.
        frames: integers `[N, T, ...]` of 0 to 255, stored as uint8; an int16 array is stored as it is.
        labels: class numbers `[N]`, stored as int64, or None.
    """
    arrays: dict[str, np.ndarray] = {"frames": frames if frames.dtype == np.int16 else frames.astype(np.uint8)}
    if labels is not None:
        arrays["labels"] = labels.astype(np.int64)
    write_npz(path, **arrays)


def read_frames(
    path: str | os.PathLike[str], input_shape: Shape, limit: int = 1, *, outputs: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads all frames of a file into memory and checks their values.

    Args:
        path: a .npz or .npy file.
        input_shape: shape of one time step, `(C, H, W)` or `(D,)`.
        limit: largest legal value of a frame, 1 for spikes.
        outputs: number of classes, which labels must stay below.

    Returns:
        (frames, labels): uint8 `[N, T, *input_shape]`, and int64 `[N]` or None.

    Raises:
        UserError: as in `open_frames`, or a value is out of range.
    """
    frames, labels = open_frames(path, input_shape, limit, outputs=outputs)
    return frames[:], labels


def open_frames(
    path: str | os.PathLike[str],
    input_shape: Shape,
    limit: int = 1,
    *,
    lowest: int = 0,
    clip: bool = False,
    outputs: int | None = None,
) -> tuple[FrameReader, np.ndarray | None]:
    """Opens the frames of a .npz or .npy file. Values of frames are checked when they are read.

    Arrays without compression are memory-mapped. Compressed arrays are unpacked, into memory if they are small, else
    into a temporary file. Flat frames are reshaped to `input_shape`.

    Args:
        path: a .npz file with `frames` and optionally `labels`, or a .npy file with frames.
        input_shape: shape of one time step, `(C, H, W)` or `(D,)`.
        limit: largest legal value of a frame. It is 1 for spikes, since netx would silently convert counts to 0 and 1.
        lowest: smallest legal value, below 0 for networks that take values with a sign.
        clip: True to clip other values to these two.
        outputs: number of classes, which labels must stay below. The label -1 means unlabeled.

    Returns:
        (reader of frames, labels int64 `[N]` or None).

    Raises:
        UserError: the file is missing or damaged, or its arrays do not fit the network.
    """
    where = str(path)
    if not Path(path).is_file():
        raise UserError("no such file", where=where, hint=_HINT)
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
            if magic == b"\x93NUMPY":
                file.seek(0)
                frames, labels = _mapped(file, 0, os.path.getsize(path), where), None
            else:
                frames, labels = _from_archive(file, where)
    except UserError:
        raise
    except MemoryError as error:
        raise UserError("needs more memory than there is", where=where, hint="save it without compression") from error
    except Exception as error:  # zipfile and NumPy raise a dozen kinds on damaged files
        raise UserError(_FORMATS, where=where, cause=_reason(error), hint=_HINT) from error
    _check_shape(frames, tuple(input_shape), where)
    if labels is None:
        notice_other_labels(path)
    else:
        labels = checked_labels(labels, len(frames), where, outputs)
    return FrameReader(frames, tuple(input_shape), limit, where, clip, lowest=lowest), labels


def _check_shape(frames: np.ndarray, input_shape: Shape, where: str) -> None:
    size = math.prod(input_shape)
    if frames.ndim < 3 or math.prod(frames.shape[2:]) != size or frames.shape[1] == 0:
        one = frames.ndim > 1 and math.prod(frames.shape[1:]) == size
        raise UserError(f"frames have shape {frames.shape}", where=where,
                        cause=f"the network takes [N, T, {', '.join(map(str, input_shape))}]",
                        hint=ONE_SAMPLE if one else "")  # fmt: skip
    if not len(frames):
        raise UserError("holds 0 samples", where=where, cause=f"frames have shape {frames.shape}",
                        hint="save one sample or more")  # fmt: skip
    if frames.ndim > 3 and frames.shape[2:] != input_shape and len(input_shape) > 1:
        raise UserError(f"frames have axes {frames.shape[2:]} after [N, T], the network takes {input_shape}",
                        where=where, hint="put the axes in the order C, H, W")  # fmt: skip


def _from_archive(file: IO[bytes], where: str) -> tuple[np.ndarray, np.ndarray | None]:
    with zipfile.ZipFile(file) as archive:
        names = [entry.filename for entry in archive.infolist()]
        if "frames.npy" not in names:
            held = sorted(name.removesuffix(".npy")[:40] for name in names)[:8]
            events = {"x.npy", "y.npy"} <= set(names) or "events.npy" in names
            hint = _ARE_EVENTS if events else "save frames=[N, T, ...]"
            raise UserError(f"holds {held}, not `frames`", where=where, hint=hint)
        if len(set(names)) != len(names):
            raise zipfile.BadZipFile("a name occurs in it twice")
        frames = _member(file, archive, "frames.npy", where)
        labels = _member(file, archive, "labels.npy", where) if "labels.npy" in names else None
        return frames, labels


def _member(file: IO[bytes], archive: zipfile.ZipFile, name: str, where: str) -> np.ndarray:
    """One array of an archive opened on `file`: memory-mapped, or unpacked if it is compressed.

    The checksum is verified in both cases.
    """
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is packed in a way that NumPy does not write")
    size = os.fstat(file.fileno()).st_size
    if entry.compress_size > size or entry.file_size > entry.compress_size * _DEFLATE_LIMIT + _PIECE:
        raise zipfile.BadZipFile(f"{name} claims {entry.file_size} bytes")
    with archive.open(entry) as packed:
        shape, order, dtype = _header(packed, name, entry.file_size, where)
        rest = math.prod(shape) * dtype.itemsize
        if packed.tell() + rest != entry.file_size:
            raise zipfile.BadZipFile(f"{name} holds {entry.file_size} bytes, its header states {packed.tell() + rest}")
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            return _unpacked(packed, shape, order, dtype, rest, where)
        at = packed.tell()
        while packed.read(_PIECE):  # zipfile compares the checksum at the end
            pass
    # The archive's file object is used, since it seeks before each read. A second buffered file on this descriptor
    # would move its position without the first one's knowledge.
    file.seek(entry.header_offset)
    *_, name_length, extra_length = struct.unpack("<4s5H3L2H", file.read(30))
    return _map(file, shape, order, dtype, entry.header_offset + 30 + name_length + extra_length + at)


def _reason(error: Exception) -> str:
    """Message of an error; a substitute for errors without one."""
    return str(error)[:200] or ("it ends too early" if isinstance(error, EOFError) else type(error).__name__)


def _mapped(file: IO[bytes], start: int, size: int, where: str) -> np.ndarray:
    shape, order, dtype = _header(file, "the array", size, where)
    if file.tell() + math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"its header states {shape}, the file is too short for that")
    return _map(file, shape, order, dtype, file.tell())


def _map(file: IO[bytes], shape: Shape, order: Any, dtype: np.dtype, start: int) -> np.ndarray:
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape, order=order)


def _unpacked(packed: IO[bytes], shape: Shape, order: Any, dtype: np.dtype, size: int, where: str) -> Any:
    if size <= IN_MEMORY:
        data = bytearray()
        while piece := packed.read(_PIECE):
            data += piece
        return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)
    if shutil.disk_usage(tempfile.gettempdir()).free < size + IN_MEMORY:
        raise UserError(f"takes {size >> 20} MiB when unpacked, more than the temporary folder has", where=where,
                        hint="save it without compression (numpy.savez), which is read in place")  # fmt: skip
    with tempfile.TemporaryFile(prefix="spikeport-frames-") as spool:
        shutil.copyfileobj(packed, spool, _PIECE)
        spool.flush()
        return _map(spool, shape, order, dtype, 0)


def _header(file: IO[bytes], name: str, size: int, where: str) -> tuple[tuple[int, ...], Any, np.dtype]:
    """Shape, order and dtype in a .npy header, checked to be an integer array of at most `size` bytes."""
    shape, fortran, dtype = read_npy_header(file)
    what = name.removesuffix(".npy")
    if dtype.hasobject:
        raise ValueError(f"{what} holds Python objects")
    if dtype.names and what != "labels":
        raise UserError(f"{what} has records of {', '.join(dtype.names)[:100]}, not frames", where=where,
                        hint=_ARE_EVENTS if {"x", "y"} <= {n.lower() for n in dtype.names} else _HINT)  # fmt: skip
    if dtype.kind not in "uib":
        raise UserError(f"{what} has the type {dtype}, not integers", where=where,
                        hint="binarize to uint8" if what != "labels" else "save class numbers")  # fmt: skip
    if len(shape) > 16 or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"{what} states the shape {str(shape)[:100]}")
    if math.prod(max(length, 1) for length in shape) > max(size, _PIECE):
        raise ValueError(f"{what} states the shape {str(shape)[:100]}, more than the file holds")
    return shape, "F" if fortran else "C", dtype

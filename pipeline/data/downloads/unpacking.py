"""Unpacks an archive into its folder: completely or not at all, nowhere else, and within bounds of size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import IO, Any, BinaryIO

from spikeport.errors import UserError
from spikeport.files import writing
from spikeport.temporaries import drop, sweep_temporaries, temporary_folder

MOST_TIMES = 100  # largest ratio of unpacked to packed size; recordings and pictures reach 10
MOST_MEMBERS = 1_000_000  # N-MNIST, the largest set here, has 60,000
_SPARE = 2**20  # bytes that any archive may have
_MOST_AT_ONCE = 2**24  # bytes; what a tar's own records take at most
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,  # it asks for a password, or is packed in a way that Python does not know
)
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def unpack(file: Path, folder: Path, *, inner: Sequence[str] = (), whole: Callable[[Path], bool]) -> bool:
    """Unpacks an archive, and then the archives inside it.

    It is unpacked to a temporary folder and then moved, so that a damaged or incomplete archive leaves nothing.

    Args:
        file: the archive.
        folder: where it is unpacked.
        inner: names of archives inside it that are unpacked too.
        whole: whether a folder has all that the archive brings.

    Returns:
        What `whole` says of the unpacked files.

    Raises:
        UserError: it is damaged, a member leaves the folder, or it is too large.
    """
    sweep_temporaries(folder)
    with writing(folder):
        beside = temporary_folder(folder)
        try:
            bound = _Bound(file)
            _unpack(file, beside, bound)
            for name in inner:
                found = next((path for path in sorted(beside.rglob(name)) if path.is_file()), None)
                if found is not None:  # else its content lay in the outer archive
                    _unpack(found, beside, bound)
                    found.unlink()
            if whole(beside):
                _move(beside, folder)
                return True
            return False
        finally:
            drop(beside)


class _Bound:
    """Bytes and members that may still be unpacked of a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.packed = file, file.stat().st_size
        self.most = self.left = _SPARE + MOST_TIMES * self.packed
        self.members = 0

    def take(self, size: int) -> None:
        """Counts a member of `size` bytes. Raises UserError if that is too much."""
        self.members += 1
        self.left -= size
        if self.members > MOST_MEMBERS:
            raise self.refusal(f"it has more than {MOST_MEMBERS:,} members")
        if self.left < 0:
            times = f"{MOST_TIMES} times its {self.packed:,}, as no recordings do"
            raise self.refusal(f"it unpacks to more than {self.most:,} bytes, {times}")

    def refusal(self, why: str) -> UserError:
        """The error for a file that is not unpacked."""
        hint = f"remove {self.file}; the same command then fetches it"
        return UserError("this archive is not unpacked", where=str(self.file), cause=why, hint=hint)


def _unpack(file: Path, folder: Path, bound: _Bound) -> None:
    try:
        if zipfile.is_zipfile(file):
            _unzip(file, folder, bound)
        else:
            _untar(file, folder, bound)
    except UserError:
        raise
    except _DAMAGE as error:
        raise bound.refusal(f"{file.name} is damaged: {error}") from error


def _unzip(file: Path, folder: Path, bound: _Bound) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members:  # all that is declared, before anything is written
            bound.take(member.file_size)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise bound.refusal(f"its member {member.filename!r} is not a file")
            _place(folder, member.filename, bound)
        for member in members:
            place = _place(folder, member.filename, bound)
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, open(place, "xb") as made:  # it gives no more than was declared
                shutil.copyfileobj(packed, made, _SPARE)


def _untar(file: Path, folder: Path, bound: _Bound) -> None:
    with open(file, "rb") as plain:
        head = plain.read(6)
        plain.seek(0)
        opener: Any = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        stream = opener(plain) if opener else plain
        with tarfile.open(fileobj=_Measured(stream, bound), mode="r:") as archive:  # type: ignore[call-overload]
            for member in archive:
                bound.take(max(member.size, 0))
                _place(folder, member.name, bound)
                try:
                    archive.extract(member, folder, filter="data")  # links stay inside, devices are refused
                except tarfile.FilterError as error:
                    raise bound.refusal(str(error)) from error


class _Measured:
    """The unpacked stream of a tar file, with bounds on the lengths that its headers declare."""

    def __init__(self, stream: IO[bytes] | BinaryIO, bound: _Bound) -> None:
        self.stream, self.bound, self.end = stream, bound, 2 * bound.most + MOST_MEMBERS

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise self.bound.refusal(f"a record in it says it has {size:,} bytes")
        return self.stream.read(size)

    def seek(self, to: int, whence: int = os.SEEK_SET) -> int:
        if to > self.end:
            raise self.bound.refusal(f"a member in it ends at byte {to:,}")
        return self.stream.seek(to, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _place(folder: Path, name: str, bound: _Bound) -> Path:
    """The path of a member. Raises UserError if it is outside `folder` on any operating system."""
    parts = PureWindowsPath(name)  # it knows both strokes, and drives
    if not name.strip("/\\") or parts.drive or parts.root or ".." in parts.parts or "\0" in name:
        raise bound.refusal(f"its member {name!r} leaves the folder")
    return folder.joinpath(*parts.parts)


def _move(source: Path, target: Path) -> None:
    """Moves the content of `source` into `target`; existing folders are filled, existing files replaced."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink() and place.is_dir():
            _move(entry, place)
        else:
            os.replace(entry, place)

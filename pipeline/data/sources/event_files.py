"""Lists event files in class folders, with a digest that shows whether they changed."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.frames.cache import mtime_digest_of
from spikeport.pipeline.data.readers.frame_pictures import pictures_of
from spikeport.pipeline.data.readers.recordings import READERS
from spikeport.progress import NamedProgress
from spikeport.regular_files import check_regular

_EXTENSIONS = ", ".join(READERS)
_NAME = attrgetter("name")
_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}  # what Windows and archivers of macOS leave behind


@dataclass(frozen=True, kw_only=True)
class EventFile:
    """File of a recording.

    Attributes:
        path: the file.
        label: number of its class.
        key: <class>/<id>.
    """

    path: Path
    label: int
    key: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Event files of a folder.

    Attributes:
        folder: the folder.
        classes: names of the class folders, in order of number, else of name.
        names: names of the event files of each class, sorted.
        mtime_digest: digest of names, sizes and times of all files.
    """

    folder: Path
    classes: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    mtime_digest: str

    def files(self) -> list[EventFile]:
        """All event files, class by class."""
        return [
            EventFile(path=self.folder / name / file, label=label, key=f"{name}/{stem_of(file)}")
            for label, (name, files) in enumerate(zip(self.classes, self.names, strict=True))
            for file in files
        ]


def without_small(listing: Listing, least: int) -> Listing:
    """A listing without its small classes; the digest stays.

    Args:
        listing: all classes.
        least: recordings that a class must have.

    Raises:
        UserError: fewer than two classes are left.
    """
    counts = {name: len(files) for name, files in zip(listing.classes, listing.names, strict=True)}
    left = [at for at, count in enumerate(counts.values()) if count >= least]
    if len(left) < 2:
        sizes = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1])[:8])
        raise UserError(
            f"a classifier needs two classes, and {len(left)} have {least} recordings",
            where="data.drop_small_classes", cause=f"the largest classes: {sizes}", hint="lower it",
        )  # fmt: skip
    return replace(
        listing, classes=tuple(listing.classes[at] for at in left), names=tuple(listing.names[at] for at in left)
    )


def list_events(folder: Path, absent: MissingDependencyError | None = None) -> Listing:
    """Lists all event files below a folder without reading them.

    Args:
        folder: folder of class folders.
        absent: the error if the folder does not exist.

    Raises:
        MissingDependencyError: the folder does not exist.
        UserError: files do not lie in class folders, or have no reader.
    """
    classes = list_classes(folder, absent)
    numbers: list[int] = []  # size and times of every file
    names = tuple(_list_class(folder / name, numbers) for name in classes)
    words = [os.path.abspath(folder), *(f"{name}/{len(files)}" for name, files in zip(classes, names, strict=True))]
    for files in names:
        words += files
    return Listing(
        folder=folder, classes=classes, names=names, mtime_digest=mtime_digest_of(words, array("q", numbers))
    )


def list_classes(folder: Path, absent: MissingDependencyError | None = None, *, least: int = 2) -> tuple[str, ...]:
    """Names of the class folders below a folder, in order of number, else of name.

    Args:
        folder: folder of class folders.
        absent: the error if the folder does not exist.
        least: how many class folders there must be.

    Raises:
        MissingDependencyError: the folder does not exist.
        UserError: there are fewer class folders, or a name is not UTF-8.
    """
    if not folder.is_dir():
        raise absent or MissingDependencyError(
            "the folder of recordings is not there",
            where=str(folder),
            hint=f"place event files as {folder}/<class>/<id>.<ext> ({_EXTENSIONS}), or correct data.root and "
            "data.events (a relative root counts from the folder where the command runs)",
        )
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
    _check_text(folder, found)
    classes = tuple(sorted(found, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name)))
    if len(classes) < least:
        raise UserError(
            f"a classifier needs two classes, {len(classes)} found",
            where=str(folder),
            hint=f"place event files as {folder}/<class>/<id>.<ext>",
        )
    return classes


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that an operating system makes by itself.

    Args:
        name: its name, without folders.
    """
    return name[0] == "." or name.lower() in _SYSTEM


def _list_class(folder: Path, numbers: list[int]) -> tuple[str, ...]:
    """Sorted names of one class's files, checked; adds size, mtime_ns and ctime_ns of each to `numbers`."""
    # Beside an open folder the system walks no long path for each of a thousand files.
    at: int | Path = os.open(folder, os.O_RDONLY) if os.scandir in os.supports_fd else folder
    try:
        with os.scandir(at) as scanned:
            entries = [entry for entry in scanned if not is_hidden(entry.name)]
            found = sorted([entry for entry in entries if _is_file(entry)], key=_NAME)
            for entry in found:
                status = entry.stat()
                numbers += (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    finally:
        if isinstance(at, int):
            os.close(at)
    if len(found) < len(entries):
        for name in {entry.name for entry in entries} - {entry.name for entry in found}:
            if _split(name)[1].lower() in READERS:
                check_regular(folder / name)
    names = [entry.name for entry in found]
    _check_text(folder, names)
    extensions = {name[name.rfind(".") :] for name in names}
    if len(extensions) > 1 or not extensions <= READERS.keys():  # of one extension, no two names have one stem
        _check_names(folder, names)
    if not names:
        raise UserError(
            "this class has no recording",
            where=str(folder),
            hint=f"place event files there ({_EXTENSIONS}), or remove the folder",
        )
    return tuple(names)


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file; a link without a target is not."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _check_text(folder: Path, names: Sequence[str]) -> None:
    """Raises UserError for a name that is not UTF-8, because keys made of it could not be written."""
    for name in names:
        if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            raise UserError("a file's name is not UTF-8", where=str(folder / name), hint="rename it, or remove it")


def _check_names(folder: Path, names: list[str]) -> None:
    """Raises UserError for a name without a reader, or a second one with the same stem."""
    stems: dict[str, str] = {}
    for name in names:
        stem, extension = _split(name)
        if extension.lower() not in READERS:
            raise UserError(
                f"no reader for {name}", where=str(folder / name), hint=f"convert it to {_EXTENSIONS}, or remove it"
            )
        if stem in stems:
            raise UserError(
                "two recordings have the same id",
                where=str(folder / name),
                cause=f"{stems[stem]} is in the same folder",
                hint="remove one, or rename it",
            )
        stems[stem] = name


def hash_files(files: list[EventFile], progress: NamedProgress | None = None) -> str:
    """Hash of the content, name and folder of every file.

    Args:
        files: the files.
        progress: called with (files read, files in all, what is done).
    """
    digest = hashlib.sha256()
    for done, file in enumerate(files, 1):
        content = content_of(file.path)
        digest.update(f"{file.key}{file.path.suffix}:{len(content)}:".encode())
        digest.update(content)
        if progress:
            progress(done, len(files), "checking event files")
    return digest.hexdigest()


def content_of(path: Path) -> bytes:
    """All bytes of a recording: a file, or the pictures of a folder in their order.

    Args:
        path: the recording.
    """
    if not path.is_dir():
        return path.read_bytes()
    return b"".join(f"{size_of(each)}:".encode() + each.read_bytes() for each in pictures_of(path))


def size_of(path: Path) -> int:
    """Bytes of a recording: a file, or the pictures of a folder.

    Args:
        path: the recording.
    """
    return sum(map(size_of, pictures_of(path))) if path.is_dir() else path.stat().st_size


def stem_of(name: str) -> str:
    """The id of a recording: its name without the extension of a format; folders keep theirs.

    Args:
        name: name of a file or folder.

    >>> [stem_of(name) for name in ("07.npy", "2024.05.07")]
    ['07', '2024.05.07']
    """
    stem, extension = _split(name)
    return stem if extension.lower() in READERS else name


def _split(name: str) -> tuple[str, str]:
    """Stem and extension of a file name."""
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if dot else (name, "")

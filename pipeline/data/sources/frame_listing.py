"""Lists recordings that are frames already: <class>/<id>.npy, <class>/<id>.npz, or pictures <class>/<id>/<n>.png."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

from spikeport.errors import UserError
from spikeport.pipeline.data.frames.cache import mtime_digest_of
from spikeport.pipeline.data.readers.frame_files import ARRAYS, holds_frames
from spikeport.pipeline.data.readers.frame_pictures import pictures_of
from spikeport.pipeline.data.readers.pictures import SUFFIXES
from spikeport.pipeline.data.sources.event_files import Listing, is_hidden, list_classes, stem_of
from spikeport.regular_files import check_regular

LAYOUT = "<class>/<id>.npy with frames [T, 2, H, W], or pictures <class>/<id>/<n>.png"
_LOOKED_AT = 3  # entries of each class from which the kind of a folder is told


def list_frames(folder: Path) -> Listing:
    """Lists all recordings of frames below a folder without reading them.

    Args:
        folder: folder of class folders.

    Raises:
        MissingDependencyError: the folder does not exist.
        UserError: recordings do not lie in class folders, or something there is no recording.
    """
    classes = list_classes(folder)
    numbers = array("q")
    words = [str(folder.absolute())]
    names = []
    for name in classes:
        found, wrong = frame_entries(folder / name)
        if wrong:
            raise wrong[0][1]
        for path in found:
            for file in pictures_of(path) if path.is_dir() else [path]:
                status = file.stat()
                numbers.extend((status.st_size, status.st_mtime_ns, status.st_ctime_ns))
                words.append(str(file.relative_to(folder)))
        names.append(tuple(path.name for path in found))
    return Listing(folder=folder, classes=classes, names=tuple(names), mtime_digest=mtime_digest_of(words, numbers))


def frame_entries(folder: Path) -> tuple[list[Path], list[tuple[Path, UserError]]]:
    """The recordings of one class, arrays and folders of pictures, and what is none, with the reason.

    Args:
        folder: folder of the class.
    """
    found: list[Path] = []
    wrong: list[tuple[Path, UserError]] = []
    stems: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if not is_hidden(path.name)):
        try:
            _check(path, stems)
        except UserError as error:
            wrong.append((path, error))
        else:
            found.append(path)
    if not found and not wrong:
        hint = f"place {LAYOUT}, or remove the folder"
        wrong.append((folder, UserError("this class has no recording", where=str(folder), hint=hint)))
    return found, wrong


def _check(path: Path, stems: dict[str, Path]) -> None:
    """Raises UserError for what is no recording, or has an id that is taken; notes the id."""
    if not path.is_dir():
        check_regular(path)
        if path.suffix.lower() in SUFFIXES:
            raise UserError(
                "a picture is one frame, and this one lies in no folder of a recording", where=str(path),
                hint=f"place the pictures of each recording in a folder of its own, {path.parent}/<id>/<n>.png",
            )  # fmt: skip
        if path.suffix.lower() not in ARRAYS:
            raise UserError(
                f"no reader of frames for {path.name}", where=str(path),
                hint=f'place {LAYOUT}, or leave data.recordings = "events"',
            )  # fmt: skip
    if (stem := stem_of(path.name)) in stems:
        raise UserError(
            "two recordings have the same id", where=str(path), cause=f"{stems[stem].name} is in the same folder",
            hint="remove one, or rename it",
        )  # fmt: skip
    stems[stem] = path


def are_frames(folder: Path, classes: Sequence[str]) -> bool:
    """Whether recordings seem to be ready frames: arrays of 3 or 4 axes, or folders of pictures.

    Args:
        folder: folder of class folders.
        classes: names of the classes.
    """
    looked_at = []
    for name in classes:
        entries = sorted(path for path in (folder / name).iterdir() if not is_hidden(path.name))
        looked_at += [path for path in entries if path.is_dir() or path.suffix.lower() in ARRAYS][:_LOOKED_AT]
    return bool(looked_at) and all(pictures_of(path) if path.is_dir() else holds_frames(path) for path in looked_at)

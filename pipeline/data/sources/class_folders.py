"""Recordings in class folders, `<root>/<events>/<class>/<id>.<ext>`, with images by class folder or in idx
files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware_profiles.errors import MissingPart, UserError
from pipeline.data.dataset import Recording, StaticImages
from pipeline.data.framing import Progress
from pipeline.data.recordings import READERS, read_recording
from pipeline.data.sources.collection import Collection
from pipeline.data.static_images import ImageSet, read_images
from pipeline.recipe import Data


@dataclass(frozen=True, kw_only=True)
class EventFile:
    """One recording's file, its class number and its key, <class>/<id>."""

    path: Path
    label: int
    key: str


def load(data: Data, progress: Progress | None = None) -> Collection:
    """The recordings and images that `data.root`, `data.events` and `data.images` name.

    Pairing "id": every recording must have its image; the id is the file's name, plus `image_id_offset` where
    that is not 0. Pairing "class": nothing is known of twins, but an image that carries a recording's class
    and id counts as its twin all the same and is kept from training where that recording is held out.
    """
    for name in ("root", "events", "images"):
        if not getattr(data, name):
            raise UserError(
                f"class-folders needs data.{name}",
                where="data",
                mend=f'write {name} = "<folder>" in [data]; events lie in <root>/<events>/<class>/<id>.bin',
            )
    root = Path(data.root)
    classes, files = find_events(root / data.events)
    found = read_images(root / data.images, classes, data.height, data.width, progress)
    sensor = (data.height, data.width)

    def read() -> Iterator[Recording]:
        for file in files:
            yield read_recording(file.path, sensor, label=file.label, key=file.key)

    return Collection(
        name=data.events,
        description=f"{len(files):,} recordings in {len(classes)} classes from {data.events}, "
        f"with static images from {data.images}, paired by {data.pairing}",
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=np.array([file.label for file in files], np.int64),
        content=hash_files(files, progress),
        read=read,
        images=_name_images(found, files, classes, data),
        paired=data.pairing == "id",
        simulated=False,
    )


def find_events(folder: Path) -> tuple[tuple[str, ...], list[EventFile]]:
    """The classes (in order of number, else of name) and all event files under `folder`, sorted."""
    extensions = ", ".join(READERS)
    if not folder.is_dir():
        raise MissingPart(
            "the folder of recordings is not there",
            where=str(folder),
            mend=f"place event files as {folder}/<class>/<id>.<ext> ({extensions}), or correct data.root and "
            "data.events (a relative root counts from the folder where the command runs)",
        )
    names = [path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    classes = tuple(sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name)))
    if len(classes) < 2:
        raise UserError(
            f"a classifier needs two classes, {len(classes)} found",
            where=str(folder),
            mend=f"place event files as {folder}/<class>/<id>.<ext>",
        )
    files: list[EventFile] = []
    for label, name in enumerate(classes):
        paths = sorted(path for path in (folder / name).iterdir() if path.is_file() and path.name[0] != ".")
        stems: dict[str, Path] = {}
        for path in paths:
            if path.suffix.lower() not in READERS:
                raise UserError(
                    f"no reader for {path.name}",
                    where=str(path),
                    mend=f"convert it to {extensions}, or remove it",
                )
            if path.stem in stems:
                raise UserError(
                    "two recordings have the same id",
                    where=str(path),
                    why=f"{stems[path.stem].name} lies beside it",
                    mend="remove one, or rename it",
                )
            stems[path.stem] = path
            files.append(EventFile(path=path, label=label, key=f"{name}/{path.stem}"))
        if not paths:
            raise UserError(
                "this class has no recording",
                where=str(folder / name),
                mend=f"place event files there ({extensions}), or remove the folder",
            )
    return classes, files


def hash_files(files: list[EventFile], progress: Progress | None = None) -> str:
    """A hash over every file's bytes, name and place; what cached frames are known by."""
    digest = hashlib.sha256()
    for done, file in enumerate(files, 1):
        content = file.path.read_bytes()
        digest.update(f"{file.key}{file.path.suffix}:{len(content)}:".encode())
        digest.update(content)
        if progress:
            progress(done, len(files), "checking event files")
    return digest.hexdigest()


def _name_images(found: ImageSet, files: list[EventFile], classes: tuple[str, ...], data: Data) -> StaticImages:
    """The images under keys: a recording's own key for its twin, else a key that no recording has."""
    keys = [f"image:{name}/{identity}" for name, identity in zip(found.classes, found.ids, strict=True)]
    twins = _Twins(found, data.image_id_offset)
    taken: dict[int, EventFile] = {}
    for file in files:
        name = classes[file.label]
        row = twins.of(file, name, strict=data.pairing == "id")
        if row is None:
            continue
        if row in taken:
            raise UserError(
                "two recordings claim one image",
                where=str(file.path),
                why=f"{taken[row].path.name} and this file both mean image {found.ids[row]}",
                mend="give each recording its own id, or remove one",
            )
        taken[row] = file
        keys[row] = file.key
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.classes], np.int64)
    return StaticImages(images=found.images, labels=labels, keys=tuple(keys))


class _Twins:
    """Finds the image that a recording was made from, by id; by class and id where classes share ids."""

    def __init__(self, found: ImageSet, offset: int) -> None:
        self._found, self._offset = found, offset
        ids = [_plain(identity) for identity in found.ids]
        self._by_id = {identity: row for row, identity in enumerate(ids)}
        self._by_class = {pair: row for row, pair in enumerate(zip(found.classes, ids, strict=True))}
        self._unique = len(self._by_id) == len(ids)

    def of(self, file: EventFile, name: str, *, strict: bool) -> int | None:
        """Its row. Without one, or where that image is of another class: UserError if `strict`, else None."""
        stem = file.path.stem
        if self._offset and not stem.isdecimal():
            if not strict:
                return None
            raise UserError(
                f"data.image_id_offset asks for numbers as ids, this file's is {stem!r}",
                where=str(file.path),
                mend="set data.image_id_offset = 0, or rename the file",
            )
        identity = str(int(stem) + self._offset) if self._offset else _plain(stem)
        row = self._by_id.get(identity) if self._unique else self._by_class.get((name, identity))
        if row is not None and self._found.classes[row] == name:
            return row
        if not strict:
            return None
        if row is None:
            raise UserError(
                f"this recording has no image: there is none with id {identity}",
                where=str(file.path),
                mend="correct data.image_id_offset, add the image, or set data.pairing to class",
            )
        raise UserError(
            "the labels of recording and image disagree",
            where=str(file.path),
            why=f"the recording lies in class {name}, image {identity} is of class {self._found.classes[row]}",
            mend="correct data.image_id_offset, or move the file to its class",
        )


def _plain(identity: str) -> str:
    """00015 and 15 are one id."""
    return str(int(identity)) if identity.isdecimal() else identity

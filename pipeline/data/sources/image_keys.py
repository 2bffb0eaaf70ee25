"""Finds the image that each recording was made from, by key, never by position."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import StaticImages
from spikeport.pipeline.data.images.static_images import ImageSet
from spikeport.pipeline.data.sources.event_files import EventFile


def name_images(
    found: ImageSet, files: list[EventFile], classes: tuple[str, ...], *, offset: int = 0, strict: bool = True
) -> StaticImages:
    """Images with keys: that of their recording, or one that no recording has.

    Args:
        found: the images.
        files: the recordings.
        classes: names of the classes.
        offset: the image's id is the file's name, as a number, plus this.
        strict: every recording must have an image of its own. Else the first recording of an image has it.

    Raises:
        UserError: with `strict`, two recordings have one image, or a recording has none.
    """
    keys = [f"image:{name}/{identity}" for name, identity in zip(found.classes, found.ids, strict=True)]
    paired_images = _ImageIndex(found, offset)
    taken: dict[int, EventFile] = {}
    for file in files:
        name = classes[file.label]
        row = paired_images.of(file, name, strict=strict)
        if row is None:
            continue
        if row in taken and not strict:
            continue
        if row in taken:
            raise UserError(
                "two recordings claim one image",
                where=str(file.path),
                cause=f"{taken[row].path.name} and this file both mean image {found.ids[row]}",
                hint="give each recording its own id, or remove one",
            )
        taken[row] = file
        keys[row] = file.key
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.classes], np.int64)
    return StaticImages(images=found.images, labels=labels, keys=tuple(keys))


class _ImageIndex:
    """Finds the image of a recording by id, or by class and id if classes share ids."""

    def __init__(self, found: ImageSet, offset: int) -> None:
        self._found, self._offset = found, offset
        ids = [_plain(identity) for identity in found.ids]
        self._by_id = {identity: row for row, identity in enumerate(ids)}
        self._by_class = {pair: row for row, pair in enumerate(zip(found.classes, ids, strict=True))}
        self._unique = len(self._by_id) == len(ids)

    def of(self, file: EventFile, name: str, *, strict: bool) -> int | None:
        """Row of the image; without one, or if it is of another class: UserError if `strict`, else None."""
        stem = file.path.stem
        if self._offset and not stem.isdecimal():
            if not strict:
                return None
            raise UserError(
                f"data.image_id_offset asks for numbers as ids, this file's is {stem!r}",
                where=str(file.path),
                hint="set data.image_id_offset = 0, or rename the file",
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
                hint="correct data.image_id_offset, add the image, or set data.pairing to class",
            )
        raise UserError(
            "the labels of recording and image disagree",
            where=str(file.path),
            cause=f"the recording is in class {name}, image {identity} is of class {self._found.classes[row]}",
            hint="correct data.image_id_offset, or move the file to its class",
        )


def _plain(identity: str) -> str:
    """The id without leading zeros: 00015 and 15 are one id."""
    return str(int(identity)) if identity.isdecimal() else identity

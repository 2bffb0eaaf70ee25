"""The Heidelberg spiking data sets in tonic's layout: spikes of an artificial cochlea with 700 channels, no images.

SHD is spoken digits in English and German, with a published test part. SSC is single words of many speakers, with
published validation and test parts. Source: Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS 33, 2022.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.readers.spike_trains import VERSION, TrainTable, read_table, read_trains
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.image_free import check_no_images
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import mtime_digest_of_paths, mtime_digest_with
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

CHANNELS = 700


@dataclass(frozen=True, kw_only=True)
class _Set:
    """One of the two sets.

    Attributes:
        name: name of the source, and first word of its files.
        folder: where its files lie, below `data.root`.
        about: what it is, for the report.
        parts: names of its parts, the test part last.
        published: number of its recordings.
        speakers: whether the keys of recordings have the speaker.
    """

    name: str
    folder: str
    about: str
    parts: tuple[str, ...]
    published: int
    speakers: bool

    def file(self, root: Path, part: str) -> Path:
        return root / f"{self.name}_{part}.h5"


SHD = _Set(
    name="shd",
    folder="SHD",
    about="Spiking Heidelberg Digits",
    parts=("train", "test"),
    published=10_420,
    speakers=True,
)
SSC = _Set(
    name="ssc",
    folder="SSC",
    about="Spiking Speech Commands",
    parts=("train", "valid", "test"),
    published=105_829,
    speakers=False,
)


@dataclass(frozen=True, kw_only=True)
class _Part:
    name: str
    path: Path
    table: TrainTable

    def names(self) -> tuple[str, ...]:
        speakers = self.table.speakers
        return tuple(
            f"{self.name}/{row:06}" if speakers is None else f"{self.name}/speaker{speakers[row]:02}/{row:06}"
            for row in range(len(self.table.labels))
        )


def load(kind: _Set, data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/SHD/shd_train.h5 and shd_test.h5, or <root>/SSC/ssc_train.h5, ssc_valid.h5, ssc_test.h5.

    Keys are <part>/speaker<number>/<row in the file>, without speaker for SSC. With fewer than 700 channels, channel c
    becomes floor(c * channels / 700).

    Args:
        kind: the set.
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: the recipe names images, a file is damaged, or the files have different classes.
        MissingDependencyError: a file is not there.
    """
    check_no_images(data, kind.about)
    folder = Path(data.root, data.events or kind.folder)
    parts = []
    for part in kind.parts:
        path = kind.file(folder, part)
        if not path.exists():
            raise (SHD_SOURCE if kind is SHD else SSC_SOURCE).missing(kind.folder, folder, f"{path.name}.zip")
        parts.append(_Part(name=part, path=path, table=read_table(path, speakers=kind.speakers)))
    classes = parts[0].table.classes
    for each in parts[1:]:
        if each.table.classes != classes:
            raise UserError(
                f"its classes are not those of {parts[0].path.name}",
                where=str(each.path),
                cause=f"{', '.join(each.table.classes)[:100]} are here, {', '.join(classes)[:100]} there",
                hint="place the files of one release",
            )
    facts = (kind.name, VERSION, resizing.VERSION, data.channels, data.sort)
    part_of = np.concatenate([np.full(len(each.table.labels), number) for number, each in enumerate(parts)])
    return RawDataset(
        name=kind.name,
        description=f"{kind.about}: {len(part_of):,} of the {kind.published:,} recordings in {len(classes)} classes, "
        f"spikes of {data.channels} channels of an artificial cochlea, without images{_new_speakers(parts)}",
        classes=classes,
        keys=tuple(key for each in parts for key in each.names()),
        labels=np.concatenate([each.table.labels for each in parts]),
        content_hash=lambda: _content_hash(parts, facts, progress),
        mtime_digest=mtime_digest_with([mtime_digest_of_paths([each.path for each in parts])], *facts),
        read=lambda: _recordings(parts, data),
        images=StaticImages(images=np.zeros((0, 1, 1, 1), np.uint8), labels=np.zeros(0, np.int64), keys=()),
        paired=False,
        simulated=False,
        official_test=part_of == len(parts) - 1,
        official_validation=part_of == 1 if len(parts) > 2 else None,
        groups=_speakers(parts),
    )


def read_file(kind: _Set, data: Data, file: EventFile) -> Recording:
    """Reads a new recording: an HDF5 file in the layout of the set, with one recording.

    Args:
        kind: the set.
        data: `[data]` of the recipe.
        file: the recording.

    Raises:
        UserError: the file is damaged, of another format, or holds another number of recordings.
    """
    if file.path.suffix.lower() not in (".h5", ".hdf5"):
        raise UserError(f"recordings of {kind.about} are .h5 files", where=str(file.path),
                        hint="write spikes/times and spikes/units of one recording into each file")  # fmt: skip
    found = read_trains(file.path, CHANNELS, sort=data.sort)
    first = next(found, None)
    if first is None or (others := sum(1 for _ in found)):
        raise UserError(f"it holds {0 if first is None else 1 + others:,} recordings", where=str(file.path),
                        hint="write each recording into a file of its own")  # fmt: skip
    return _recording(*first, data, label=file.label, key=file.key, origin=str(file.path))


def _recordings(parts: list[_Part], data: Data) -> Iterator[Recording]:
    for part in parts:
        trains = read_trains(part.path, CHANNELS, sort=data.sort)
        for (events, late_us), label, key in zip(trains, part.table.labels.tolist(), part.names(), strict=True):
            yield _recording(events, late_us, data, label=label, key=key, origin=f"{part.path}, {key}")


def _recording(events: np.ndarray, late_us: int, data: Data, *, label: int, key: str, origin: str) -> Recording:
    target = data.frame_size
    events = resizing.shrink(events, origin, sensor=(1, CHANNELS), target=target)
    return Recording(events=events, sensor=target, label=label, key=key, origin=origin, late_us=late_us)


def _speakers(parts: list[_Part]) -> np.ndarray | None:
    """Speaker of each recording, which a random split keeps in one part."""
    known = [each.table.speakers for each in parts if each.table.speakers is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _new_speakers(parts: list[_Part]) -> str:
    """How many speakers are tested only, for the description."""
    train, test = parts[0].table.speakers, parts[-1].table.speakers
    if train is None or test is None:
        return ""
    new = len(np.setdiff1d(test, train))
    return f"; {new} of the {len(np.unique(test))} speakers of the test part are in no other part"


def _content_hash(parts: list[_Part], facts: tuple[object, ...], progress: NamedProgress | None) -> str:
    digests = []
    for done, part in enumerate(parts, 1):
        with part.path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        if progress:
            progress(done, len(parts), "checking event files")
    return hashlib.sha256(repr((facts, digests)).encode()).hexdigest()


def _archive(kind: _Set, part: str) -> Archive:
    name = kind.file(Path(), part).name
    return Archive(
        file=f"{name}.zip",
        into=kind.folder,
        content_folder=kind.folder,
        layout=name,
        suffix=(name,),
        count=1,
        tonic=(kind.name.upper(), f"{part}_"),
    )


def _source(kind: _Set, about: str) -> Source:
    files = "|".join(kind.parts)
    return Source(
        name=kind.name,
        load=partial(load, kind),
        read_file=partial(read_file, kind),
        about=about,
        needs=f"data.root with {kind.folder}/{kind.name}_{files}.h5",
        archives=tuple(_archive(kind, part) for part in kind.parts),
        channels=CHANNELS,
    )


SHD_SOURCE = _source(
    SHD, "Spiking Heidelberg Digits: 20 spoken digits, 700 channels, official test part; no images: distillation off"
)
SSC_SOURCE = _source(
    SSC, "Spiking Speech Commands: 35 words, 700 channels, official parts; no images: distillation off"
)

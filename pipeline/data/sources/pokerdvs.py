"""POKER-DVS: symbols of playing cards that fly by; the whole set with its sessions, or tonic's part of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.readers.event_arrays import read_npy
from spikeport.pipeline.data.readers.event_columns import Table
from spikeport.pipeline.data.readers.recordings import read_events
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, list_events
from spikeport.pipeline.data.sources.image_free import check_no_images, raw_without_images, read_scaled
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (35, 35)
CLASSES = ("club", "diamond", "heart", "spade")
PAUSE_US = 50_000  # a longer pause between two recordings begins a new session
_PARTS = ("train", "test")


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/POKERDVS: <class>/<id>.aedat, or tonic's pips_train|pips_test/<class>/<n>.npy.

    The 131 `.aedat` files have the times of one clock: recordings that are parted by at most PAUSE_US are one session,
    which a random split keeps on one side. tonic's files begin at time 0, so sessions are unknown; the parts of
    tonic are the official split, and every session of its test part is also in its training part.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: the recipe names images, or the folders are not those of POKER-DVS.
        MissingDependencyError: a folder does not exist.
    """
    check_no_images(data, "POKER-DVS")
    root = Path(data.root, data.events or "POKERDVS")
    parts = {part: _part(root, part) for part in _PARTS}
    if any(folder.is_dir() for folder in parts.values()):
        files = [file for part, folder in parts.items() for file in _files(folder, part)]
        tested = np.array([file.key.startswith("test/") for file in files])
        about = (
            f"POKER-DVS: {len(files)} recordings of card symbols in tonic's parts, without images; sessions are in both"
        )
        return raw_without_images(SOURCE, data, files, CLASSES, about, progress=progress, official_test=tested)
    folder = root / "aedat" if (root / "aedat").is_dir() else root
    files = _files(folder, "")
    groups = _sessions(files) if all(file.path.suffix.lower() == ".aedat" for file in files) else None
    about = f"POKER-DVS: {len(files)} recordings of card symbols, without images"
    if groups is not None:
        about += f"; {groups.max() + 1} sessions, each in one part"
    return raw_without_images(SOURCE, data, files, CLASSES, about, progress=progress, groups=groups)


def _part(root: Path, part: str) -> Path:
    return next((root / name for name in (f"pips_{part}", part) if (root / name).is_dir()), root / f"pips_{part}")


def _files(folder: Path, part: str) -> list[EventFile]:
    """The recordings of a folder, with the classes in our order and, of tonic, by the first two letters."""
    listing = list_events(folder, SOURCE.missing(f"POKERDVS/pips_{part or 'train'}", folder))
    short = tuple(name[:2] for name in CLASSES)
    if listing.classes not in (CLASSES, short):
        raise UserError(
            "the folders here are not the symbols of POKER-DVS", where=str(folder),
            cause=f"{', '.join(listing.classes)} are here, not {', '.join(CLASSES)} (or {', '.join(short)})",
            hint=f"place recordings as {folder}/{CLASSES[0]}/<id>.aedat",
        )  # fmt: skip
    begin = f"{part}/" if part else ""
    return [
        EventFile(path=file.path, label=file.label, key=f"{begin}{CLASSES[file.label]}/{file.key.split('/', 1)[1]}")
        for file in listing.files()
    ]


def _sessions(files: list[EventFile]) -> np.ndarray:
    """Number of the session of each recording, int64 `[N]`."""
    spans = np.array([read_events(file.path)["t"][[0, -1]] for file in files])
    order = np.argsort(spans[:, 0], kind="stable")
    last = np.maximum.accumulate(spans[order, 1])
    session = np.empty(len(files), np.int64)
    session[order] = np.concatenate([[0], np.cumsum(spans[order[1:], 0] - last[:-1] > PAUSE_US)])
    return session


def _read_table(path: Path) -> np.ndarray:
    """Reads `[N, 4]` of t, x, y and p."""
    return read_npy(path, Table(columns="txyp"))


def _pips(part: str, md5: str, count: int) -> Archive:
    return Archive(
        file=f"pips_{part}.tar.gz",
        into="POKERDVS",
        content_folder=f"POKERDVS/pips_{part}",
        layout="cl/0.npy",
        suffix=(".npy",),
        count=count,
        url="https://raw.githubusercontent.com/neuromorphs/tonic/d6f0a56421008c8e5700ca52abda193f9ff29836/tonic/datasets/"
        f"pips_{part}.tar.gz",
        md5=md5,
    )


SOURCE = Source(
    name="pokerdvs",
    load=load,
    images=False,
    read_file=partial(read_scaled, sensor=SENSOR, decoders={".npy": _read_table}),
    about="POKER-DVS: 4 card symbols that fly by, 35 x 35, 131 recordings in 15 sessions or tonic's 68; no images",
    needs="data.root with POKERDVS/<club|diamond|heart|spade>/<id>.aedat, or "
    "POKERDVS/pips_train|pips_test/<cl|di|he|sp>/<n>.npy",
    archives=(
        _pips("train", "412bcfb96826e4fcb290558e8c150aae", 48),
        _pips("test", "eef2bf7d0d3defae89a6fa98b07c17af", 20),
    ),
)

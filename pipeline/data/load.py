"""Loads a data set: reads a source, bins recordings, splits them, and pairs them with static images."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.factory import is_factory
from spikeport.pipeline.data.dataset import Dataset, EventSplit, StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames, bin_recordings
from spikeport.pipeline.data.frames.cache import cache_folder, cached_frames, known_content_hash
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.sources.external import load_external
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.data.splits.pairs import paired_images_of, static_pool
from spikeport.pipeline.data.splits.split import split_recordings
from spikeport.pipeline.data.splits.split_file import known_groups
from spikeport.pipeline.data.windows import check_cuts
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

HASHED_ROWS = 1024  # rows whose pixels are unpacked at a time


def load_dataset(
    recipe: Recipe | Data, *, cache: Path | None = None, progress: NamedProgress | None = None, verify: bool = False
) -> Dataset:
    """The data set that a recipe describes; the same settings and files give the same bytes.

    Args:
        recipe: a recipe, or its section [data].
        cache: folder of binned frames; default: SPIKEPORT_CACHE, else the user's cache folder.
        progress: called with (done, total, what) during long work.
        verify: read every event file again, even if its size and times did not change.

    Returns:
        The data set; `.train`, `.validation` and `.test` are map-style data sets, as torch's DataLoader takes them.

    Raises:
        UserError: an unknown source, an impossible split or damaged files.
        MissingDependencyError: files that are not there.
    """
    data = recipe.data if isinstance(recipe, Recipe) else recipe
    cache = cache_folder() if cache is None else cache
    found = _load_source(data, progress)
    split, held_out = split_recordings(found, data)
    binning = Binning.of(data)
    content = known_content_hash(cache, found.mtime_digest, found.content_hash, verify=verify)

    def frames_of(binning: Binning) -> Frames:
        return cached_frames(cache, content, len(found.keys), binning, lambda: _bin(found, binning, progress))

    binned, groups = frames_of(binning), known_groups(found, data)
    validation, test = (_part(found, binned, rows, groups) for rows in (split.validation, split.test))
    if data.train_windows == 1:
        train = _part(found, binned, split.train, groups, packed=True)  # the large part, of which a step asks for a few
    else:
        check_cuts(binned.facts[split.train], binning)
        cut = frames_of(replace(binning, window="first", windows=data.train_windows))
        train = _part(found, cut, split.train, groups, packed=True, windows=data.train_windows)
    hidden = {found.keys[row] for row in held_out}
    static = static_pool(found.images, hidden, limit=data.static_limit, seed=data.split_seed)
    return Dataset(
        name=found.name,
        description=found.description
        + ("" if data.window == "first" else f"; window: {data.window}")
        + (f"; frames of counts up to {data.counts}" if data.counts else "")
        + ("" if data.train_windows == 1 else f"; {data.train_windows} windows of each training recording"),
        classes=found.classes,
        train=train,
        validation=validation,
        test=test,
        static=static,
        dt_s=data.step_us * 1e-6,
        simulated=found.simulated,
        fingerprint=_fingerprint((train, validation, test), static),
        ready_frames=data.recordings == "frames",
    )


def _load_source(data: Data, progress: NamedProgress | None) -> RawDataset:
    if is_factory(data.source):
        return load_external(data.source, data, progress)
    if data.source not in SOURCES:
        raise UserError(
            f"{data.source!r} is not a data source",
            where="data.source",
            hint=f"use one of {', '.join(SOURCES)}, or package.module:factory for your own",
        )
    source = SOURCES[data.source]
    if source.channels is None and data.channels is not None:
        raise UserError(
            f"recordings of {source.name} have height and width", where="data.channels", hint="leave channels out"
        )
    if source.channels is not None and not 1 <= (data.channels or 0) <= source.channels:
        raise UserError(
            f"recordings of {source.name} have {source.channels} channels",
            where="data.channels",
            hint=f"set data.channels = {source.channels}; or less, which joins neighbors",
        )
    return source.load(data, progress)


def _bin(found: RawDataset, binning: Binning, progress: NamedProgress | None) -> Frames:
    if found.bin is None:
        return bin_recordings(found.read(), len(found.keys), binning, progress)
    binned = found.bin(binning, progress)
    if len(binned.facts) != len(found.keys) * binning.windows:
        raise UserError(
            f"{found.name} makes frames of its own, and one window of each recording",
            where="data.train_windows",
            hint="leave data.train_windows out, or let the data set return events",
        )
    return binned


def _part(
    found: RawDataset,
    binned: Frames,
    rows: np.ndarray,
    groups: np.ndarray | None,
    *,
    packed: bool = False,
    windows: int = 1,
) -> EventSplit:
    keys = [found.keys[row] for row in np.repeat(rows, windows)]
    paired = paired_images_of(found.images, tuple(keys)) if found.paired else None
    if windows > 1:
        keys = [f"{key}#{number % windows + 1}" for number, key in enumerate(keys)]
    labels = found.labels[np.repeat(rows, windows)]
    groups = None if groups is None else groups[np.repeat(rows, windows)]
    rows = (rows[:, None] * windows + np.arange(windows)).reshape(-1)
    return EventSplit(
        frames=binned.frames.take(rows) if packed and isinstance(binned.frames, PackedFrames) else binned.frames[rows],
        labels=labels,
        keys=tuple(keys),
        events=binned.events[rows],
        facts=binned.facts[rows],
        paired_images=paired,
        windows=windows,
        groups=groups,
    )


def _fingerprint(splits: tuple[EventSplit, ...], static: StaticImages) -> str:
    """sha256 of pixels, labels and keys of every part, shapes included."""
    digest = hashlib.sha256()
    parts = [(part.frames, part.labels, part.keys) for part in splits]
    for pixels, labels, keys in [*parts, (static.images, static.labels, static.keys)]:
        digest.update(repr((pixels.shape, keys)).encode())
        for at in range(0, len(pixels), HASHED_ROWS):
            digest.update(np.ascontiguousarray(pixels[at : at + HASHED_ROWS]).data)
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()

"""Classifies new event files with the network of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, UNLABELED, Readout
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.factory import is_factory
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.frames.binning import Binning, bin_recording
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.report.content.csv_tables import class_names
from spikeport.pipeline.run.intervals import share
from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.stages.checks import require_exported
from spikeport.pipeline.stages.file_predictions import SCORES, FilePrediction, FilePredictions, UnreadFile
from spikeport.pipeline.stages.found_recordings import find_recordings
from spikeport.pipeline.stages.run_value import Run, as_run
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.simulation import simulate
from spikeport.progress import NamedProgress

if TYPE_CHECKING:
    from spikeport.export.backends.base import Backend

CHUNK_BYTES = 2**26  # frames that are held at once


@dataclass(frozen=True)
class _Window:
    """A recording or a window of one: its frames, the events in them, and its begin after that of the recording."""

    file: EventFile
    frames: np.ndarray
    events: int
    start_us: int | None


_Part = list[_Window]


def predict(
    run: Run | PathLike,
    files: PathLike | Sequence[PathLike],
    *,
    window_step_us: int | None = None,
    backend: str | Backend = "reference",
    progress: NamedProgress | None = None,
) -> FilePredictions:
    """Classifies new event files with student.net of a run. They are read and binned as the data of the run.

    Args:
        run: a run, or its folder; it is not changed.
        files: event files, or folders, of which all files with a reader are used, in order of name. Where the names of
            the folders that contain them are classes of the run, they are the labels.
        window_step_us: cuts each recording into windows as long as the recordings of the run (`data.steps` x
            `data.step_us`), which begin at its first event and every so many microseconds after; only whole windows,
            but at least one. None: one window a recording, as `data.window` says.
        backend: "reference", "lava", `package.module:factory`, or a backend.
        progress: called with (recordings read, recordings in all, what is done).

    Returns:
        Class, scores and margin of each recording or window, the files that could not be read, and the accuracy if
        there are labels.

    Raises:
        UserError: the run has no student.net yet, its data set has no files, there is no event file, or windows are
            asked of a run whose recordings are stretched to one.
        MissingDependencyError: the backend, or the decompressor of a format, is not installed.
    """
    opened = as_run(run)
    data = opened.recipe.data
    if is_factory(data.source):
        raise UserError(
            f"{data.source} makes the recordings of this run, so event files cannot be read as they were",
            where=str(opened.path),
            hint="write frames with numpy.savez, and give them to spikeport simulate RUN --input FRAMES.npz",
        )
    require_exported(opened.folder)
    _check_step(window_step_us, data)
    classes = tuple(opened.folder.result("data")["classes"])
    network = opened.network
    readout = network.network.readout
    if network.network.outputs != len(classes):
        raise UserError(
            f"student.net has {network.network.outputs} classes, the run {len(classes)}", where=str(opened.path),
            hint="put the student.net of this run back",
        )  # fmt: skip
    found = find_recordings([files] if isinstance(files, str | os.PathLike) else files, classes)
    unread: list[UnreadFile] = []
    rows: list[FilePrediction] = []
    predicted: list[np.ndarray] = []
    labels: list[int] = []
    own = os.path.realpath(Path(data.root, data.events)) if data.root else ""
    of_dataset = 0
    for part in _parts(found, data, window_step_us, unread, progress):
        frames = np.stack([window.frames for window in part])
        trace = simulate(network, frames, backend=backend)
        predicted.append(trace.classes())
        labels += [window.file.label for window in part]
        of_dataset += sum(window.file.label != UNLABELED and _is_below(window.file.path, own) for window in part)
        rows += _rows(part, trace, readout, classes)
    labeled = any(label != UNLABELED for label in labels)
    return FilePredictions(
        classes=classes,
        score=SCORES[readout.kind],
        rows=tuple(rows),
        unread=tuple(unread),
        accuracy=share(compare_with_labels(labels, np.concatenate(predicted))) if labeled else None,
        of_dataset=of_dataset,
    )


def _is_below(file: Path, folder: str) -> bool:
    return folder != "" and os.path.realpath(file).startswith(os.path.join(folder, ""))


def _check_step(step_us: int | None, data: Data) -> None:
    if step_us is not None and step_us < 1:
        raise UserError(f"windows cannot begin every {step_us} us", where="--window-step", hint="use 1 or more")
    if step_us is not None and data.window == "whole":
        raise UserError(
            "the recordings of this run are stretched to one window each", where="data.window", hint="leave windows out"
        )


def _parts(
    files: Sequence[EventFile],
    data: Data,
    step_us: int | None,
    unread: list[UnreadFile],
    progress: NamedProgress | None,
) -> Iterator[_Part]:
    """Reads and bins the files in parts of at most CHUNK_BYTES; adds those that cannot be read to `unread`."""
    binning = Binning.of(data)
    most = max(1, CHUNK_BYTES // int(np.prod(binning.shape)))
    part: _Part = []
    for done, file in enumerate(files, 1):
        try:
            for window in _windows(file, SOURCES[data.source].read_file(data, file), binning, step_us):
                part.append(window)
                if len(part) == most:
                    yield part
                    part = []
        except MissingDependencyError:
            raise
        except UserError as error:
            reason = str(UserError(error.message, cause=error.cause, hint=error.hint))
            unread.append(UnreadFile(recording=str(file.path), reason=reason))
        if progress:
            progress(done, len(files), "recordings")
    if part:
        yield part


def _windows(file: EventFile, recording: Recording, binning: Binning, step_us: int | None) -> Iterator[_Window]:
    """The windows of a recording; one as the recipe says without `step_us`. Frames exist one window at a time."""
    facts, events = np.zeros(1, FACTS), recording.events
    t = np.ascontiguousarray(events["t"])
    if step_us is None or not len(events):
        frames = bin_recording(recording, binning, facts)
        yield _Window(file, frames, int(facts["in_window"][0]), None if step_us is None else 0)
        return
    first = int(t[0]) if recording.start_us is None else recording.start_us
    long = binning.steps * binning.step_us
    whole = max(0, int(t[-1]) + 1 - first - long) // step_us
    plain = replace(binning, window="first")
    for begin in range(0, (whole + 1) * step_us, step_us):
        start, end = np.searchsorted(t, (first + begin, first + begin + long))
        cut = replace(recording, events=events[start:end], start_us=first + begin)
        yield _Window(file, bin_recording(cut, plain), int(end - start), begin)


def _rows(part: _Part, trace: SpikeTrace, readout: Readout, classes: tuple[str, ...]) -> Iterator[FilePrediction]:
    numbers = trace.classes()
    scores = readout.scores(trace.spikes, trace.levels)
    names = class_names(numbers.tolist(), classes)
    for window, number, row, name in zip(part, numbers.tolist(), scores, names, strict=True):
        silent = number == SILENT
        margin = 0 if silent else (row[number] - np.delete(row, number).max()).item()
        yield FilePrediction(
            recording=str(window.file.path),
            predicted=str(name),
            silent=silent,
            margin=margin,
            scores=tuple(row.tolist()),
            events=window.events,
            label=None if window.file.label == UNLABELED else classes[window.file.label],
            start_us=window.start_us,
        )

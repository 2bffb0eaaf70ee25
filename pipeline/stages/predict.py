"""Classifies new event files, and streams of events, with the network of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.factory import is_factory
from spikeport.pipeline.data.frames.binning import Binning
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.report.content.csv_tables import class_names
from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.stages.checks import require_exported
from spikeport.pipeline.stages.event_stream import ByteStream, check_streamable, text_events
from spikeport.pipeline.stages.event_windows import Window, windows_of, windows_of_stream
from spikeport.pipeline.stages.file_predictions import SCORES, FilePrediction, FilePredictions, UnreadFile
from spikeport.pipeline.stages.file_settings import with_file_settings
from spikeport.pipeline.stages.followed_folder import check_folders
from spikeport.pipeline.stages.followed_folder import follow as follow_folders
from spikeport.pipeline.stages.found_recordings import find_recordings
from spikeport.pipeline.stages.prediction_stream import PredictionStream
from spikeport.pipeline.stages.run_value import Run, as_run
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.simulation import simulate
from spikeport.progress import NamedProgress
from spikeport.tables import cell_text

if TYPE_CHECKING:
    from spikeport.export.backends.base import Backend

CHUNK_BYTES = 2**26  # frames that are held at once
FILE_NAME = 24  # characters of a name of a file that is not known yet
STREAM = EventFile(path=Path("-"), label=UNLABELED, key="-")


def predict(
    run: Run | PathLike,
    files: PathLike | Sequence[PathLike],
    *,
    window_step_us: int | None = None,
    reading: Mapping[str, Any] | None = None,
    backend: str | Backend = "reference",
    progress: NamedProgress | None = None,
) -> FilePredictions:
    """Classifies new recordings with student.net of a run. They are read and binned as the data of the run.

    Args:
        run: a run, or its folder; it is not changed.
        files: event files, or folders, of which all files with a reader are used, in order of name. Where the run has
            ready frames (`data.recordings`), .npy and .npz files and folders of pictures. Where the names of the
            folders that contain them are classes of the run, they are the labels.
        window_step_us: cuts each recording into windows as long as the recordings of the run (`data.steps` x
            `data.step_us`), which begin at its first event and every so many microseconds after; only whole windows,
            but at least one. None: one window a recording, as `data.window` says.
        reading: settings of `[data]` that the new files need instead of those of the run: `columns`, `time_unit`,
            `sensor`, `crop`, `orientation`, `sort`.
        backend: "reference", "lava", `package.module:factory`, or a backend.
        progress: called with (recordings read, recordings in all, what is done).

    Returns:
        Class, scores and margin of each recording or window, the files that could not be read, and the accuracy if
        there are labels.

    Raises:
        UserError: the run has no student.net yet, its data set has no files, there is no recording, windows are
            asked of a run whose recordings are stretched to one or are ready frames, or a setting of `reading` has no
            meaning for the run.
        MissingDependencyError: the backend, or the decompressor of a format, is not installed.
    """
    classifier = _Classifier(run, window_step_us, reading, backend)
    found = classifier.predictions(classifier.of_files(classifier.find(files), progress, together=True))
    return found.collected(list(found))


def predict_stream(
    run: Run | PathLike,
    source: PathLike | Sequence[PathLike] | ByteStream,
    *,
    window_step_us: int | None = None,
    follow: bool = False,
    until_idle_s: float | None = None,
    reading: Mapping[str, Any] | None = None,
    backend: str | Backend = "reference",
    progress: NamedProgress | None = None,
) -> PredictionStream:
    """Classifies as `predict`, and gives each row as soon as it is known.

    Args:
        run: a run, or its folder; it is not changed.
        source: event files or folders, as for `predict`; or a binary file with events as text lines, such as
            `sys.stdin.buffer`, whose windows follow one another as the events come.
        window_step_us: as for `predict`. None with text lines: windows without a gap, one after the other.
        follow: whether `source` names folders that are watched: each event file in them gives its rows once, as soon as
            it is whole, which is when two looks, half a second apart, find it unchanged and not empty.
        until_idle_s: with `follow`, ends after this time without a new or changed file, in seconds; None: never.
        reading: as for `predict`.
        backend: as for `predict`. Another one than "reference" gets many recordings at once, so rows come later.
        progress: called with (recordings read, recordings in all, what is done).

    Returns:
        An iterator over FilePrediction, and UnreadFile for a file that could not be read. Its `classes` and `score`
        say what the scores are; `collected(rows)` is the value of `predict`.

    Raises:
        UserError: as `predict`, a path that is followed is no folder, or the events of the run cannot be text lines.
            While rows are read: a line is no event, with its number, after the rows of the windows before it.
        MissingDependencyError: the backend, or the decompressor of a format, is not installed.
    """
    classifier = _Classifier(run, window_step_us, reading, backend)
    if until_idle_s is not None and not follow:
        raise UserError("--until-idle is for folders that are followed", hint="add --follow, or leave it out")
    if isinstance(source, ByteStream):
        if follow:
            raise UserError("standard input is no folder that can be followed", hint="leave --follow out")
        check_streamable(classifier.data)
        return classifier.predictions(classifier.of_stream(source), cut=True)
    if follow:
        if classifier.data.recordings == "frames":
            raise UserError(
                "folders of ready frames are not followed", where="data.recordings",
                hint="name the recordings when they are whole",
            )  # fmt: skip
        folders = check_folders(_listed(source))
        rows = classifier.of_files(follow_folders(folders, until_idle_s), None, together=False)
        return classifier.predictions(rows, width=max(len(str(folder)) for folder in folders) + FILE_NAME)
    files = classifier.find(source)
    rows = classifier.of_files(files, progress, together=backend != "reference")
    return classifier.predictions(rows, width=max(len(cell_text(str(file.path))) for file in files))


def _listed(files: PathLike | Sequence[PathLike]) -> Sequence[PathLike]:
    return [files] if isinstance(files, str | os.PathLike) else files


class _Classifier:
    """The network of a run, and how its recordings are read and cut."""

    def __init__(
        self, run: Run | PathLike, step_us: int | None, reading: Mapping[str, Any] | None, backend: str | Backend
    ) -> None:
        opened = as_run(run)
        data = opened.recipe.data
        if is_factory(data.source):
            raise UserError(
                f"{data.source} makes the recordings of this run, so event files cannot be read as they were",
                where=str(opened.path),
                hint="write frames with numpy.savez, and give them to spikeport simulate RUN --input FRAMES.npz",
            )
        require_exported(opened.folder)
        self.data, self._data_of_run = with_file_settings(data, reading), data
        _check_step(step_us, self.data)
        self.classes = tuple(opened.folder.result("data")["classes"])
        self._network = opened.network
        self._readout = self._network.network.readout
        if self._network.network.outputs != len(self.classes):
            raise UserError(
                f"student.net has {self._network.network.outputs} classes, the run {len(self.classes)}",
                where=str(opened.path), hint="put the student.net of this run back",
            )  # fmt: skip
        self._step_us, self._backend = step_us, backend
        self._binning = Binning.of(self.data)
        self._most = max(1, CHUNK_BYTES // int(np.prod(self._binning.shape)))

    def find(self, files: PathLike | Sequence[PathLike]) -> list[EventFile]:
        """The recordings that are named, and those of folders."""
        return find_recordings(_listed(files), self.classes, frames=self.data.recordings == "frames")

    def predictions(
        self, rows: Iterator[FilePrediction | UnreadFile], *, width: int = 0, cut: bool = False
    ) -> PredictionStream:
        """The rows as a value."""
        return PredictionStream(
            rows,
            classes=self.classes,
            score=SCORES[self._readout.kind],
            cut=cut or self._step_us is not None,
            width=width,
            data=self._data_of_run,
        )

    def of_files(
        self, files: Iterable[EventFile], progress: NamedProgress | None, *, together: bool
    ) -> Iterator[FilePrediction | UnreadFile]:
        """The rows of files; `together` simulates as many windows at once as fit CHUNK_BYTES, else those of a file."""
        part: list[Window] = []
        for done, file in enumerate(files, 1):
            unread = None
            try:
                recording = SOURCES[self.data.source].read_file(self.data, file)
                for window in windows_of(file, recording, self._binning, self._step_us):
                    part.append(window)
                    if len(part) == self._most:
                        yield from self._rows(part)
                        part = []
            except MissingDependencyError:
                raise
            except UserError as error:
                reason = str(UserError(error.message, cause=error.cause, hint=error.hint))
                unread = UnreadFile(recording=str(file.path), reason=reason)
            if progress and isinstance(files, Sequence):
                progress(done, len(files), "recordings")
            if part and not together:
                yield from self._rows(part)
                part = []
            if unread:
                yield unread
        if part:
            yield from self._rows(part)

    def of_stream(self, stream: ByteStream) -> Iterator[FilePrediction | UnreadFile]:
        """The rows of text lines: those of the windows that a block of lines ends."""
        step = self._step_us or self.data.steps * self.data.step_us
        sensor = (self._binning.height, self._binning.width)
        part: list[Window] = []
        for window in windows_of_stream(STREAM, text_events(stream, self.data), sensor, self._binning, step):
            if window is not None:
                part.append(window)
            if part and (window is None or len(part) == self._most):
                yield from self._rows(part)
                part = []
        if part:
            yield from self._rows(part)

    def _rows(self, part: list[Window]) -> Iterator[FilePrediction]:
        trace = simulate(self._network, np.stack([window.frames for window in part]), backend=self._backend)
        numbers = trace.classes()
        scores = self._readout.scores(trace.spikes, trace.levels)
        names = class_names(numbers.tolist(), self.classes)
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
                label=None if window.file.label == UNLABELED else self.classes[window.file.label],
                start_us=window.start_us,
            )


def _check_step(step_us: int | None, data: Data) -> None:
    if step_us is not None and step_us < 1:
        raise UserError(f"windows cannot begin every {step_us} us", where="--window-step", hint="use 1 or more")
    if step_us is not None and data.window == "whole":
        raise UserError(
            "the recordings of this run are stretched to one window each", where="data.window", hint="leave windows out"
        )
    if step_us is not None and data.recordings == "frames":
        raise UserError(
            "the recordings of this run are ready frames, which have no times", where="data.recordings",
            hint="leave windows out",
        )  # fmt: skip

"""Lists the files of a folder of own recordings; what is no recording is listed, not refused."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.errors import UserError
from spikeport.pipeline.data.own_data.recording_facts import Unreadable
from spikeport.pipeline.data.readers.recordings import READERS
from spikeport.pipeline.data.sources.event_files import EventFile, content_of, is_hidden, list_classes, size_of
from spikeport.regular_files import check_regular

_PARTS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class OwnFolder:
    """The files of a folder of own recordings.

    Attributes:
        events: folder of `<class>/<id>.<ext>`.
        test_events: the same with the test recordings; None if there is none.
        classes: names of the classes of `events`.
        files: the event files, or folders of pictures.
        refused: files in class folders that no reader takes.
    """

    events: Path
    test_events: Path | None
    classes: tuple[str, ...]
    files: tuple[EventFile, ...]
    refused: tuple[Unreadable, ...]

    def is_test(self, file: EventFile) -> bool:
        """Whether a file lies in the test folder.

        Args:
            file: one of the files.
        """
        return self.test_events is not None and file.path.is_relative_to(self.test_events)


def own_parts(folder: Path) -> tuple[Path, Path | None]:
    """The folder of class folders, and that of the test part: `train` and `test` where there are both.

    Args:
        folder: the folder.
    """
    parts = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else {}
    has_parts = all(name in parts and _holds_folders(parts[name]) for name in _PARTS)
    return (parts["train"], parts["test"]) if has_parts else (folder, None)


def list_folder(folder: Path) -> OwnFolder:
    """Lists the recordings in class folders, or in class folders below `train` and `test`.

    Args:
        folder: the folder.

    Raises:
        MissingDependencyError: there is no such folder.
        UserError: files do not lie in class folders.
    """
    events, tests = own_parts(folder)
    classes = list_classes(events)
    files, refused = _files(events, classes)
    if tests is not None:
        test_classes = list_classes(tests)
        unknown = [name for name in test_classes if name not in classes]
        refused += [
            Unreadable(path=tests / name, reason="the training part has no such class", hint="rename it, or remove it")
            for name in unknown
        ]
        more, wrong = _files(tests, [name for name in test_classes if name in classes])
        files += [EventFile(path=file.path, label=classes.index(file.path.parent.name), key=file.key) for file in more]
        refused += wrong
    return OwnFolder(events=events, test_events=tests, classes=classes, files=tuple(files), refused=tuple(refused))


def duplicates(files: Sequence[EventFile]) -> list[tuple[EventFile, ...]]:
    """Files with the same content, in groups of two and more.

    Args:
        files: the event files.
    """
    sizes = defaultdict(list)
    for file in files:
        sizes[size_of(file.path)].append(file)
    contents = defaultdict(list)
    for same in sizes.values():
        if len(same) > 1:
            for file in same:
                contents[hashlib.sha256(content_of(file.path)).digest()].append(file)
    return [tuple(same) for same in contents.values() if len(same) > 1]


def _holds_folders(folder: Path) -> bool:
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    return any(entry.is_dir() for entry in entries) and not any(entry.suffix.lower() in READERS for entry in entries)


def _files(folder: Path, classes: Sequence[str]) -> tuple[list[EventFile], list[Unreadable]]:
    """The event files of each class, and what lies beside them."""
    files: list[EventFile] = []
    refused: list[Unreadable] = []
    for label, name in enumerate(classes):
        stems: dict[str, str] = {}
        for path in sorted(entry for entry in (folder / name).iterdir() if not is_hidden(entry.name)):
            if path.is_dir():
                continue
            try:
                check_regular(path)
            except UserError as error:
                refused.append(Unreadable.of(path, error))
                continue
            if path.suffix.lower() not in READERS:
                hint = "convert it to " + ", ".join(READERS) + ", or move it away"
                refused.append(Unreadable(path=path, reason=f"no reader for {path.name}", hint=hint))
            elif path.stem in stems:
                reason = f"{stems[path.stem]} in the same folder has the same id"
                refused.append(Unreadable(path=path, reason=reason, hint="remove one, or rename it"))
            else:
                stems[path.stem] = path.name
                files.append(EventFile(path=path, label=label, key=f"{name}/{path.stem}"))
        if not stems:
            refused.append(
                Unreadable(path=folder / name, reason="this class has no recording", hint="remove the folder")
            )
    return files, refused

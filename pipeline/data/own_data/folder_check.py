"""What the checks of events and of ready frames have in common: classes, faults, findings and settings, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.sampling import Drawn, words
from spikeport.pipeline.data.own_data.findings import Finding
from spikeport.pipeline.data.own_data.folder import OwnFolder
from spikeport.pipeline.data.own_data.recording_facts import Unreadable
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.progress import NamedProgress
from spikeport.tables import text_table

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class FolderCheck:
    """What a folder of recordings contains, and what a recipe must set to read it.

    Attributes:
        folder: the folder, with its classes and recordings.
        drawn: which of the recordings were read.
        formats: number of recordings by extension.
        on: share of ON events.
        by_class: readable recordings of each class in the training part and in the test part; a class without a
            recording that was read has 0.
        unreadable: recordings that are not read, with reason and hint.
        findings: what looks wrong or has to be known.
        settings: keys of `[data]` that differ with the data.
    """

    folder: OwnFolder
    drawn: Drawn
    formats: dict[str, int]
    on: float
    by_class: dict[str, tuple[int, int]]
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All facts in JSON values."""
        tests = self.folder.test_events
        return {
            "events": str(self.folder.events),
            "test_events": None if tests is None else str(tests),
            "files": len(self.folder.files),
            "sample": self.drawn.as_dict(),
            "classes": {name: {"recordings": n, "test": m} for name, (n, m) in self.by_class.items()},
            "formats": self.formats,
            **self._facts_json(),
            "unreadable": [each.to_json() for each in self.unreadable],
            "findings": [each.to_json() for each in self.findings],
            "settings": {key: list(v) if isinstance(v, tuple) else v for key, v in self.settings.items()},
        }

    def lines(self) -> list[str]:
        """The facts as text, a line each."""
        sample = f" ({words(self.drawn.as_dict())})" if not self.drawn.whole else ""
        facts = [
            ("recordings", f"{len(self.folder.files):,} in {len(self.by_class)} classes{sample}"),
            ("formats", ", ".join(f"{name} {count:,}" for name, count in self.formats.items())),
            *self._facts(),
        ]
        has_test = self.folder.test_events is not None
        rows = [(name, *counts[: 1 + has_test]) for name, counts in self.by_class.items()]
        lines = [f"{name.ljust(20)}{value}" for name, value in facts]
        lines += ["", *text_table(("class", "recordings", *(["test"] if has_test else [])), rows)]
        if self.unreadable:
            lines += ["", "not read:"]
            lines += [f"  {each.path}: {each.reason}. Hint: {each.hint}" for each in self.unreadable]
        if self.findings:
            lines += ["", "found:", *(f"  {each.topic}: {each.text}" for each in self.findings)]
        return [*lines, "", "set in [data]:", *(f"  {key} = {_toml(value)}" for key, value in self.settings.items())]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _facts(self) -> list[tuple[str, str]]:
        """Names and values of further lines."""
        raise NotImplementedError

    def _facts_json(self) -> dict[str, Any]:
        """Further JSON values."""
        raise NotImplementedError


def read_drawn(
    listing: OwnFolder, drawn: Drawn, read: Callable[[EventFile], Read], progress: NamedProgress | None
) -> tuple[list[Read], list[Unreadable], list[EventFile]]:
    """Reads recordings; those that cannot be read are listed.

    Args:
        listing: all recordings of the folder.
        drawn: which of them are read.
        read: reads one; raises UserError or MissingDependencyError.
        progress: called with (recordings done, recordings in all, what is done).

    Returns:
        What was read, what is not read with the reason, and the recordings among the latter.
    """
    found: list[Read] = []
    unreadable, bad = list(listing.refused), list[EventFile]()
    for done, row in enumerate(drawn.rows, 1):
        file = listing.files[row]
        try:
            found.append(read(file))
        except (UserError, MissingDependencyError) as error:
            unreadable.append(Unreadable.of(file.path, error))
            bad.append(file)
        if progress:
            progress(done, len(drawn.rows), "reading event files")
    return found, unreadable, bad


def count_classes(listing: OwnFolder, bad: Sequence[EventFile]) -> dict[str, tuple[int, int]]:
    """Recordings of each class in the training part and in the test part.

    Args:
        listing: all recordings of the folder.
        bad: those that are not counted.
    """
    counted = Counter((file.label, listing.is_test(file)) for file in listing.files)
    counted.subtract((file.label, listing.is_test(file)) for file in bad)
    return {name: (counted[label, False], counted[label, True]) for label, name in enumerate(listing.classes)}


def split_settings(listing: OwnFolder, by_class: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """The keys of `[data]` that split recordings: a tenth for validation, and a fifth or the test folder for the test.

    Args:
        listing: all recordings of the folder.
        by_class: recordings of each class in the training part and in the test part.
    """
    count = sum(train for train, _ in by_class.values())
    test = {"test": max(count // 5, 1)} if listing.test_events is None else {"test": 0, "split": "official"}
    return {"validation": max(count // 10, 1), **test}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else f'"{value}"' if isinstance(value, str) else str(value)

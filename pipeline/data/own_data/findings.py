"""What looks wrong in own recordings, or has to be known, as sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.pipeline.data.own_data.folder import OwnFolder, duplicates
from spikeport.pipeline.data.own_data.recording_facts import RecordingFacts, names_of
from spikeport.pipeline.data.own_data.sensors import KNOWN, SensorGuess
from spikeport.pipeline.data.own_data.time_units import PLAUSIBLE_US, UnitGuess
from spikeport.pipeline.data.windows import period

_FEW = 5  # recordings of a class, below which it is hardly learned and tested
_UNEQUAL = 4  # times more recordings in the largest class than in the smallest
_SPARSE = 20  # times fewer events than the median recording
_SUBJECT = re.compile(r"([^_]*\d[^_]*)_")


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong or has to be known.

    Attributes:
        topic: a word or two, such as "time unit".
        text: what was found, and what to set or do.
    """

    topic: str
    text: str

    def to_json(self) -> dict[str, str]:
        """`topic` and `text`."""
        return {"topic": self.topic, "text": self.text}


def findings_of(
    listing: OwnFolder,
    found: Sequence[RecordingFacts],
    unit: UnitGuess,
    sensor: SensorGuess,
    by_class: Mapping[str, tuple[int, int]],
) -> list[Finding]:
    """Sentences on units, coordinates, polarity, order, duplicates, classes and groups.

    Args:
        listing: all files of the folder.
        found: facts of the files that were read.
        unit: likely unit of the times.
        sensor: likely sensor.
        by_class: recordings of each class in the training part and in the test part.
    """
    return [
        *_of_times(found, unit),
        *_of_events(found, sensor),
        *findings_of_listing(listing, by_class),
    ]


def findings_of_listing(listing: OwnFolder, by_class: Mapping[str, tuple[int, int]]) -> list[Finding]:
    """Sentences on duplicates, classes and groups, which need no reading.

    Args:
        listing: all recordings of the folder.
        by_class: recordings of each class in the training part and in the test part.
    """
    return [
        *_of_duplicates(listing),
        *_of_classes(by_class),
        *_of_groups([file.path.stem for file in listing.files]),
    ]


def _of_times(found: Sequence[RecordingFacts], unit: UnitGuess) -> list[Finding]:
    texts = []
    if unit.unit != "us":
        texts.append(Finding("time unit", f"times seem to be in {unit.unit}: data.time_unit"))
        if stated := [each.path for each in found if each.states_unit]:
            text = f"{names_of(stated)} state microseconds, and a recipe has one unit: convert the others to us"
            texts.append(Finding("time unit", text))
    least, most = PLAUSIBLE_US
    if not least <= unit.median_us <= most:
        text = f"the median recording lasts {period(unit.median_us)}, which no unit makes plausible: check the times"
        texts.append(Finding("time unit", text))
    if unit.others:
        text = f"{names_of([each.path for each in unit.others])} last 100 times longer or shorter than the median: "
        texts.append(Finding("durations", text + "are their times in another unit?"))
    late = [each for each in found if each.step_back]
    if late:
        back = period(max(each.step_back for each in late) * unit.scale)
        text = f"{len(late)} of {len(found)} files are not sorted by time, by up to {back}: data.sort = true ("
        texts.append(Finding("order", text + names_of([each.path for each in late]) + ")"))
    return texts


def _of_events(found: Sequence[RecordingFacts], sensor: SensorGuess) -> list[Finding]:
    texts = []
    orders = Counter(each.columns for each in found if each.columns)
    if orders:
        (order, count), *rest = orders.most_common()
        text = f'{count} files have columns without names, likely in the order "{order}": data.columns'
        if rest:
            text += f"; others seem to have {', '.join(other for other, _ in rest)}, and a recipe has one order"
        texts.append(Finding("columns", text))
    if sensor.from_one:
        text = "coordinates seem to count from 1: data.sensor and data.crop move them to 0"
        texts.append(Finding("coordinates", text))
    elif sensor.box[0] == sensor.box[2] == 1 and not sensor.stated:
        text = "no event lies in column 0 or row 0: if coordinates count from 1, data.sensor and data.crop move them"
        texts.append(Finding("coordinates", text))
    if not sensor.known and any(
        0.9 * common[0] <= sensor.height <= common[0] and 0.9 * common[1] <= sensor.width <= common[1]
        for common in KNOWN
        if common[0] != common[1]
    ):
        text = 'x and y seem to be swapped: data.orientation = "transpose" turns them'
        texts.append(Finding("coordinates", text))
    signed = [each.path for each in found if -1 in each.codes]
    if signed:
        text = f"{len(signed)} of {len(found)} files have the codes -1 and 1, which are read as OFF and ON"
        texts.append(Finding("polarity", text))
    texts += of_lost_polarity([each.path for each in found if each.on in (0, each.events)], len(found))
    median = sorted(each.events for each in found)[len(found) // 2]
    if sparse := [each.path for each in found if each.events * _SPARSE < median]:
        text = f"{names_of(sparse)} have less than a twentieth of the events of the median recording ({median:,})"
        texts.append(Finding("events", text))
    return texts


def of_lost_polarity(lost: Sequence[Path], count: int) -> list[Finding]:
    """A sentence on recordings with events of one polarity, if there are any.

    Args:
        lost: these recordings.
        count: number of all recordings that were read.
    """
    text = f"{len(lost)} of {count} files have events of one polarity ({names_of(lost)}): is polarity lost?"
    return [Finding("polarity", text)] if lost else []


def _of_duplicates(listing: OwnFolder) -> list[Finding]:
    texts = []
    for same in duplicates(listing.files):
        if len({file.label for file in same}) > 1:
            more = ", in different classes: one of the labels is wrong"
        elif len({listing.is_test(file) for file in same}) > 1:
            more = ", in training and test: remove it from training"
        else:
            more = ": keep one of them, or it may be trained on and tested"
        named = names_of([file.path for file in same])
        texts.append(Finding("duplicates", f"{named} have the same content{more}"))
    return texts


def _of_classes(by_class: Mapping[str, tuple[int, int]]) -> list[Finding]:
    texts = []
    counts = {name: train for name, (train, _) in by_class.items()}
    if few := [f"{name} ({count})" for name, count in counts.items() if count < _FEW]:
        text = f"{', '.join(few)} have less than {_FEW} recordings: record more, or move the class away"
        texts.append(Finding("classes", text))
    least, most = min(counts.values()), max(counts.values())
    if most > _UNEQUAL * least:
        text = f"classes are unequal: {least:,} to {most:,} recordings; accuracy is then best read by class"
        texts.append(Finding("classes", text))
    if any(tests for _, tests in by_class.values()):
        lacking = [name for name, (_, tests) in by_class.items() if not tests]
        if lacking:
            texts.append(Finding("classes", f"{', '.join(lacking)} have no test recording"))
    return texts


def _of_groups(stems: Sequence[str]) -> list[Finding]:
    """A hint where every name begins with one of a few words, such as user01_."""
    matches = [_SUBJECT.match(stem) for stem in stems]
    groups = Counter(match[1] for match in matches if match)
    if not all(matches) or not 2 <= len(groups) <= len(stems) / 3:
        return []
    text = f"file names begin with {len(groups)} words ({', '.join(sorted(groups)[:3])}, ...): if these are persons or "
    return [Finding("groups", text + "sessions, data.group = '/([^_]+)_' keeps each in one part")]

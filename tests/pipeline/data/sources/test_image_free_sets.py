"""N-Cars, ASL-DVS and POKER-DVS: layouts, groups, and the frames of tonic on the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tonic
from loaded_sets import found
from set_folders import SETS

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.readers.recordings import read_events
from spikeport.pipeline.data.sources import pokerdvs
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.run.sections.data import Data


def parts_of(data: Data, cache: Path) -> dict[str, set[str]]:
    dataset = load_dataset(data, cache=cache)
    return {name: set(getattr(dataset, name).keys) for name in ("train", "validation", "test")}


def frames_of(data: Data, cache: Path) -> dict[str, np.ndarray]:
    dataset = load_dataset(data, cache=cache)
    parts = (dataset.train, dataset.validation, dataset.test)
    return {key: frame for part in parts for key, frame in zip(part.keys, np.asarray(part.frames), strict=True)}


def tonic_frames(events: np.ndarray, size: tuple[int, int, int], data: Data) -> np.ndarray:
    """What tonic bins: 1 where it counts an event; its windows begin at the first event."""
    one = np.zeros((data.steps, size[2], size[1], size[0]), np.uint8)
    made = tonic.transforms.ToFrame(sensor_size=size, time_window=data.step_us, include_incomplete=True)(events)
    made = made[: data.steps] > 0
    one[: len(made)] = made
    return one


# N-Cars


def test_ncars_takes_its_own_test_part(tmp_path: Path) -> None:
    data = SETS["ncars"](tmp_path)
    parts = parts_of(data, tmp_path / "cache")
    assert parts["test"] == {f"test/background/obj_{n:06}_td" for n in range(4)} | {
        f"test/cars/obj_{n:06}_td" for n in range(5)
    }
    assert len(parts["train"] | parts["validation"]) == 13
    assert "13 of the 15,422 train recordings and 9 of the 8,607 test recordings" in found(data).description


@pytest.mark.parametrize("names", [("n-cars_train/train", "n-cars_test/test"), ("n-cars_train", "n-cars_test"),
                                   ("ncars-train", "ncars-test")])  # fmt: skip
def test_ncars_folders_may_have_the_names_of_archives(tmp_path: Path, names: tuple[str, str]) -> None:
    data = SETS["ncars"](tmp_path)
    expected = load_dataset(data, cache=tmp_path / "cache").fingerprint
    for part, name in zip(("train", "test"), names, strict=True):
        shutil.move(tmp_path / "NCARS" / part, tmp_path / "moved")
        (tmp_path / "NCARS" / name).parent.mkdir(exist_ok=True)
        shutil.move(tmp_path / "moved", tmp_path / "NCARS" / name)
    assert load_dataset(data, cache=tmp_path / "cache").fingerprint == expected


def test_ncars_pixels_are_those_of_the_words_of_the_file(tmp_path: Path) -> None:
    data = SETS["ncars"](tmp_path)
    content = (tmp_path / "NCARS/test/cars/obj_000003_td.dat").read_bytes()
    frames = np.zeros((data.steps, 2, 25, 40), np.uint8)
    words = np.frombuffer(content[-480:], "<u4").reshape(60, 2).tolist()
    for time, word in words:
        step = (time - words[0][0]) // data.step_us
        if step < data.steps:
            frames[step, word >> 28 & 1, (word >> 14 & 0x3FFF) // 4, (word & 0x3FFF) // 3] = 1
    np.testing.assert_array_equal(frames_of(data, tmp_path / "cache")["test/cars/obj_000003_td"], frames)


def test_a_real_recording_of_ncars_is_read(tmp_path: Path, shared_data: Path) -> None:
    """2,009 events, as tonic's reader of the time had them: y from 0 on, at most 120 x 100."""
    data = SETS["ncars"](tmp_path)
    path = tmp_path / "NCARS/test/cars/obj_000099_td.dat"
    shutil.copy(shared_data / "samples" / "sample_ncars.dat", path)
    data = data.model_copy(update={"height": 100, "width": 120, "test": 0, "step_us": 10_000, "steps": 10})
    events = read_events(path)
    fields = np.zeros(len(events), [("t", int), ("x", int), ("y", int), ("p", int)])
    for name in "txyp":
        fields[name] = events[name]
    expected = tonic_frames(fields, (120, 100, 2), data)
    np.testing.assert_array_equal(frames_of(data, tmp_path / "cache")["test/cars/obj_000099_td"], expected)
    assert len(events) == 2_009


# ASL-DVS


def test_asldvs_persons_are_in_one_part(tmp_path: Path) -> None:
    data = SETS["asldvs"](tmp_path)
    for seed in range(4):
        parts = parts_of(data.model_copy(update={"split_seed": seed}), tmp_path / "cache")
        persons = {name: {key.split("/")[0] for key in keys} for name, keys in parts.items()}
        assert [len(each) for each in persons.values()] == [3, 1, 1]
        assert len(set.union(*persons.values())) == 5
    assert "5 persons, each in one part" in found(data).description


def test_asldvs_events_are_those_of_tonic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SETS["asldvs"](tmp_path).model_copy(update={"height": 180, "width": 240})
    monkeypatch.setattr(tonic.datasets.ASLDVS, "_check_exists", lambda self: True)
    theirs = tonic.datasets.ASLDVS(str(tmp_path))
    ours = frames_of(data, tmp_path / "cache")
    classes = found(data).classes
    labels = dict(zip(found(data).keys, found(data).labels.tolist(), strict=True))
    assert len(theirs) == len(ours) == 30
    for row, path in enumerate(theirs.data):
        key = str(Path(path).relative_to(tmp_path / "ASLDVS").with_suffix(""))
        events, target = theirs[row]
        np.testing.assert_array_equal(ours[key], tonic_frames(events[:, 0], theirs.sensor_size, data), err_msg=key)
        assert classes[labels[key]] == theirs.classes[target]


def test_asldvs_without_folders_of_persons_says_so(tmp_path: Path) -> None:
    data = SETS["asldvs"](tmp_path, persons=1)
    for letter in "aky":
        shutil.move(tmp_path / "ASLDVS/Yin1" / letter, tmp_path / "ASLDVS" / letter)
    raw = found(data)
    assert raw.groups is None
    assert "who shows a letter is not known" in raw.description
    for name in ("notes", "j", "Yin1_z"):
        (tmp_path / "ASLDVS" / name).mkdir()
        shutil.copy(tmp_path / "ASLDVS/a/a_0000.mat", tmp_path / "ASLDVS" / name / "0.mat")
        with pytest.raises(UserError, match=rf"{name}/0\.mat: this recording lies in no folder of a letter"):
            found(data)
        shutil.rmtree(tmp_path / "ASLDVS" / name)
    for person in ("Yin1", "Yin2"):
        (tmp_path / "ASLDVS" / f"{person}_b").mkdir()
        shutil.copy(tmp_path / "ASLDVS/a/a_0000.mat", tmp_path / "ASLDVS" / f"{person}_b" / "0.mat")
    raw = found(data)
    assert raw.classes == ("a", "b", "k", "y")
    assert "3 persons" in raw.description  # two, and those without a name


def test_sizes_that_whole_groups_cannot_have_are_refused(tmp_path: Path) -> None:
    data = SETS["asldvs"](tmp_path)
    with pytest.raises(
        UserError, match=r"data\.train: recordings of asldvs are split in whole groups.*leave train out"
    ):
        load_dataset(data.model_copy(update={"train": 5}), cache=tmp_path / "cache")


# POKER-DVS


def test_pokerdvs_sessions_are_in_one_part(tmp_path: Path) -> None:
    data = SETS["pokerdvs"](tmp_path)
    parts = parts_of(data, tmp_path / "cache")
    sessions = {name: {key[-2:] for key in keys} for name, keys in parts.items()}
    assert [len(each) for each in sessions.values()] == [3, 1, 2]
    assert len(set.union(*sessions.values())) == 6


def cards(shared_data: Path, **changes: object) -> Data:
    values = {
        "source": "pokerdvs", "root": str(shared_data), "height": 35, "width": 35, "steps": 10, "step_us": 2_000,
        "validation": 10, "test": 26,
    }  # fmt: skip
    return Data.model_validate(values | changes)


def test_the_real_cards_are_split_by_their_sessions(tmp_path: Path, shared_data: Path) -> None:
    """131 recordings in 15 sessions that pauses of more than 50 ms part, computed here in another way."""
    data = cards(shared_data)
    raw = found(data)
    assert (len(raw.keys), raw.classes) == (131, pokerdvs.CLASSES)
    files = {f"{path.parent.name}/{path.stem}": path for path in (shared_data / "POKERDVS/aedat").glob("*/*.aedat")}
    spans = sorted((*map(int, read_events(path)["t"][[0, -1]]), key) for key, path in files.items())
    session, number, end = {}, -1, -(10**9)
    for start, stop, key in spans:
        number += start - end > 50_000
        session[key], end = number, max(end, stop)
    assert number + 1 == 15
    assert raw.groups is not None
    assert dict(zip(raw.keys, raw.groups.tolist(), strict=True)) == session
    parts = parts_of(data, tmp_path / "cache")
    assert set.union(*parts.values()) == set(files)
    seen = [{session[key] for key in keys} for keys in parts.values()]
    assert sum(map(len, seen)) == 15
    assert len(parts["test"]) >= 26


def tonic_cards(shared_data: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tonic's own layout, from the folders of the shared copy."""
    for part in ("train", "test"):
        shutil.copytree(shared_data / "POKERDVS/npy" / part, root / "POKERDVS" / f"pips_{part}")
    monkeypatch.setattr(tonic.datasets.POKERDVS, "_check_exists", lambda self: True)


def test_the_real_cards_have_the_frames_of_tonic(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tonic's classes are cl, he, di, sp; ours are in the order of names."""
    tonic_cards(shared_data, tmp_path, monkeypatch)
    data = cards(tmp_path, split="official", validation=8, test=0)
    ours = frames_of(data, tmp_path / "cache")
    raw = found(data)
    labels = dict(zip(raw.keys, raw.labels.tolist(), strict=True))
    seen = 0
    for part in ("train", "test"):
        theirs = tonic.datasets.POKERDVS(str(tmp_path), train=part == "train")
        paths = [path for folder in [tmp_path / "POKERDVS" / f"pips_{part}"] for path in folder.glob("*/*.npy")]
        assert len(theirs) == len(paths)
        for events, target in theirs:
            names = [key for key in ours if key.startswith(part) and pokerdvs.CLASSES[labels[key]][:2] ==
                     theirs.classes[target]]  # fmt: skip
            frames = tonic_frames(events, theirs.sensor_size, data)
            assert sum(np.array_equal(ours[key], frames) for key in names) == 1
            seen += 1
    assert seen == len(ours) == 68
    assert raw.official_test is not None
    assert raw.official_test.sum() == 20


def test_tonics_parts_of_the_cards_share_their_sessions(shared_data: Path) -> None:
    """What the documentation says: each test recording has one of its session in the training part."""
    raw = found(cards(shared_data))
    assert raw.groups is not None
    session = {}
    for group, path in zip(raw.groups.tolist(), sorted_files(shared_data), strict=True):
        events = read_events(path)
        session[(events["x"].tobytes(), events["y"].tobytes())] = group
    seen = {}
    for part in ("train", "test"):
        tables = [np.load(path) for path in (shared_data / "POKERDVS/npy" / part).glob("*/*.npy")]
        seen[part] = [session[tuple(t[:, n].astype(np.int16).tobytes() for n in (1, 2))] for t in tables]
    assert len(seen["test"]) == 20
    assert set(seen["test"]) <= set(seen["train"])


def sorted_files(shared_data: Path) -> list[Path]:
    return [shared_data / "POKERDVS/aedat" / f"{key}.aedat" for key in found(cards(shared_data)).keys]


def test_the_real_cards_are_learned(tmp_path: Path, shared_data: Path, spikeport) -> None:
    """A few epochs on real recordings are better than a guess, on sessions that were not trained on."""
    code, _, err = spikeport(
        "train", "pokerdvs", "--epochs", "12", "--set", f"data.root={shared_data}", "--set", "quantization.epochs=1",
        "--out", "run", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert max(line.get("validation_accuracy", 0) for line in lines) > 0.5


@pytest.mark.parametrize("name", ["ncars", "asldvs", "pokerdvs"])
def test_images_are_refused(tmp_path: Path, name: str) -> None:
    data = SETS[name](tmp_path)
    with pytest.raises(UserError, match=r"data\.images: .* has no images"):
        SOURCES[name].load(data.model_copy(update={"images": "x"}), None)


@pytest.mark.parametrize(("name", "folder"), [("ncars", "NCARS/train/cars"), ("pokerdvs", "POKERDVS/heart")])
def test_other_classes_are_named(tmp_path: Path, name: str, folder: str) -> None:
    data = SETS[name](tmp_path)
    (tmp_path / folder).rename((tmp_path / folder).with_name("zebra"))
    with pytest.raises(UserError, match=r"zebra are here, not .*Hint: place recordings as|NCARS"):
        found(data)

"""Frames of counts hold the events that NumPy counts, up to the limit; nothing else about the data changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikeport.errors import UserError
from spikeport.pipeline.data.augmentation.augment import augment
from spikeport.pipeline.data.augmentation.events import drop_counted, drop_events
from spikeport.pipeline.data.describe import describe
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.preview import preview
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.run.sections.training import Augmentation
from spikeport.pipeline.stages.checks import check_recipe

STEPS, STEP_US, HEIGHT, WIDTH = 3, 40, 4, 5


def events_of(label: int, number: int) -> np.ndarray:
    rng = np.random.default_rng([label, number])
    events = np.zeros(300, [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"] = np.sort(rng.integers(0, 150, 300))
    events["t"][0] = 0
    events["x"], events["y"] = rng.integers(0, WIDTH, 300) ** 2 // WIDTH, rng.integers(0, HEIGHT, 300)
    events["p"] = rng.integers(0, 2, 300)
    return events


def recipe(root: Path, suffix: str = ".npy", **settings: object) -> Data:
    for label, name in enumerate("ab"):
        (root / "events" / name).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            events, path = events_of(label, number), root / "events" / name / f"{number}{suffix}"
            if suffix == ".npy":
                np.save(path, events)
                continue
            columns = zip(*(events[field].tolist() for field in "xypt"), strict=True)
            path.write_bytes(b"".join((x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for x, y, p, t in columns))
    values: dict[str, object] = {
        "source": "class-folders", "root": str(root), "events": "events", "steps": STEPS, "step_us": STEP_US,
        "height": HEIGHT, "width": WIDTH, "validation": 2, "test": 4,
    }  # fmt: skip
    return Data.model_validate(values | settings)


@pytest.mark.parametrize("suffix", [".npy", ".bin"])
@pytest.mark.parametrize("limit", [2, 5, 255])
def test_frames_hold_the_counts_of_the_events(tmp_path: Path, suffix: str, limit: int) -> None:
    data = recipe(tmp_path, suffix, counts=limit)
    for _ in range(2):  # made, and from the cache
        found = load_dataset(data, cache=tmp_path / "cache")
        for part in (found.train, found.validation, found.test):
            for row, key in enumerate(part.keys):
                events = events_of("ab".index(key[0]), int(key[2]))
                events = events[events["t"] < STEPS * STEP_US]
                expected = np.zeros((STEPS, 2, HEIGHT, WIDTH), np.int64)
                np.add.at(expected, (events["t"] // STEP_US, events["p"], events["y"], events["x"]), 1)
                assert expected.max() > 5
                np.testing.assert_array_equal(part.frames[row], np.minimum(expected, limit))
                assert part.frames[row].dtype == np.uint8
    binary = load_dataset(data.model_copy(update={"counts": 0}), cache=tmp_path / "cache")
    np.testing.assert_array_equal(np.asarray(binary.train.frames), np.asarray(found.train.frames) > 0)
    assert binary.fingerprint != found.fingerprint
    assert binary.train.keys == found.train.keys
    facts, plain = describe(found), describe(binary)
    assert facts["description"] == plain["description"] + f"; frames of counts up to {limit}"
    assert facts["splits"] == plain["splits"]
    assert facts["window"] == plain["window"]
    preview(found, tmp_path / "counts.png", 2)
    preview(binary, tmp_path / "binary.png", 2)


def test_windows_of_counts(tmp_path: Path) -> None:
    found = load_dataset(recipe(tmp_path, counts=9, train_windows=2, steps=2), cache=tmp_path / "cache")
    name, number = found.train.keys[1].partition("#")[0].split("/")
    events = events_of("ab".index(name), int(number))
    begin = int(events["t"][-1]) + 1 - 2 * STEP_US
    expected = np.zeros((2, 2, HEIGHT, WIDTH), np.int64)
    used = events[events["t"] >= begin]
    np.add.at(expected, ((used["t"] - begin) // STEP_US, used["p"], used["y"], used["x"]), 1)
    np.testing.assert_array_equal(found.train.frames[1], np.minimum(expected, 9))


def test_each_event_of_a_count_is_dropped_by_itself() -> None:
    frames = torch.randint(0, 5, (3, 40, 2, 6, 7), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    shares = torch.full((40,), 0.25)
    left = drop_counted(frames, shares, torch.Generator().manual_seed(2))
    assert left.dtype == torch.uint8
    assert (left <= frames).all()
    fours = left[frames == 4].double()
    assert fours.mean().item() == pytest.approx(3.0, abs=0.06)  # of a binomial of 4 and 3/4, over 2,000 pixels
    assert fours.var().item() == pytest.approx(0.75, abs=0.08)
    ones = (frames > 2).to(torch.uint8)
    same = [drop(ones, shares, torch.Generator().manual_seed(3)) for drop in (drop_counted, drop_events)]
    assert torch.equal(*same)
    settings = Augmentation(shift=0, event_drop=0.5)
    through = augment(frames, settings, torch.Generator().manual_seed(4), counts=True)
    assert set(through[frames == 4].tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"distillation": {"method": "synthetic-events"}}, "synthetic-events does not take frames of counts"),
        ({"distillation": {"method": "he2024"}}, "he2024 does not take frames of counts.*use baseline, ckdsnn"),
        ({"augmentation": {"noise": 0.1, "time_jitter": 0.1}}, r"augmentation\.time_jitter and augmentation\.noise"),
        ({"student": {"network": "mlp", "hidden": 16}, "data": {"counts": 200}}, "data.counts to at most 42"),
        ({"data": {"counts": 1}}, "counts = 1 is frames of 0 and 1"),
    ],
)
def test_what_cannot_take_counts_is_refused_by_name(sections: dict, words: str) -> None:
    values = {"distillation": {"method": "baseline"}, **sections}
    values["data"] = {"height": 28, "width": 28, "counts": 7, **sections.get("data", {})}
    with pytest.raises(UserError, match=words):
        check_recipe(parse_recipe(values, where="r"), for_netx=True)


def test_the_method_alone_is_no_reason_to_refuse_counts() -> None:
    for method in ("baseline", "tser"):
        values = {"data": {"counts": 7}, "distillation": {"method": method}}
        assert check_recipe(parse_recipe(values, where="r"), for_netx=True)


def framed(data: Data) -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(3)
    return [(rng.integers(0, 9, (STEPS, 2, HEIGHT, WIDTH)), row % 2) for row in range(12)]


def real(data: Data) -> list[tuple[np.ndarray, int]]:
    return [(values / 2, label) for values, label in framed(data)]


def test_ready_frames_keep_their_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    data = recipe(tmp_path, counts=4, source="test_count_frames:framed", events="")
    found = load_dataset(data, cache=tmp_path / "cache").test
    for row, key in enumerate(found.keys):
        np.testing.assert_array_equal(found.frames[row], np.minimum(framed(data)[int(key)][0], 4))
    with pytest.raises(
        UserError, match=r"the frames of item 000000 are not counts: they are float64 from 0\.0 to 4\.0"
    ):
        load_dataset(data.model_copy(update={"source": "test_count_frames:real"}), cache=tmp_path / "cache")

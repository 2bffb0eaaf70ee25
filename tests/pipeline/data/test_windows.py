"""How recordings fit the window and the sensor is counted, said, and warned of; what is useless is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_folders import CLASSES, EACH, HEIGHT, WIDTH, data, with_pictures, write_picture
from html_page import Page
from report_example import example_inputs
from set_folders import SETS
from spike_trains import write_trains

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, bin_recordings
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.windows import period, window_of
from spikeport.pipeline.report.content.window_words import sentence
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report
from spikeport.pipeline.run.sections.data import Data


def test_the_facts_of_a_recording_by_hand() -> None:
    """Steps of 10 us from 100 on: five events in the first, two in the third, one after the last."""
    rows = [(100, 4, 3, 1), (100, 1, 1, 0), (101, 1, 2, 0), (102, 2, 2, 0), (109, 3, 2, 0)]
    rows += [(120, 1, 1, 1), (129, 1, 1, 1), (777, 2, 2, 0)]
    events = np.array([(x, y, t, p) for t, x, y, p in rows], EVENT_DTYPE)
    binning = Binning(steps=4, step_us=10, height=4, width=6)
    found = bin_recordings([Recording(events=events, sensor=(4, 6), label=0, key="r", late_us=3)], 1, binning).facts[0]
    expected = {
        "events": 8, "in_window": 7, "on": 3, "duration_us": 677, "core_start_us": 0, "core_us": 677,
        "x_min": 1, "x_max": 4, "y_min": 1, "y_max": 3, "empty": 2, "late_us": 3,
    }  # fmt: skip
    assert {name: int(found[name]) for name in found.dtype.names} == expected


def test_the_core_leaves_out_a_hundredth_at_both_ends() -> None:
    t = np.concatenate([[0, 5], 1000 + np.arange(196), [9000, 9999]])
    events = np.zeros(200, EVENT_DTYPE)
    events["t"] = t
    binning = Binning(steps=4, step_us=10, height=4, width=6)
    found = bin_recordings([Recording(events=events, sensor=(4, 6), label=0, key="r")], 1, binning).facts[0]
    assert (found["core_start_us"], found["core_us"]) == (t[2], t[197] - t[2])


def of_events(root: Path, events: np.ndarray, **settings: object) -> Data:
    """Six recordings of these events, in three classes, with pictures."""
    for name in CLASSES:
        for i in range(2):
            path = root / "events" / name / f"{i}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, events)
            write_picture(root / "pictures" / name / f"{i}.png", 20 * i)
    values = {
        "images": "pictures",
        "height": 16,
        "width": 16,
        "steps": 10,
        "step_us": 10_000,
        "validation": 0,
        "test": 3,
    }
    return data(root, **values | settings)


def described(root: Path, recipe: Data) -> dict:
    found = window_of(load_dataset(recipe, cache=root / "cache"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "inside", "empty", "words"),
    [
        ("us", 1.0, 0.0, None),
        ("ms", 1.0, 0.9, "the median recording lasts 97 us: are its times in ms? Then it lasts 97 ms"),
        ("ns", 0.002, 0.9, "are its times in ns? Then it lasts 97"),
        ("long", 0.02, None, "the median recording lasts 4.86"),
        ("hot", 0.002, 0.9, "nearly all events begin 10 s after the first one"),
    ],
)
def test_units_lengths_and_noise_are_said(
    cases: Path, tmp_path: Path, name: str, inside: float, empty: float | None, words: str | None
) -> None:
    events = np.load(cases / f"times-{name}.npy")
    found = described(tmp_path, of_events(tmp_path, events))
    fraction = np.mean(events["t"] - events["t"][0] < 100_000)
    assert found["inside"] == pytest.approx(fraction)
    assert found["inside"] == pytest.approx(inside, abs=0.015)
    long = int(events["t"][-1] - events["t"][0])
    assert found["duration_us"] == {"least": long, "median": long, "most": long}
    if empty is not None:
        assert found["empty_frames"] == pytest.approx(empty)
    assert found["box"] == {"x": [0, 15], "y": [0, 15]}
    assert found["on"] == pytest.approx(events["p"].mean())
    assert len(found["warnings"]) == (words is not None)
    if words:
        assert words in found["warnings"][0]


def test_a_useless_window_is_refused_by_a_run_and_shown_by_info(cases: Path, tmp_path: Path, spikeport) -> None:
    recipe = tmp_path / "a.toml"
    settings = of_events(tmp_path, np.load(cases / "times-ns.npy"))
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.model_dump(exclude_none=True).items()]
    recipe.write_text("[data]\n" + "\n".join(lines) + '\n[distillation]\nmethod = "baseline"\n[check]\nbackends = []\n')
    code, out, err = spikeport("data", "info", recipe, "--json")
    assert code == 0
    assert json.loads(out)["window"]["inside"] == pytest.approx(0.002)
    assert "warning: the window of 100 ms (data.steps x data.step_us) holds 0.20% of the events" in err
    code, out, err = spikeport("train", recipe, "--out", tmp_path / "run")
    assert code == 2
    assert "data.steps, data.step_us: the window contains almost no events of the recordings: " in err
    assert "are its times in ns?" in err.splitlines()[-1]


def test_a_few_poor_recordings_are_counted(tmp_path: Path) -> None:
    recipe = with_pictures(tmp_path)
    path = tmp_path / "events" / "bee" / "003.npz"
    t = np.concatenate([[0], 1_000_000 + np.arange(299)])
    np.savez(path, t=t, x=np.arange(300) % WIDTH, y=np.arange(300) % HEIGHT, p=np.arange(300) % 2)
    [warning] = described(tmp_path, recipe)["warnings"]
    assert warning.startswith(
        f"1 of {3 * EACH} recordings have less than 1% of their events inside the window of 50 us"
    )


def test_sorting_is_said(tmp_path: Path) -> None:
    recipe = with_pictures(tmp_path)
    path = tmp_path / "events" / "bee" / "003.npz"
    np.savez(path, t=[0, 30, 7, 40], x=[1, 2, 3, 0], y=[0, 5, 2, 1], p=[0, 1, 0, 1])
    with pytest.raises(UserError, match=r"003\.npz: time runs backwards: event 2 is at 7 us.*data\.sort"):
        described(tmp_path, recipe)
    recipe = recipe.model_copy(update={"sort": True})
    [warning] = described(tmp_path, recipe)["warnings"]
    assert warning == (
        "1 of 24 recordings had events out of order and were sorted (data.sort); the largest step back was 23 us"
    )


def test_positions_outside_the_sensor_are_refused(tmp_path: Path) -> None:
    events = np.zeros(40, EVENT_DTYPE)
    events["t"], events["p"] = 2500 * np.arange(40), 1
    events["x"], events["y"] = 1 + np.arange(40) % 14, 1 + np.arange(40) % 15
    one = described(tmp_path / "a", of_events(tmp_path / "a", events))["warnings"]
    assert one == [
        "all events lie in x 1 to 14, y 1 to 15 of 16 x 16 pixels: do the coordinates count from 1? Then set "
        "data.sensor = [17, 17] and data.crop = [1, 1, 16, 16], or subtract 1",
        "all events are ON: is polarity lost?",
    ]
    recipe = of_events(tmp_path / "b", events, height=40, width=30)
    assert (
        "x 1 to 14, y 1 to 15 of 30 x 40 pixels: is the sensor smaller"
        in described(tmp_path / "b", recipe)["warnings"][0]
    )


def test_outside_the_sensor_the_likely_reason_is_named(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events["x"], events["y"] = [1, 5, 2], [3, 1, 8]
    with pytest.raises(UserError, match="seem to be swapped"):
        described(tmp_path, of_events(tmp_path, events, height=6, width=9))
    with pytest.raises(UserError, match="seem to count from 1"):
        described(tmp_path, of_events(tmp_path, events, height=8, width=6))
    with pytest.raises(
        UserError, match=r"all events lie in x = 1 to 5, y = 1 to 8.*to the sensor's size, or data\.sensor ="
    ):
        described(tmp_path, of_events(tmp_path, events, height=4, width=4))


def test_reading_settings_are_for_class_folders_and_change_the_frames(tmp_path: Path) -> None:
    recipe = with_pictures(tmp_path)
    plain = load_dataset(recipe, cache=tmp_path / "cache")
    turned = load_dataset(recipe.model_copy(update={"orientation": "mirror-x"}), cache=tmp_path / "cache")
    np.testing.assert_array_equal(turned.test.frames, plain.test.frames[..., ::-1])
    for setting in ({"orientation": "dvs128"}, {"columns": "txyp"}, {"sort": True}):
        with pytest.raises(ValueError, match="is for source class-folders"):
            Data.model_validate({"source": "nmnist", **setting})
    with pytest.raises(ValueError, match="columns must name t, x, y and p"):
        Data.model_validate({"source": "class-folders", "columns": "txy"})


def test_old_caches_are_made_anew(tmp_path: Path) -> None:
    """The frames file of an older layout has the same name pattern, and is never taken."""
    recipe = with_pictures(tmp_path)
    first = load_dataset(recipe, cache=tmp_path / "cache")
    for path in (tmp_path / "cache").glob("frames-*.bits"):
        whole = path.read_bytes()
        path.write_bytes(whole[:64] + whole[64 + 88 * 3 * EACH :])  # counts alone in place of the facts
    again = load_dataset(recipe, cache=tmp_path / "cache")
    np.testing.assert_array_equal(again.train.facts, first.train.facts)
    assert again.train.facts is not None
    assert (again.train.facts["events"] == 30).all()


def test_the_sentence_of_the_page() -> None:
    found = {
        "window_us": 300_000, "duration_us": {"least": 20_100, "median": 303_500.0, "most": 2_000_000},
        "inside": 0.98123,
        "empty_frames": 0.003, "box": {"x": [0, 33], "y": [1, 32]}, "on": 0.51, "warnings": [],
    }  # fmt: skip
    assert sentence(found) == (
        "Recordings last 20.1 to 2,000 ms, median 303.5 ms; the window of 300 ms holds 98.1 % of their events, and "
        "0.3 % of all frames are empty. Events lie in x 0 to 33 and y 1 to 32; 51.0 % are ON."
    )
    assert sentence(None) == ""


def test_report_and_page_say_how_the_window_fits() -> None:
    report = build_report(example_inputs())
    assert report["dataset"]["window"]["inside"] == 0.48123
    for page in (Page(render_html(report)).text, render_markdown(report)):
        assert "Recordings last 20.1 to 2,000 ms, median 303.5 ms; the window of 300 ms holds 48.1 % of their" in page
        assert "Warning: the window of 300 ms" in page
    unknown = build_report(replace(example_inputs(), window=None))
    assert unknown["dataset"]["window"] is None
    assert "Recordings last" not in Page(render_html(unknown)).text + render_markdown(unknown)


def test_periods() -> None:
    assert [period(us) for us in (0, 97, 99_904, 4_862_000)] == ["0 us", "97 us", "99.9 ms", "4.862 s"]


def test_channels_have_a_range_and_no_polarity(tmp_path: Path) -> None:
    """All spikes lie in channels 20 to 99 of 700: fewer than a quarter."""
    data = SETS["shd"](tmp_path)
    facts = window_of(load_dataset(data, cache=tmp_path / "cache"))
    assert facts is not None
    assert (facts["box"], facts["on"], facts["warnings"]) == ({"channel": [0, 699]}, None, [])
    words = sentence(facts)
    assert words.endswith("% of all frames are empty. Events lie in channel 0 to 699.")
    times = np.linspace(0, 0.5, 80).astype(np.float32)
    train = (times, np.arange(20, 100, dtype=np.uint16))
    write_trains(tmp_path / "SHD" / "shd_test.h5", [train] * 8, [0] * 8, [1] * 8)
    write_trains(tmp_path / "SHD" / "shd_train.h5", [train] * 8, [0, 1] * 4, [1] * 8)
    facts = window_of(load_dataset(data, cache=tmp_path / "cache"))
    assert facts is not None
    assert facts["box"] == {"channel": [20, 99]}
    assert facts["warnings"] == ["all events lie in channels 20 to 99 of 700: are there fewer (data.channels)?"]


def test_ready_frames_that_are_mostly_empty_are_not_told_of_times(tmp_path: Path) -> None:
    """They state none: a lower step_us would change nothing."""
    recipe = with_pictures(tmp_path)
    for label, name in enumerate(CLASSES):
        for n in range(EACH):
            frames = np.zeros((5, 2, HEIGHT, WIDTH), np.uint8)
            frames[1] = np.random.default_rng([label, n]).random(frames[1].shape) < 0.5
            path = tmp_path / "shots" / name / f"{n:03}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, frames)
    [warning] = described(tmp_path, recipe.model_copy(update={"events": "shots", "recordings": "frames"}))["warnings"]
    assert warning == (
        "more than half of the frames are empty in most recordings (80.0% of all frames); bin events into fewer, "
        "longer frames"
    )

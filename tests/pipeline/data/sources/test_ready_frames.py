"""Recordings that are frames already: arrays and folders of pictures give exactly the frames that were stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_inputs import one_line
from PIL import Image
from ready_frames import (
    HEIGHT,
    IN_COLOR,
    JPEG,
    OF_COUNTS,
    ON_127,
    ON_BLACK,
    ON_GRAY,
    ON_WHITE,
    ORANGE,
    STEPS,
    TRANSPARENT,
    WHITE_COLOR,
    WIDTH,
    Write,
    counts,
    frames_of,
    loaded,
    npy,
    npz,
    on_only,
    recipe,
    same,
    signed,
    written,
)

import spikeport as sp
from spikeport import notes
from spikeport.pipeline.data.frames.binning import Binning, bin_recording
from spikeport.pipeline.data.sources.class_folders import read_file
from spikeport.pipeline.data.sources.event_files import EventFile


@pytest.fixture(autouse=True)
def nothing_was_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_printed", set())


COUNTED = "note: frames hold counts: every value above 0 is taken as 1; data.counts keeps them"
ALL_ON = "note: frames have one channel and no negative value: all events are taken as ON"
RED = "note: frames are pictures in color: red is taken as OFF, green as ON"
GRAYS = "note: frames are gray pictures: darker than the background is taken as OFF, brighter as ON"
READ: dict[str, tuple[Write, Callable[[np.ndarray], np.ndarray], str]] = {
    "bool [T, 2, H, W]": (npy(lambda f: f), np.copy, ""),
    "uint8 in Fortran order": (npy(lambda f: np.asfortranarray(f.astype(np.uint8))), np.copy, ""),
    "counts, int16 as tonic": (npy(lambda f: counts(f).astype(np.int16)), np.copy, COUNTED),
    "counts, float32": (npy(lambda f: counts(f).astype(np.float32)), np.copy, COUNTED),
    "npz": (npz(), np.copy, ""),
    "npz with a label": (npz(label=3), np.copy, ""),
    "[T, 1, H, W]": (npy(lambda f: f.any(axis=1, keepdims=True)), on_only, ALL_ON),
    "[T, H, W]": (npy(lambda f: f.any(axis=1)), on_only, ALL_ON),
    "[T, H, W] of -1, 0 and 1": (npy(signed), np.copy, ""),
    "[T, 1, H, W] of -1, 0 and 1": (npy(lambda f: signed(f)[:, None]), np.copy, ""),
    "red and green": (IN_COLOR, np.copy, RED),
    "red and green, one count": (OF_COUNTS, np.copy, RED),
    "red and green, with alpha": (TRANSPARENT, np.copy, RED),
    "gray on 128": (ON_GRAY, np.copy, GRAYS),
    "gray on 127, off by one": (ON_127, np.copy, GRAYS),
    "gray on 128, JPEG": (JPEG, np.copy, GRAYS),
    "gray on black": (ON_BLACK, on_only, "note: frames are gray pictures on black: what is not black is taken as ON"),
}
ONE_OF_BOTH = ("-1, 0", "gray on 12")  # what cannot show both in one pixel


@pytest.mark.parametrize("name", READ)
def test_frames_are_read_as_stored(spikeport, name: str) -> None:
    write, change, note = READ[name]
    expected = written(Path("mine"), write, both=not any(words in name for words in ONE_OF_BOTH))
    code, out, err = spikeport("data", "info", recipe(), "--json")
    assert code == 0
    lost = change is on_only
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert notes == ([note] if note else [])
    assert ("all events are ON" in err.replace(note, "")) == lost
    assert json.loads(out)["frames"]["steps"] == STEPS
    assert "of ready frames in 3 classes" in json.loads(out)["description"]
    assert same(loaded(), {key: change(frames) for key, frames in expected.items()})


REFUSED: dict[str, tuple[Write, dict[str, Any], tuple[str, ...]]] = {
    "other steps": (npy(lambda f: f[1:]), {}, ("it has 4 frames, and data.steps is 5", "set data.steps = 4")),
    "other size": (npy(lambda f: f), {"height": WIDTH, "width": HEIGHT},
                   ("its frames are 12 high and 17 wide", "set data.height = 12 and data.width = 17",
                    "data.sensor = [17, 12]")),
    "channels last": (npy(lambda f: np.moveaxis(f, 1, 3)), {}, ("numpy.moveaxis(frames, 3, 1)",)),
    "a batch": (npy(lambda f: f[None]), {}, ("store one recording in each file",)),
    "an image": (npy(lambda f: f[0, 0]), {}, ("store frames as [T, 2, H, W]", 'leave data.recordings = "events"')),
    "negative counts": (npy(lambda f: -counts(f)), {}, ("two channels with negative values, down to -3",)),
    "not finite": (npy(lambda f: np.where(f, np.nan, 0)), {}, ("not finite", "store 0 where no event fell")),
    "a gray film": (npy(lambda f: f[:, 0] + 50), {}, ("these frames are not those of events", "100% of its pixels")),
    "events": (npy(lambda f: np.zeros(9, [(n, int) for n in "txyp"])), {}, ('leave data.recordings = "events"',)),
    "pickled": (npy(lambda f: np.array([f], object)), {}, ("Python objects, which are never unpickled",)),
    "several arrays": (lambda path, f: np.savez(path.with_suffix(".npz"), a=f, b=f), {},
                       ("found the arrays a, b", "or as 'frames'")),
    "empty": (npy(lambda f: f & False), {}, ("it holds no event",)),
    "white background": (ON_WHITE, {}, ("background is white", "draw events on black, or on a gray of 128")),
    "white and colors": (WHITE_COLOR, {}, ("background is white with colored parts",)),
    "blue and orange": (ORANGE, {}, ("pictures on black with blue parts", "OFF in red and ON in green")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_frames_of_unknown_meaning_are_refused_with_the_way_out(spikeport, name: str) -> None:
    write, settings, words = REFUSED[name]
    if "pickled" in name:
        np_save = np.save
        write = lambda path, f: np_save(path.with_suffix(".npy"), np.array([f], object), allow_pickle=True)  # noqa: E731
    written(Path("mine"), write)
    code, out, err = spikeport("data", "info", recipe(**settings))
    assert (code, out) == (2, "")
    for word in ("mine/circle/rec.0", "Hint: ", *words):
        assert word in one_line(err)


@pytest.mark.parametrize("most", [2, 15])
def test_counts_are_kept_where_the_recipe_asks_for_them(spikeport, most: int) -> None:
    expected = written(Path("mine"), npy(lambda f: counts(f).astype(np.int16)))
    code, _, err = spikeport("data", "info", recipe(counts=most))
    assert (code, err) == (0, "")
    assert same(loaded(), {key: np.minimum(counts(frames), most) for key, frames in expected.items()})


def test_signed_counts_of_one_channel_are_kept(spikeport) -> None:
    expected = written(Path("mine"), npy(lambda f: 3 * signed(f).astype(np.int64)), both=False)
    recipe(counts=15)
    assert same(loaded(), {key: 3 * frames for key, frames in expected.items()})


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (IN_COLOR, "these frames are not counts: pictures hold colors"),
        (npy(lambda f: f * 0.5), "these frames are not counts: they are float64 from 0.0 to 0.5"),
        (npy(lambda f: -counts(f)), "these frames are not counts: they are int64 from -3 to 0"),
    ],
)
def test_what_is_no_count_is_refused_where_counts_are_asked_for(spikeport, write: Write, words: str) -> None:
    written(Path("mine"), write)
    code, _, err = spikeport("data", "info", recipe(counts=15))
    assert code == 2
    assert words in one_line(err)
    assert "leave data.counts out" in err


def _gap() -> None:
    Path("mine/ring/rec.1/frame9.png").unlink()


def _odd_size() -> None:
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save("mine/ring/rec.1/frame9.png")


def _broken() -> None:
    Path("mine/ring/rec.1/frame9.png").write_bytes(b"\x89PNG no more")


def _empty_folder() -> None:
    for path in Path("mine/ring/rec.1").iterdir():
        path.unlink()


def _flat() -> None:
    Path("mine/ring/rec.1/frame9.png").rename("mine/ring/frame9.png")


def _other_file() -> None:
    Path("mine/ring/notes.pdf").write_text("x")


def _same_id() -> None:
    np.save("mine/ring/rec.1.npy", frames_of(0, 0))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_gap, ("mine/ring/rec.1: ", "no picture 9 after frame8.png", "number the pictures without gaps")),
        (_odd_size, ("pictures of 17 x 12 and, in frame9.png, of 18 x 12",)),
        (_broken, ("mine/ring/rec.1/frame9.png: this picture cannot be read",)),
        (_empty_folder, ("mine/ring/rec.1: ", "no picture", "0.png, 1.png")),
        (_flat, ("mine/ring/frame9.png: a picture is one frame", "mine/ring/<id>/<n>.png")),
        (_other_file, ("no reader of frames for notes.pdf", "<class>/<id>.npy")),
        (_same_id, ("two recordings have the same id",)),
    ],
)
def test_damaged_folders_of_pictures_are_named(spikeport, damage: Callable[[], None], words: tuple[str, ...]) -> None:
    written(Path("mine"), IN_COLOR)
    damage()
    code, _, err = spikeport("data", "info", recipe())
    assert code == 2
    for word in (*words, "Hint: "):
        assert word in one_line(err)


def test_a_changed_picture_is_read_again(spikeport) -> None:
    expected = written(Path("mine"), IN_COLOR)
    recipe()
    assert same(loaded(), expected)
    IN_COLOR(Path("mine", "new"), expected["ring/rec.1"])
    path = Path("mine/ring/rec.0/frame9.png")
    path.write_bytes(Path("mine/new/frame9.png").read_bytes())
    for file in Path("mine/new").iterdir():
        file.unlink()
    Path("mine/new").rmdir()
    changed = expected["ring/rec.0"].copy()
    changed[2] = expected["ring/rec.1"][2]
    assert same(loaded(), expected | {"ring/rec.0": changed})


def test_frames_of_a_larger_sensor_are_scaled_and_cropped(spikeport) -> None:
    """Row y of a crop of 10 rows becomes y * 5 // 10, column x of 12 becomes x * 4 // 12."""
    expected = written(Path("mine"), npy(lambda f: f))
    recipe(sensor=[WIDTH, HEIGHT], crop=[3, 2, 12, 10], height=5, width=4)
    small = {}
    for key, frames in expected.items():
        part = frames[:, :, 2:12, 3:15].reshape(STEPS, 2, 5, 2, 4, 3)
        small[key] = part.any(axis=(3, 5))
    assert same(loaded(), small)


@pytest.mark.parametrize(
    "more", [{"window": "last"}, {"time_unit": "ms"}, {"sort": True}, {"orientation": "transpose"}]
)
def test_settings_of_events_are_refused(spikeport, more: dict[str, Any]) -> None:
    written(Path("mine"), npy(lambda f: f))
    code, _, err = spikeport("data", "info", recipe(**more))
    assert code == 2
    assert f"{next(iter(more))} is for events" in one_line(err)


@pytest.mark.parametrize("write", [npy(lambda f: f), IN_COLOR])
def test_a_new_recording_is_read_as_those_of_the_set(spikeport, write: Write) -> None:
    """As `predict` reads it: the first frame is empty, and time zero is not the first event."""
    expected = written(Path("mine"), write)
    data = sp.load_recipe(recipe()).data
    binning = Binning(steps=STEPS, step_us=data.step_us, height=HEIGHT, width=WIDTH)
    for path in Path("mine", "ring").iterdir():
        recording = read_file(data, EventFile(path=path, label=0, key="new"))
        key = f"ring/{path.name.removesuffix('.npy')}"
        np.testing.assert_array_equal(bin_recording(recording, binning), expected[key])


def test_frames_that_are_called_events_lead_to_the_setting(spikeport) -> None:
    written(Path("mine"), npy(lambda f: f))
    code, _, err = spikeport("data", "info", recipe(recordings="events"))
    assert code == 2
    assert 'set data.recordings = "frames"' in one_line(err)

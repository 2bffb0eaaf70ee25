"""`data look`: numbers, picture and animation of one recording, against values that are known by construction."""

import json

import numpy as np
import pytest
from cli_inputs import one_line
from own_recordings import columns_of, write_csv, write_npy, write_table
from PIL import Image

import spikeport as sp
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.own_data.pictures import shaded, window_counts
from spikeport.pipeline.data.preview import PALETTE


def events_of(*rows):
    """Rows of t, x, y, p."""
    found = np.zeros(len(rows), EVENT_DTYPE)
    for number, row in enumerate(rows):
        for name, value in zip("txyp", row, strict=True):
            found[number][name] = value
    return found


def test_events_are_counted_in_windows_of_equal_duration():
    """Times 10 to 21 in three windows of 4: 10..13, 14..17, 18..21."""
    events = events_of((10, 0, 0, 1), (13, 0, 0, 1), (14, 2, 1, 0), (17, 1, 0, 1), (18, 2, 1, 1), (21, 2, 1, 1))
    counts = window_counts(events, 3, (2, 3))
    expected = np.zeros((3, 2, 2, 3), int)
    expected[0, 1, 0, 0] = 2
    expected[1, 0, 1, 2] = 1
    expected[1, 1, 0, 1] = 1
    expected[2, 1, 1, 2] = 2
    assert np.array_equal(counts, expected)


def test_colors_are_those_of_the_preview():
    """No event, OFF alone and ON alone at the largest count, and a quarter of it at half the brightness."""
    counts = np.zeros((2, 1, 4), int)
    counts[0, 0, 1] = counts[1, 0, 2] = 4
    counts[1, 0, 3] = 1
    none, off, on, _ = PALETTE
    assert np.allclose(shaded(counts)[0], [none, off, on, none + (on - none) / 2])


def test_pixels_of_a_large_sensor_are_joined(tmp_path):
    """A sensor of 1,280 x 720 in squares of 2 x 2: the last event of the corner is in the corner of 640 x 360."""
    rows = [(0, 0, 0, 1), (1_000, 1279, 719, 1)] + [(10 * n, 600, 300, n % 2) for n in range(90)]
    np.save(tmp_path / "one.npy", np.sort(events_of(*rows), order="t"))
    sp.describe_recording(tmp_path / "one.npy", gif=tmp_path / "one.gif", picture=tmp_path / "one.png")
    with Image.open(tmp_path / "one.gif") as animation:
        assert animation.size == (640, 360)
        animation.seek(animation.n_frames - 1)
        corner = np.asarray(animation.convert("RGB"))[-1, -1]
    assert corner[0] > 100 > corner[2]  # orange


def test_numbers_of_a_recording(spikeport, tmp_path):
    columns = columns_of(7)
    write_csv(tmp_path / "one", columns | {"t": columns["t"] // 1000, "p": 2 * columns["p"] - 1})
    code, out, err = spikeport("data", "look", "one.csv", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["format"], found["events"], found["duration_us"]) == (".csv", 1500, 300_000)
    assert found["time_unit"] == {"unit": "ms", "stated": False}
    assert found["events_per_s"] == pytest.approx(5000)
    assert found["box"] == {"x": [0, 63], "y": [0, 47]}
    assert found["polarity"] == {"codes": [-1, 1], "on": float(columns["p"].mean())}
    assert (found["sorted"], found["columns"]) == (True, None)
    assert found["unknown"][0].startswith("the unit of time: ms is assumed")
    _, out, _ = spikeport("data", "look", "one.csv")
    assert "duration 300 ms, if times are in ms" in " ".join(out.split())


def test_what_is_assumed_is_said_and_the_events_are_put_right(tmp_path):
    columns = columns_of(7)
    turned = {name: np.roll(column, 10) for name, column in columns.items()}
    write_table(tmp_path / "one", turned | {"x": turned["x"] + 1, "y": turned["y"] + 1})
    found = sp.describe_recording(tmp_path / "one.npy")
    text = " ".join(repr(found).split())
    assert "not sorted by time, by up to 300 ms" in text
    assert 'the order of the columns: "xypt" is assumed' in text
    assert "whether coordinates count from 1: it is assumed" in text
    assert found.events["t"].tolist() == columns["t"].tolist()
    places = sorted(zip(*(columns[name].tolist() for name in "txyp"), strict=True))
    assert sorted(tuple(int(each[name]) for name in "txyp") for each in found.events) == places


def test_picture_and_animation_are_written_and_replace_only_their_kind(spikeport, tmp_path):
    write_npy(tmp_path / "one", columns_of(7))
    for _ in range(2):
        code, out, _ = spikeport("data", "look", "one.npy", "--out", "one.png", "--gif", "one.gif")
        assert code == 0
        assert out.splitlines()[-2:] == ["one.png", "one.gif"]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size[0] > 3 * picture.size[1]  # six pictures of 64 x 48 beside each other
    with Image.open(tmp_path / "one.gif") as animation:
        assert (animation.n_frames, animation.size) == (24, (256, 192))
    before = (tmp_path / "one.npy").read_bytes()
    code, _, err = spikeport("data", "look", "one.npy", "--gif", "one.npy")
    assert code == 2
    assert "one.npy: this is the file that is read" in one_line(err)
    (tmp_path / "other.gif").write_bytes(b"GIF89a of someone")
    code, _, err = spikeport("data", "look", "one.npy", "--gif", "other.gif")
    assert code == 2
    assert "other.gif: this file exists and is not an animation" in one_line(err)
    assert (tmp_path / "one.npy").read_bytes() == before
    assert (tmp_path / "other.gif").read_bytes() == b"GIF89a of someone"


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("none.npy", None, "none.npy: no such file"),
        ("cut.npy", b"\x93NUMPY\x01\x00", "cut.npy: this event file cannot be read"),
        ("one.xyz", b"1", "one.xyz: no reader for .xyz"),
    ],
)
def test_what_is_no_recording_is_refused(spikeport, tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, out, err = spikeport("data", "look", name, "--out", "one.png")
    assert (code, out) == (2, "")
    assert text in one_line(err)
    assert not (tmp_path / "one.png").exists()


LOOK = """
[data]
source = "class-folders"
root = "."
events = "none"
sensor = [48, 64]
crop = [0, 16, 48, 32]
orientation = "rotate-90"
width = 12
height = 8
steps = 4
step_us = 50_000
"""


def test_a_file_as_a_recipe_reads_it(spikeport, tmp_path):
    """A sensor of 64 x 48 on its side: (x, y) stands at (47 - y, x); rows 16 to 47 of it, a quarter of the size."""
    columns = columns_of(7)
    write_npy(tmp_path / "one", columns)
    (tmp_path / "look.toml").write_text(LOOK)
    x, y = 47 - columns["y"], columns["x"]
    inside = (y >= 16) & (y < 48)
    t, p, x, y = (column[inside] for column in (columns["t"], columns["p"], x // 4, (y - 16) // 4))
    window = t - t[0] < 200_000
    expected = np.zeros((4, 2, 8, 12), int)
    expected[(t[window] - t[0]) // 50_000, p[window], y[window], x[window]] = 1
    found = sp.describe_recording(tmp_path / "one.npy", recipe=tmp_path / "look.toml")
    assert np.array_equal(found.frames, expected)
    code, out, err = spikeport("data", "look", "one.npy", "--recipe", "look.toml", "--json", "--gif", "one.gif")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["events"], facts["in_window"]) == (inside.sum(), window.sum())
    assert facts["box"] == {"x": [int(x.min()), int(x.max())], "y": [int(y.min()), int(y.max())]}
    assert (facts["frames"], facts["orientation"]) == ([4, 2, 8, 12], "rotate-90")
    with Image.open(tmp_path / "one.gif") as animation:
        assert animation.size == (252, 168)  # 12 x 8, enlarged 21 times
    code, out, _ = spikeport("data", "look", "one.npy", "--recipe", "look.toml", "--set", "data.orientation=rotate-270")
    assert code == 0
    assert "orientation rotate-270" in " ".join(out.split())
    assert "from 48 x 32 pixels of a sensor of 48 x 64" in " ".join(out.split())


def test_what_a_recipe_cannot_read_is_refused(spikeport, tmp_path):
    write_npy(tmp_path / "one", columns_of(7))
    (tmp_path / "look.toml").write_text(LOOK.replace('orientation = "rotate-90"', ""))
    code, _, err = spikeport("data", "look", "one.npy", "--recipe", "look.toml")
    assert code == 2
    assert "one.npy: an event lies outside the sensor" in one_line(err)
    code, _, err = spikeport("data", "look", "one.npy", "--set", "data.width=8")
    assert code == 2
    assert "--set changes a recipe, and there is none" in one_line(err)
    code, _, err = spikeport("data", "look", "none.npy", "--recipe", "look.toml")
    assert (code, "none.npy: no such file" in one_line(err)) == (2, True)

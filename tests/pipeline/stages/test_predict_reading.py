"""Files that differ from the data of the run, with their settings, get the rows of the same events as the run reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import HEIGHT, WIDTH
from finished_folder import finished_folder

import spikeport as sp
from spikeport.errors import UserError


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def events_of(seed: int) -> np.ndarray:
    """int64 `[40, 4]` of t, x, y, p on the sensor of the run, within its 50 us."""
    draws = np.random.default_rng(seed)
    t = np.sort(draws.integers(0, 50, 40))
    x, y, p = (draws.integers(0, n, 40) for n in (WIDTH, HEIGHT, 2))
    return np.stack((t, x, y, p), axis=1)


def scores_by_hand(run: sp.Run, events: np.ndarray) -> np.ndarray:
    data = run.recipe.data
    frames = np.zeros((1, data.steps, 2, HEIGHT, WIDTH), np.uint8)
    for t, x, y, p in events:
        frames[0, (t - events[0, 0]) // data.step_us, p, y, x] = 1
    return sp.simulate(run.network, frames).spikes.sum(axis=1)


def stored(events: np.ndarray, kind: str) -> tuple[np.ndarray, dict[str, object], list[str]]:
    """The events as a file has them, and the settings with which they are read, in Python and as options."""
    t, x, y, p = events.T
    if kind == "columns":
        return np.stack((x, p, t, y), axis=1), {"columns": "xpty"}, ["--columns", "xpty"]
    if kind == "unit":
        return (
            np.stack((t, x, y, p), axis=1),
            {"columns": "txyp", "time_unit": "ms"},
            ["--columns", "txyp", "--time-unit", "ms"],
        )
    if kind == "scaled":  # each pixel is 2 wide and 3 high; the crop begins at column 4 and row 1
        scaled: dict[str, object] = {"columns": "txyp", "sensor": (25, 20), "crop": [4, 1, 18, 18]}
        words = ["--columns", "txyp", "--sensor", "25,20", "--crop", "4,1,18,18"]
        return np.stack((t, 2 * x + 5, 3 * y + 2, p), axis=1), scaled, words
    if kind == "mounted":
        settings: dict[str, object] = {"columns": "txyp", "orientation": "rotate-180"}
        words = ["--columns", "txyp", "--orientation", "rotate-180"]
        return np.stack((t, WIDTH - 1 - x, HEIGHT - 1 - y, p), axis=1), settings, words
    order = np.random.default_rng(5).permutation(len(events))
    return events[order], {"columns": "txyp", "sort": True}, ["--columns", "txyp", "--sort"]


@pytest.mark.parametrize("kind", ["columns", "unit", "scaled", "mounted", "unsorted"])
def test_a_file_is_read_with_its_own_settings(spikeport, tmp_path: Path, kind: str) -> None:
    step_us = 10_000 if kind == "unit" else 10
    run = sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40, step_us=step_us))
    events = events_of(4)
    table, reading, words = stored(events, kind)
    np.save("new.npy", table)
    if kind == "unit":
        events[:, 0] *= 1000
    found = sp.predict(run, "new.npy", reading=reading)
    assert found.unread == ()
    np.testing.assert_array_equal([row.scores for row in found], scores_by_hand(run, events))
    assert sum(found.rows[0].scores) > 0
    assert len(sp.predict(run, "new.npy").unread) == 1, "as the run reads its own, it cannot be read"
    code, out, err = spikeport("predict", run.path, "new.npy", *words, "--csv", "out.csv")
    assert code == 0, err
    assert " ".join(map(str, found.rows[0].scores)) in " ".join(out.split())


def test_settings_of_the_run_are_replaced(tmp_path: Path) -> None:
    run = sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40, time_unit="ms", step_us=10))
    events = events_of(6)
    np.savez("new.npz", **dict(zip("txyp", events.T, strict=True)))
    found = sp.predict(run, "new.npz", reading={"time_unit": "us"})
    np.testing.assert_array_equal([row.scores for row in found], scores_by_hand(run, events))
    assert found.rows[0].events == 40


@pytest.mark.parametrize("option", ["--columns txyp", "--time-unit us", "--sensor 9,6", "--crop 0,0,9,6",
                                    "--orientation as-stored", "--sort", "--no-sort"])  # fmt: skip
def test_what_has_no_meaning_is_refused_by_name(spikeport, tmp_path: Path, option: str) -> None:
    run = finished_folder(tmp_path, "mine", seed=1)
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace('"class-folders"', '"ncars"'))
    code, out, err = spikeport("predict", run, "new.npz", *option.split())
    assert (code, out) == (2, "")
    name = option.split()[0].replace("--no-sort", "--sort")
    assert f"{name} has no meaning for this run: ncars reads its files as they are" in one_line(err)


def test_ready_frames_have_no_columns() -> None:
    from spikeport.pipeline.run.sections.data import Data
    from spikeport.pipeline.stages.file_settings import with_file_settings

    frames = Data(source="class-folders", recordings="frames", height=6, width=9)
    with pytest.raises(UserError, match=r"--time-unit has no meaning for this run: .*ready frames"):
        with_file_settings(frames, {"time_unit": "ms"})
    assert with_file_settings(frames, {"sensor": [18, 12]}).sensor == (18, 12)
    spikes = Data(source="shd", channels=70)
    assert with_file_settings(spikes, {"sort": True}).sort


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--sensor", "9x6"), "--sensor: '9x6' is not W,H. Hint: write whole numbers as W,H"),
        (("--crop", "1,2,3"), "--crop: '1,2,3' is not X,Y,W,H"),
        (("--sensor", "5,5"), "--sensor: frames of width 9 and height 6 are larger than the 5 x 5 pixels"),
        (("--columns", "txyz"), "--columns: columns must name t, x, y and p"),
        (("--crop", "0,0,9,6"), "--crop: crop needs sensor = [width, height]"),
    ],
)
def test_values_that_are_not_allowed(spikeport, tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    code, out, err = spikeport("predict", finished_folder(tmp_path, "mine", seed=1), "new.npz", *words)
    assert (code, out) == (2, "")
    assert text in one_line(err)


def test_a_crop_is_not_taken_from_another_sensor(tmp_path: Path) -> None:
    run = finished_folder(tmp_path, "mine", seed=1, sensor=(14, 11), crop=(1, 2, 11, 7))
    with pytest.raises(UserError, match=r"--crop: the run uses the part \[1, 2, 11, 7\] of its sensor"):
        sp.predict(run, "new.npz", reading={"sensor": (28, 22)})
    with pytest.raises(UserError, match="'window' says nothing of event files"):
        sp.predict(run, "new.npz", reading={"window": "last"})

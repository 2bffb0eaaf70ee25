"""`recipe new`: a commented recipe for own recordings that loads, and whose data are read."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line

from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe

COUNTS = {"circle": 21, "square": 12, "größe": 7}
SIZE = ("--height", 12, "--width", 16, "--steps", 4, "--step-us", 20_000)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """40 recordings of 12 x 16 pixels in three classes below recordings/."""
    draws = np.random.default_rng(0)
    kind = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    for name, count in COUNTS.items():
        (tmp_path / "recordings" / name).mkdir(parents=True)
        for number in range(count):
            events = np.zeros(60, kind)
            events["t"] = np.sort(draws.integers(0, 80_000, 60))
            events["x"], events["y"], events["p"] = draws.integers(0, (16, 12, 2), (60, 3)).T
            np.save(tmp_path / "recordings" / name / f"{number}.npy", events)
    return tmp_path / "recordings"


def test_a_new_recipe_loads_and_its_data_are_read(spikeport, recordings, tmp_path):
    code, out, err = spikeport("recipe", "new", "shapes", "--events", "recordings", *SIZE)
    assert (code, out, err) == (0, "shapes.toml\n", "")
    recipe = load_recipe(tmp_path / "shapes.toml")
    data = recipe.data
    assert (recipe.name, recipe.distillation.method) == ("shapes", "baseline")
    assert (data.height, data.width, data.steps, data.step_us) == (12, 16, 4, 20_000)
    assert (data.validation, data.test, data.images) == (4, 8, "")
    code, out, err = spikeport("data", "info", "shapes.toml", "--json")
    assert code == 0, err
    found = json.loads(out)
    sizes = [found["splits"][part]["recordings"] for part in ("train", "validation", "test")]
    assert sizes == [28, 4, 8]
    assert found["classes"] == sorted(COUNTS)


def test_every_line_of_a_new_recipe_has_its_meaning_and_the_default_elsewhere(spikeport, recordings, tmp_path):
    (tmp_path / "pictures").mkdir()
    words = ("--images", tmp_path / "pictures", "--out", "new/mine.toml")
    (tmp_path / "new").mkdir()
    code, _, err = spikeport("recipe", "new", "shapes", "--events", recordings, *words)
    assert code == 0
    assert "data.height and data.width must be the size of your sensor" in err
    text = (tmp_path / "new" / "mine.toml").read_text(encoding="utf-8")
    keys = [line for line in text.splitlines() if "=" in line and line[0] != "#"]
    assert all(" # " in line for line in keys[1:])
    assert "# duration of one time step in microseconds" in text
    assert text.startswith("# 40 recordings in 3 classes.")
    values = tomllib.loads(text)
    places = {"root": str(tmp_path), "events": "recordings", "images": "pictures", "pairing": "id"}
    assert values["data"].items() >= places.items()
    defaults = Recipe().model_dump(mode="json")
    assert values.pop("name") == "shapes"
    del values["data"]
    for section, entries in values.items():
        assert entries == {key: defaults[section][key] for key in entries}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--events", "nowhere"), "nowhere: the folder of recordings is not there"),
        (("--events", "recordings/circle"), "a classifier needs two classes, 0 found"),
        (("--events", "recordings", "--images", "nowhere"), "nowhere: the folder of images is not there"),
        (
            ("--events", "recordings", "--height", "5000"),
            "data.height = 5000: Input should be less than or equal to 4096",
        ),
        (("--events", "recordings", "--step-us", "0"), "data.step_us = 0: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_no_recipe_is_not_written(spikeport, recordings, tmp_path, words, reason):
    code, _, err = spikeport("recipe", "new", "shapes", *words)
    assert code in (2, 3)
    assert reason in one_line(err)
    assert not (tmp_path / "shapes.toml").exists()


def test_a_file_that_exists_is_left_as_it_is(spikeport, recordings, tmp_path):
    (tmp_path / "shapes.toml").write_text("mine")
    code, _, err = spikeport("recipe", "new", "shapes", "--events", "recordings", *SIZE)
    assert code == 2
    assert "shapes.toml: this file exists. Hint: name another --out" in one_line(err)
    assert (tmp_path / "shapes.toml").read_text() == "mine"

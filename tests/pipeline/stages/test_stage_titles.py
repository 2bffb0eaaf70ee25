"""The lines of a run name the stages that do something, numbered without gaps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from learning_data import tiny_recipe

from spikeport.pipeline.data.sources.table import SOURCES, may_have_images
from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.stages.stage_titles import title_under

CHANNELS = {name for name, source in SOURCES.items() if source.channels is not None}  # one-dimensional input

OWN = """
name = "own"
[data]
source = "class-folders"
root = "."
events = "events"
height = 6
width = 8
steps = 4
train = 6
validation = 2
test = 2
[student]
channels = [2]
v_threshold = 0.3
[distillation]
method = "baseline"
[training]
epochs = 1
threads = 1
[quantization]
epochs = 0
"""


def test_a_run_on_events_alone_has_no_line_about_a_teacher(spikeport, tmp_path: Path) -> None:
    draws = np.random.default_rng(5)
    for name in ("left", "right"):
        (tmp_path / "events" / name).mkdir(parents=True)
        for number in range(5):
            columns = {"t": np.sort(draws.integers(0, 40_000, 60)), "p": draws.integers(0, 2, 60)}
            columns |= {"x": draws.integers(0, 8, 60), "y": draws.integers(0, 6, 60)}
            np.savez(
                tmp_path / "events" / name / f"{number}.npz",
                t=columns["t"],
                x=columns["x"],
                y=columns["y"],
                p=columns["p"],
            )
    (tmp_path / "own.toml").write_text(OWN)
    for words, done in (((), ""), (("--resume",), ": done before")):
        code, _, err = spikeport("train", "own.toml", "--out", "run", *words)
        assert code == 0, err
        assert [line for line in err.splitlines() if re.match(r"\[\d", line)] == [
            f"[1/3] reading and binning the recordings{done}",
            f"[2/3] training the student (baseline){done}",
            f"[3/3] rounding it to Loihi's integers (baseline){done}",
        ]


@pytest.mark.parametrize(
    ("changes", "stage", "title"),
    [
        ({}, "teacher", "as it is"),
        ({"teacher": {"epochs": 0}}, "teacher", "testing the teacher, which is not trained"),
        ({}, "export", "as it is"),
        ({}, "quantized-ckd", "as it is"),
        ({"quantization": {"epochs": 0}}, "quantized-ckd", "rounding it to Loihi's integers (ckd)"),
        ({"check": {"backends": ()}}, "check", "comparing the student and the reference spike by spike"),
        ({"check": {"backends": ("lava",)}}, "check", "comparing the student, the reference and Lava spike by spike"),
        ({"check": {"backends": ("a:B",)}}, "check", "comparing the student, the reference and a:B spike by spike"),
        ({}, "profile", "as it is"),
    ],
)
def test_titles_say_what_is_left_out(changes: dict, stage: str, title: str) -> None:
    assert title_under(tiny_recipe(**changes), stage, "as it is") == title


def test_which_sets_have_no_images() -> None:
    without = {name for name in SOURCES if not may_have_images(Data(source=name))}
    assert without == {"class-folders", "dvsgesture", "ncars", "asldvs", "pokerdvs", *CHANNELS}
    assert may_have_images(Data(source="class-folders", images="pictures"))
    assert may_have_images(Data(source="mine:load"))

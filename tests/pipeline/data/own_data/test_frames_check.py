"""`data check` recognizes ready frames, writes a recipe that reads them, and lists what differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ready_frames import COUNTS, HEIGHT, IN_COLOR, STEPS, WIDTH, Write, counts, frames_of, loaded, npy, same, written

from spikeport import notes


@pytest.mark.parametrize(
    ("write", "note"),
    [
        (
            npy(lambda frames: counts(frames).astype(np.int16)),
            "frames hold counts: every value above 0 is taken as 1; data.counts keeps them",
        ),
        (IN_COLOR, "frames are pictures in color: red is taken as OFF, green as ON"),
    ],
)
def test_data_check_knows_frames_and_its_recipe_trains(
    spikeport, monkeypatch: pytest.MonkeyPatch, write: Write, note: str
) -> None:
    monkeypatch.setattr(notes, "_printed", set())
    expected = written(Path("mine"), write)
    code, out, err = spikeport("data", "check", "mine", "--write-recipe", "mine.toml")
    assert (code, err.strip()) == (0, f"note: {note}")
    text = " ".join(out.split())
    assert f"{sum(COUNTS.values())} in 3 classes" in text
    assert f"ready frames {STEPS} frames of {WIDTH} x {HEIGHT} pixels" in text
    assert 'recordings = "frames"' in out
    assert "frames state no time: set data.step_us" in text
    assert same(loaded(), expected)
    code, _, err = spikeport("train", "mine.toml", "--epochs", "1", "--set", "quantization.epochs=1", "--quiet")
    assert code == 0, err


def test_data_check_lists_what_differs(spikeport) -> None:
    expected = written(Path("mine"), npy(lambda f: f))
    np.save("mine/ring/rec.1.npy", frames_of(0, 0)[1:])
    np.save("mine/ring/rec.9.npy", frames_of(0, 0)[:, :, None])
    Path("mine/ring/notes.pdf").write_text("x")
    code, out, _ = spikeport("data", "check", "mine", "--json")
    assert code == 1
    found = json.loads(out)
    active = found["frames"].pop("active")
    assert found["frames"] == {"steps": STEPS, "height": HEIGHT, "width": WIDTH}
    alike = [frames for key, frames in expected.items() if key != "ring/rec.1"]
    assert active == pytest.approx(np.mean(alike))
    assert found["polarity"]["on"] == pytest.approx(np.sum([f[:, 1] for f in alike]) / np.sum(alike))
    reasons = {each["file"]: each["reason"] for each in found["unreadable"]}
    assert reasons["mine/ring/rec.1.npy"] == "4 frames of 17 x 12, where most have 5 frames of 17 x 12"
    assert "found an array bool [5, 2, 1, 12, 17]" in reasons["mine/ring/rec.9.npy"]
    assert "no reader of frames for notes.pdf" in reasons["mine/ring/notes.pdf"]
    assert found["classes"]["ring"]["recordings"] == 2

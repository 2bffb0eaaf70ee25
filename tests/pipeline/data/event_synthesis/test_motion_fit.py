"""The fit finds the motion that made recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.event_synthesis import motion_fit
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.motion_fit import MotionFit, _best
from spikeport.pipeline.data.event_synthesis.motion_starts import Range, ranges, starts
from spikeport.pipeline.data.event_synthesis.statistics import statistics

T, H, W = 5, 14, 17


def images(count: int, seed: int) -> torch.Tensor:
    """Bright rectangles of random sizes."""
    rng, found = np.random.default_rng(seed), np.zeros((count, 3, H, W), np.float32)
    for image in found:
        top, left = rng.integers(2, 6, 2)
        image[:, top : top + rng.integers(3, 7), left : left + rng.integers(3, 9)] = 1
    return torch.from_numpy(found)


def recordings(motion: Motion) -> np.ndarray:
    frames = MotionCamera(T, motion).render(images(24, 1), torch.Generator().manual_seed(5))
    return frames.transpose(0, 1).numpy()


def test_ranges_are_shares_of_both_scales() -> None:
    for bounds in (Range(0.5, 8.0, log=True), Range(-3.0, 2.0)):
        for share in (0.0, 0.25, 0.5, 1.0):
            assert bounds.share(bounds.value(share)) == pytest.approx(share)
        assert bounds.value(0) == bounds.low
        assert bounds.share(100.0) == 1.0
    assert Range(0.5, 8.0, log=True).value(0.5) == pytest.approx(2.0)
    assert set(ranges(T, H)) == set(Motion.__dataclass_fields__) - {"segments"}


@pytest.mark.parametrize("heading", [0.0, 0.5 * np.pi])
def test_the_first_guess_sees_the_axis_and_the_end(heading: float) -> None:
    motion = replace(
        Motion(), heading_rad=heading, spread_rad=0.05, tracked=1.0, speed=1.5, gain=4.0, least_steps=3, most_steps=3
    )
    start = starts(statistics(recordings(motion)), T, H)[0].motion
    assert abs(np.sin(start.heading_rad - heading)) < 0.3
    assert 2.5 < start.most_steps < 4.5


def test_the_first_guess_sees_where_a_motion_turns_back() -> None:
    """Up, and from the middle of the second of five steps on down, in nine of ten recordings."""
    motion = replace(
        Motion(), heading_rad=0.5 * np.pi, spread_rad=0.05, tracked=1.0, speed=1.5, gain=6.0, drift=2.0,
        drift_spread=0.0, speed_spread=0.1, reverse=0.1,
    )  # fmt: skip
    start = starts(statistics(recordings(motion)), T, H)[0].motion
    assert np.sin(start.heading_rad) > 0.9
    assert start.drift == pytest.approx(2.0, abs=0.5)  # the distance of the events is no speed, only its sign is sure
    assert start.reverse < 0.3


def test_the_first_guess_sees_the_turns_of_a_path() -> None:
    """Right, down, left: each a third of six steps; a dark object's events say the reverse."""
    motion = replace(
        Motion(), segments=3, heading_rad=0.0, turn_2_rad=0.5 * np.pi, turn_3_rad=0.5 * np.pi, spread_rad=0.05,
        tracked=1.0, speed=1.5, gain=6.0, drift_spread=0.0, reverse=0.0, ease=0.0,
    )  # fmt: skip
    frames = MotionCamera(6, motion).render(images(24, 1), torch.Generator().manual_seed(5)).transpose(0, 1).numpy()
    tried = [one.motion for one in starts(statistics(frames), 6, H) if one.motion.segments == 3]
    assert {(one.bright, one.tracked) for one in tried} == {(1, 1.0), (1, 0.0), (0, 1.0), (0, 0.0)}
    for one in tried:
        headings = np.cumsum([one.heading_rad, one.turn_2_rad, one.turn_3_rad]) + (0.0 if one.bright else np.pi)
        assert np.cos(headings - [0.0, 0.5 * np.pi, np.pi]) == pytest.approx([1, 1, 1], abs=0.1)


@pytest.mark.parametrize(("spread", "shared"), [(0.1, True), (3.2, False)])
def test_directions_that_recordings_share_are_searched_near_the_first_guess(spread: float, *, shared: bool) -> None:
    motion = replace(Motion(), heading_rad=1.0, spread_rad=spread, tracked=1.0, speed=1.5, gain=6.0, drift_spread=0.0)
    start = starts(statistics(recordings(motion)), T, H)[0]
    near = {"heading_rad", "spread_rad", "reverse", "drift", "bright"}
    assert set(start.near) == (near if shared else set())
    for name, bounds in start.near.items():
        assert bounds.low <= getattr(start.motion, name) <= bounds.high
    kinds = {one.own[:1] for one in starts(statistics(recordings(motion)), T, H)}
    alone = set() if shared else {("shake",), ("rotation_rad",), ("flicker",)}
    assert kinds == {(), ("turn_2_rad",)} | alone, "a shared direction is none of a shake"


@pytest.mark.parametrize("steps", [1, 2])
def test_the_first_guess_takes_few_steps(steps: int) -> None:
    motion = replace(Motion(), speed=2.0, gain=6.0, tracked=1.0, spread_rad=0.1)
    frames = MotionCamera(steps, motion).render(images(9, 1), torch.Generator().manual_seed(5)).transpose(0, 1).numpy()
    for one in starts(statistics(frames), steps, H):
        assert np.isfinite(list(one.motion.__dict__.values())).all()


def test_the_fit_comes_nearer_than_its_starts_and_finds_a_motion() -> None:
    """Up and down in a tracked window: the fitted axis is vertical, and the distance is a fraction of the start's."""
    truth = replace(Motion(), heading_rad=np.pi / 2, spread_rad=0.1, tracked=1.0, speed=1.5, gain=4.0, offset_x=2.0)
    calls: list[tuple[int, int]] = []
    fit = MotionFit(images(24, 2), recordings(truth), 6, progress=lambda done, total, what: calls.append((done, total)))
    first = min(fit.cost(start.motion) for start in starts(fit.real, T, H))
    found = fit.motion()
    assert fit.cost(found) < 0.8 * first
    assert abs(np.sin(found.heading_rad)) > 0.7
    assert abs(found.offset_x - 2.0) < 1.5
    assert calls[-1][0] == calls[-1][1]
    again = MotionFit(images(24, 2), recordings(truth), 6)
    assert again.motion() == found, "the same seed, the same motion"


def test_the_best_search_of_each_kind_goes_on_while_there_is_room() -> None:
    """Seven searches of three kinds: with room for four, the worst kind's best is among them; with room for two not."""
    made = [("a", 0.1), ("a", 0.2), ("b", 0.6), ("a", 0.3), ("c", 0.9), ("b", 0.5), ("c", 0.8)]
    searches = [SimpleNamespace(kind=kind, cost=cost) for kind, cost in made]
    assert [(one.kind, one.cost) for one in _best(searches, 4)] == [("a", 0.1), ("b", 0.5), ("c", 0.8), ("a", 0.2)]
    assert [one.cost for one in _best(searches, 2)] == [0.1, 0.2]


def test_the_true_motion_costs_less_than_others() -> None:
    truth = replace(Motion(), heading_rad=np.pi / 2, spread_rad=0.1, tracked=1.0, speed=1.5, gain=4.0)
    fit = MotionFit(images(24, 2), recordings(truth))
    others = (
        replace(truth, heading_rad=0.0), replace(truth, gain=0.7), replace(truth, tracked=0.0),
        replace(truth, speed=0.3), replace(truth, least_steps=2, most_steps=3),
        replace(truth, noise=0.05), replace(truth, offset_y=4.0),
    )  # fmt: skip
    for other in others:
        assert fit.cost(truth) < fit.cost(other), other


def test_a_stopped_fit_goes_on_to_the_same_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the costs before the stop none is measured again; other recordings begin a new search."""
    frames, file, measured = recordings(replace(Motion(), speed=1.5, gain=4.0)), tmp_path / "costs.json", []
    cost = MotionFit.cost

    def counted(fit: MotionFit, motion: Motion, seed: int = 0) -> float:
        measured.append(seed)
        return cost(fit, motion, seed)

    def stop(done: int, total: int, what: str) -> None:
        if done == 13:  # of 11 + 5 + 3 + 2
            raise KeyboardInterrupt

    monkeypatch.setattr(MotionFit, "cost", counted)
    whole = MotionFit(images(6, 2), frames, 2).motion()
    of_whole, calls = len(measured), []
    measured.clear()
    with pytest.raises(KeyboardInterrupt):
        MotionFit(images(6, 2), frames, 2, progress=stop, checkpoint=file).motion()
    stopped = len(measured)
    measured.clear()
    again = MotionFit(images(6, 2), frames, 2, 0, lambda done, total, _: calls.append((done, total)), file).motion()
    assert again == whole
    assert 0 < len(measured) == of_whole - stopped
    assert calls == [(done, 21) for done in range(1, 22)]
    assert MotionFit(images(6, 2), frames, 2, checkpoint=file).costs
    for other in (
        MotionFit(images(6, 2), frames[:, ::-1], 2, 0, None, file),
        MotionFit(images(6, 2), frames, 3, 0, None, file),
    ):
        assert not other.costs
    monkeypatch.setattr(motion_fit, "ROUNDS", ((10, None), (1, 1)))
    assert not MotionFit(images(6, 2), frames, 2, checkpoint=file).costs, "of another search"
    monkeypatch.undo()
    file.write_text('{"digest": 3}')
    assert not MotionFit(images(6, 2), frames, 2, checkpoint=file).costs

"""A network read after fewer steps against the same network on frames that end there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from known_networks import energy_row
from random_networks import random_frames, random_network
from report_example import answered, example_inputs, example_without

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.early_exit import early_exit
from spikeport.pipeline.profiling.profile_trace import sample_energies_on
from spikeport.pipeline.report.content.content import build_report
from spikeport.pipeline.report.content.page_text import NO_BREAK
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.run.intervals import share

DEVICES = ("loihi2", "loihi1", "cmos45-fp32")  # of the first no energy is known


@pytest.mark.parametrize("seed", [3, 10, 11])
@pytest.mark.parametrize("told_apart", [False, True])
def test_each_point_is_a_run_of_so_many_steps(seed: int, told_apart: bool) -> None:
    """Recurrent and delayed layers too: what happens later changes nothing before."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, rich=True)
    frames = np.tile(random_frames(rng, network)[:1], (3, 3, *[1] * len(network.input_shape)))
    frames[1], frames[2] = np.roll(frames[1], 1, axis=0), frames[2, ::-1]
    total = frames.shape[1]
    trace = simulate(network, frames, per_step=told_apart)
    labels = network.readout.classes(trace.spikes, trace.membrane)
    labels[0] += 1
    found = early_exit(network, frames, labels, trace, DEVICES)
    assert found["hardware"] == "loihi1"
    steps = [point["steps"] for point in found["points"]]
    assert steps == [-(-total * part // 5) for part in (1, 2, 3, 4, 5)]
    for point in found["points"]:
        cut = simulate(network, frames[:, : point["steps"]])
        (estimate,) = sample_energies_on(network, count_activity(network, cut), ("loihi1",))
        assert point["dynamic_uj"] == energy_row(estimate)["dynamic_uj"]
        message = network.readout.classes(cut.spikes, cut.membrane)
        assert point["accuracy"] == share(compare_with_labels(labels, message))
    assert found["points"][-1]["accuracy"]["value"] == 2 / 3


def test_a_short_recording_has_a_point_a_step() -> None:
    network = random_network(np.random.default_rng(5))
    frames = random_frames(np.random.default_rng(5), network)[:1, :3]
    trace = simulate(network, frames)
    found = early_exit(network, frames, np.array([0]), trace, ("loihi1",))
    assert [point["steps"] for point in found["points"]] == list(range(1, frames.shape[1] + 1))


def test_where_no_energy_is_known_it_says_so() -> None:
    network = random_network(np.random.default_rng(5))
    frames = random_frames(np.random.default_rng(5), network)[:1]
    found = early_exit(network, frames, np.array([0]), simulate(network, frames), ("loihi2",))
    assert found == {"reason": "no device here has a known dynamic energy"}


def test_both_pages_show_it_or_say_why_not() -> None:
    point = {
        "accuracy": share(answered(np.array([True, False, True, True]))),
        "dynamic_uj": dict.fromkeys(("low", "nominal"), 7.5),
    }
    point["dynamic_uj"]["high"] = 9.25
    early = {"hardware": "loihi1", "name": "Loihi 1", "basis": "modeled", "points": [{"steps": 3} | point]}
    report = build_report(replace(example_inputs(), early_exit=early))
    for text in (Page(render_html(report)).text, render_markdown(report)):
        assert "not trained for an early readout" in text
        assert "75.0 %" in text
        assert "7.50 µJ (7.50 to 9.25)" in text
    html = render_html(report).replace(NO_BREAK, " ")
    assert "3, read after 3 steps: 7.5 µJ, 75.0 %" in html  # what a screen reader is told
    without = build_report(example_without("no Lava here"))
    for text in (Page(render_html(without)).text, render_markdown(without)):
        assert "it was not computed" in text

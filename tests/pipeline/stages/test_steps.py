"""Counts of every step, asked for by the command and by a recipe: steps.csv and the trace."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_inputs import one_line
from known_networks import conv_frames, conv_network, known_network

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.spike_trace import load_trace
from spikeport.pipeline.report.content.csv_tables import steps_csv
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import create
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.deploy import simulate as simulate_stage
from spikeport.pipeline.stages.report import write_steps

COUNTS = {
    "events_sum": "events_in",
    "synops_sum": "synops",
    "effective_synops_sum": "effective_synops",
    "spikes_sum": "spikes_out",
    "updates_active_sum": "updates_active",
}


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_of_two_samples_by_hand() -> None:
    """Weights 2 2 2 and 4 6 4, then 2 4; all fire above 5 and forget. Sample 0 shows 101, 000, 111, so that hidden
    fires 01, 00, 11 and output 0, 0, 1; sample 1 shows 010, 000, 000, so that hidden fires 01 once."""
    frames = np.array([[[1, 0, 1], [0, 0, 0], [1, 1, 1]], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]], dtype=np.uint8)
    counts = simulate(known_network(), frames, per_step=True).step_counts
    assert counts is not None
    assert steps_csv(known_network(), counts).splitlines() == [
        "step,layer,neurons,samples,events_sum,synops_sum,effective_synops_sum,spikes_sum,updates_active_sum",
        "0,hidden,2,2,3,6,6,2,4",
        "0,output,1,2,2,2,2,0,2",
        "1,hidden,2,2,0,0,0,0,0",
        "1,output,1,2,0,0,0,0,0",
        "2,hidden,2,2,3,6,6,2,2",
        "2,output,1,2,2,2,2,1,1",
    ]


def test_a_profiled_file_s_steps_sum_to_its_samples(spikeport, tmp_path) -> None:
    write_netx(conv_network(), tmp_path / "conv.net")
    frames = conv_frames(samples=5)
    write_frames(tmp_path / "f.npz", frames)
    words = ("profile", "conv.net", "--input", "f.npz", "--hardware", "loihi1")
    code, out, err = spikeport(*words, "--per-step", "--out", "page")
    assert code == 0, err
    assert str(Path("page") / "steps.csv") in out
    rows, samples = rows_of(tmp_path / "page" / "steps.csv"), rows_of(tmp_path / "page" / "samples.csv")
    steps, layers = frames.shape[1], [layer.name for layer in conv_network().layers]
    assert [(int(row["step"]), row["layer"]) for row in rows] == [(t, name) for t in range(steps) for name in layers]
    trace = simulate(conv_network(), frames)
    for column, key in COUNTS.items():
        per_layer = [sum(int(row[column]) for row in rows if row["layer"] == name) for name in layers]
        assert per_layer == getattr(trace.counts, key).sum(axis=0).tolist()
        name = column.removesuffix("_sum")
        whole = "events_received" if name == "events" else name  # samples.csv has the events of the recording as events
        assert sum(per_layer) == sum(int(row[whole]) for row in samples)
    others = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir() if path.suffix == ".csv"}
    assert spikeport(*words, "--out", "page")[0] == 0
    again = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir() if path.suffix == ".csv"}
    assert again == {name: text for name, text in others.items() if name != "steps.csv"}


def test_a_trace_keeps_the_counts_of_every_sample_and_step(spikeport, tmp_path) -> None:
    write_netx(conv_network(), tmp_path / "conv.net")
    frames = conv_frames(samples=5)
    write_frames(tmp_path / "f.npz", frames)
    words = ("simulate", "conv.net", "--input", "f.npz", "--out", "t.npz")
    assert spikeport(*words)[0] == 0
    assert load_trace(tmp_path / "t.npz").step_counts is None
    assert spikeport(*words, "--per-step")[0] == 0
    loaded, expected = load_trace(tmp_path / "t.npz"), simulate(conv_network(), frames, per_step=True)
    for key, counted in vars(expected.step_counts).items():
        np.testing.assert_array_equal(getattr(loaded.step_counts, key), counted)
        np.testing.assert_array_equal(getattr(loaded.counts, key), counted.sum(axis=1))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("profile",), "give --out DIR"),
        (("simulate",), "give --out TRACE.npz"),
        (("simulate", "--out", "t.npz", "--backend", "lava"), "no other --backend than reference"),
    ],
)
def test_steps_without_a_place_to_stand_are_refused(spikeport, net, frames, tmp_path, words, hint) -> None:
    code, _, err = spikeport(words[0], net, "--input", frames, "--per-step", *words[1:])
    assert code == 2
    assert hint in one_line(err)
    assert {path.name for path in tmp_path.iterdir()} == {"a.net", "f.npz"}


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_counts_steps_where_its_recipe_asks_and_else_when_it_is_asked(tmp_path, asked) -> None:
    """The stage keeps them in the trace; a run without them is simulated again. Either way the same table."""
    recipe = parse_recipe({"profile": {"per_step": True}} if asked else {}, where="test")
    context = Context(create(tmp_path / "run", recipe, resume=False, about={}), ProgressPrinter(quiet=True))
    frames = conv_frames(samples=5)
    context.__dict__["dataset"] = SimpleNamespace(test=SimpleNamespace(frames=frames))
    write_netx(conv_network(), context.run.file("student.net"))
    stale = context.run.file("steps.csv")
    stale.write_text("of another network")
    assert simulate_stage(context).files == ("trace.npz",)
    assert not stale.exists()
    assert (load_trace(context.run.file("trace.npz")).step_counts is not None) == asked
    assert write_steps(context) == stale
    counts = simulate(conv_network(), frames, per_step=True).step_counts
    assert counts is not None
    assert stale.read_text() == steps_csv(conv_network(), counts)

"""An option that has no meaning for a source is refused by name, in every command and for every kind of source."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from cli_inputs import one_line, small_graph
from typer.main import get_command

import spikeport as sp
from spikeport.export.graph.assumptions import NO_IF_NODES
from spikeport.pipeline.cli.app import app
from spikeport.pipeline.run.recipe_file import MANIFEST

NIR = "--from norse|--dt 1e-3|--reset zero|--if-gain per-step"
GRAPH = f"{NIR}|--bias neuron|--allow-vector"
COMPILED = "--bits 4|--clones 2|--row-scales 2|--calibrate f.npz|--check f.npz|--explain"
SHAPE, NEURONS = "--input-shape 5", "--reset zero|--if-gain per-step"
REFUSED = {
    ("export", "net"): f"{GRAPH}|{COMPILED}",
    ("export", "run"): f"{GRAPH}|{COMPILED}|{SHAPE}|--readout spikes|--message-bits 2|--scaled-frames",
    ("export", "network"): f"{NEURONS}|--scaled-frames",
    ("profile", "net"): "--from norse|--reset zero|--if-gain per-step",
    ("profile", "run"): f"--input f.npz|{NIR}|{SHAPE}|--clip",
    ("check-network", "net"): f"{GRAPH}|--frames f.npz",
    ("check-network", "network"): NEURONS,
    ("adapt", "network"): NEURONS,
}
TAKEN = {  # options that every source of a command takes, or every one but those above
    "export": "--out --hardware --script --no-check --json --quiet",
    "profile": "--hardware --baseline --out --active-rule --per-step --json --quiet",
    "check-network": "--input-shape --json",
    "adapt": "--frames --out --check --holdout --lava-samples --from --dt --input-shape --readout --widen --epochs "
    "--batch --lr --shift --rotation --scale --event-drop --message-bits --seed --threads --resume --json --quiet",
}
EACH = [(*key, option) for key, options in REFUSED.items() for option in options.split("|")]


@pytest.fixture
def sources(tmp_path: Path, net: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / MANIFEST).write_text("{}")
    return {"net": str(net), "run": str(tmp_path / "run"), "network": "nowhere:make"}


@pytest.mark.parametrize(("command", "kind", "option"), EACH)
def test_an_option_that_would_be_ignored_is_refused(
    spikeport, sources: dict[str, str], frames: Path, command: str, kind: str, option: str
) -> None:
    more = ("--frames", frames) if command == "adapt" else ()
    code, out, err = spikeport(command, sources[kind], *more, *option.split())
    assert (code, out) == (2, "")
    assert f"does not take {option.split()[0]}:" in one_line(err)
    assert "Hint: " in one_line(err)


@pytest.mark.parametrize("command", TAKEN)
def test_every_option_of_a_command_is_known_here(command: str) -> None:
    """A new option is written into the table above, with the sources that refuse it."""
    refused = {word.split()[0] for (name, _), words in REFUSED.items() if name == command for word in words.split("|")}
    parameters = get_command(app).commands[command].params
    given = {parameter.opts[0] for parameter in parameters if parameter.param_type_name == "option"}
    assert given == refused | set(TAKEN[command].split())


def test_several_are_named_at_once(spikeport, net: Path) -> None:
    _, _, err = spikeport("export", net, "--from", "norse", "--clones", "3", "--dt", "1e-3")
    assert "a .net file does not take --clones and --from and --dt: it holds the chip's integers" in one_line(err)


def test_what_asks_for_nothing_is_taken(spikeport, net: Path) -> None:
    code, _, err = spikeport("export", net, "--no-check", "--clones", "1", "--bits", "8", "--from", "slayer")
    assert code == 0, err
    assert spikeport("check-network", net, "--from", "slayer")[0] == 0


def test_a_compiled_network_takes_no_option_of_its_making(net: Path) -> None:
    frames = np.ones((2, 4, 5), np.uint8)
    with pytest.raises(sp.UserError, match="a compiled network does not take --from: it was made with its own options"):
        sp.profile(sp.load_network(net), frames, framework="norse")
    assert sp.profile(sp.load_network(net), frames, dt_s=1e-3).values["samples"] == 2


def test_two_time_steps_of_one_network_contradict(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    network = sp.quantize(sp.load_graph(tmp_path / "g.nir", dt_s=1e-3, reset="zero"))
    with pytest.raises(sp.UserError, match=r"dt_s 0\.01 contradicts the network's 0\.001"):
        sp.profile(network, np.ones((2, 4, 5), np.uint8), dt_s=1e-2)


def test_labels_belong_to_an_array_of_frames(tmp_path: Path, net: Path, frames: Path) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    graph = sp.load_graph(tmp_path / "g.nir", dt_s=1e-3, reset="zero")
    with pytest.raises(sp.UserError, match="labels are given without an array of frames"):
        sp.quantize(graph, labels=np.zeros(4, int))
    with pytest.raises(sp.UserError, match="labels are given without an array of frames"):
        sp.profile(net, frames, labels=np.zeros(4, int))
    options = {"dt_s": 1e-3, "reset": "zero"}
    with pytest.raises(sp.UserError, match="labels are given without an array of frames"):
        sp.adapt(tmp_path / "g.nir", frames, labels=np.zeros(4, int), **options)
    with pytest.raises(sp.UserError, match="labels are given without an array of frames"):
        sp.adapt(tmp_path / "g.nir", frames, check_labels=np.zeros(4, int), **options)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--check", "f.npz", "--holdout", "0.3"), "--holdout and --check are given together"),
        (("--shift", "1", "--scale", "0.3"), "--shift and --scale cannot move inputs of shape (5,)"),
    ],
)
def test_options_of_adapt_that_the_frames_leave_without_a_meaning(spikeport, tmp_path, frames, words, text) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    code, _, err = spikeport("adapt", "g.nir", "--dt", "1e-3", "--reset", "zero", "--frames", frames, *words)
    assert code == 2
    assert text in one_line(err)
    assert not (tmp_path / "g-adapted").exists()


def test_an_adaptation_without_a_folder_is_not_continued(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    with pytest.raises(sp.UserError, match="an adaptation without a folder cannot be continued"):
        sp.adapt(tmp_path / "g.nir", np.ones((9, 4, 5), np.uint8), dt_s=1e-3, reset="zero", resume=True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--seed", "3"), "all samples are simulated, none is drawn"),
        (("--case", "kept"), "one backend alone has no divergence"),
        (("--workers", "2"), "--workers is for backend lava alone"),
        (("--timeout", "9"), "--timeout is for backend lava alone"),
        (("--backend", "lava", "--memory", "1G"), "--memory is for backend reference alone"),
        (("--backend", "lava", "--device", "cpu"), "--device is for backend reference alone"),
    ],
)
def test_options_of_another_backend_are_refused(spikeport, net: Path, frames: Path, words, text) -> None:
    code, out, err = spikeport("simulate", net, "--input", frames, *words)
    assert (code, out) == (2, "")
    assert text in one_line(err)


@pytest.mark.parametrize("framework", [None, "norse"])
def test_a_gain_of_neurons_that_are_not_there_is_noted(tmp_path: Path, framework: str | None) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    options = {"dt_s": 1e-3, "reset": "zero", "framework": framework}
    assert NO_IF_NODES in sp.load_graph(tmp_path / "g.nir", if_gain="per_second", **options).notes
    assert NO_IF_NODES not in sp.load_graph(tmp_path / "g.nir", **options).notes
    with pytest.raises(sp.UserError, match="if_gain 'a step' is unknown"):
        sp.load_graph(tmp_path / "g.nir", if_gain="a step", **options)


def test_profile_reads_a_file_as_its_framework_ran_it(spikeport, tmp_path: Path, frames: Path) -> None:
    """Norse's neurons decay by dt / tau of Norse's own step of 1 ms: the same counts as with --dt 1e-3."""
    nir.write(tmp_path / "g.nir", small_graph())
    named = spikeport("profile", "g.nir", "--input", frames, "--from", "norse", "--json")
    assert named[0] == 0, named[2]
    assert named[1] == spikeport("profile", "g.nir", "--input", frames, "--dt", "1e-3", "--reset", "zero", "--json")[1]


def test_the_advised_adaptation_names_the_framework(spikeport, tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", small_graph())
    code, out, _ = spikeport("check-network", "g.nir", "--from", "snntorch")
    assert code == 1
    assert "spikeport adapt g.nir --frames FRAMES.npz --out DIR --from snntorch" in out

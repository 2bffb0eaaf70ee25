"""What a NIR file does not say: the reset, the time step, and the meaning of r."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_chains import DT, conv_graph, dense_graph, lif, written
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return written(tmp_path / "foreign.nir", dense_graph())


# What NIR does not say


def test_reset_is_never_guessed(foreign: Path):
    with pytest.raises(UserError, match=r"NIR does not state how neurons reset.*--reset zero"):
        load_graph(foreign, dt_s=DT)
    with pytest.raises(UserError, match="reset 'subtract' cannot go to the chip"):
        load_graph(foreign, dt_s=DT, reset="subtract")


def test_the_time_step_is_inferred_only_where_nir_tells_it(foreign: Path, tmp_path: Path):
    graph = load_graph(foreign, reset="zero")
    assert graph.dt_s == DT
    assert "dt = 0.001 s was inferred as tau/r" in graph.notes[0]
    assert load_graph(foreign, dt_s=5e-4, reset="zero").dt_s == 5e-4, "an explicit step wins"
    two = dense_graph(cell=lif(), back=nir.Linear(np.ones((3, 3))), cell2=lif(tau=8e-3, r=7.9))
    with pytest.raises(UserError, match=r"tau/r is 0.001 to 0.00101266 s.*--dt"):
        load_graph(written(tmp_path / "two.nir", two), reset="zero")


def test_integrators_at_the_end_tell_the_time_step_and_what_their_r_means_too(tmp_path: Path):
    one = np.ones(3)
    li = nir.LI(tau=4e-3 * one, r=4.0 * one, v_leak=0 * one)
    assert load_graph(written(tmp_path / "li.nir", dense_graph(cell=li)), reset="zero").dt_s == DT
    cuba = nir.CubaLI(tau_syn=2e-3 * one, tau_mem=4e-3 * one, r=4.0 * one, v_leak=0 * one, w_in=2.0 * one)
    assert load_graph(written(tmp_path / "cuba.nir", dense_graph(cell=cuba)), reset="zero").dt_s == DT
    integrator = written(tmp_path / "i.nir", dense_graph(cell=nir.I(r=one)))
    with pytest.raises(UserError, match="IF nodes cell have a gain r dt"):
        load_graph(integrator, dt_s=DT, reset="zero")
    graph = load_graph(integrator, dt_s=DT, reset="zero", if_gain="per_step")
    assert_array_equal(graph.nir_graph.nodes["cell"].r * DT, one)
    assert dict(graph.origins) == {"dt_s": "given", "reset": "given"}


def test_r_of_one_does_not_make_tau_the_time_step(tmp_path: Path):
    """Norse writes r = 1; taking tau/r for dt would wipe out the membrane at every step."""
    file = written(tmp_path / "norse.nir", dense_graph(cell=lif(r=1.0)))
    with pytest.raises(UserError, match=r"NIR does not state the time step.*--dt"):
        load_graph(file, reset="zero")


def test_without_leaky_nodes_nothing_tells_the_time_step(tmp_path: Path):
    file = written(tmp_path / "if.nir", dense_graph(cell=nir.IF(r=np.ones(3), v_threshold=np.ones(3))))
    with pytest.raises(UserError, match="no leaky node implies it"):
        load_graph(file, reset="zero")


def test_what_an_if_node_means_by_r_must_be_said(tmp_path: Path):
    file = written(tmp_path / "if.nir", dense_graph(cell=nir.IF(r=np.ones(3), v_threshold=np.ones(3))))
    with pytest.raises(UserError, match=r"IF nodes cell have a gain r dt = 0.001 by NIR's.*--if-gain per-step"):
        load_graph(file, dt_s=DT, reset="zero")
    per_step = load_graph(file, dt_s=DT, reset="zero", if_gain="per_step")
    assert_array_equal(per_step.nir_graph.nodes["cell"].r * DT, np.ones(3))
    assert "r of IF nodes cell was read per step" in per_step.notes
    per_second = load_graph(file, dt_s=DT, reset="zero", if_gain="per_second")
    assert_array_equal(per_second.nir_graph.nodes["cell"].r, np.ones(3))
    per_step.save(tmp_path / "said.nir")
    assert_array_equal(load_graph(tmp_path / "said.nir").nir_graph.nodes["cell"].r * DT, np.ones(3))


@pytest.mark.parametrize("dt_s", [0.0, -1e-3, float("nan"), float("inf")])
def test_impossible_time_steps_are_refused(foreign: Path, dt_s: float):
    with pytest.raises(UserError, match="is not positive"):
        load_graph(foreign, dt_s=dt_s, reset="zero")


# The metadata file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt_s": 2e-3}, "dt_s = 0.002 contradicts 0.001"),
        ({"dt_s": 0.0}, "dt_s = 0.0 contradicts 0.001"),
        ({"reset": "subtract"}, "reset = subtract contradicts zero"),
        ({"if_gain": "per_step"}, "if_gain = per_step contradicts per_second"),
    ],
)
def test_options_that_contradict_the_metadata_are_refused(tmp_path: Path, options, words):
    conv_graph().save(tmp_path / "net.nir")
    assert load_graph(tmp_path / "net.nir", dt_s=DT, reset="zero").dt_s == DT
    with pytest.raises(UserError, match=rf"net\.nir\.json: {words}"):
        load_graph(tmp_path / "net.nir", **options)


@pytest.mark.parametrize(("start", "end"), [(1, -1), (1, 3)])
def test_a_batch_axis_is_dropped_from_flatten_too(tmp_path: Path, start: int, end: int):
    """As files of 2023 have it: Input (1, 2, 5, 6), and a Flatten whose axes count the batch."""
    rng = np.random.default_rng(0)
    weight, dense = rng.normal(size=(3, 2, 2, 3)), rng.normal(size=(4, 3 * 4 * 4))

    def graph(batch: tuple[int, ...], first: int, last: int) -> nir.NIRGraph:
        def cell(*shape: int) -> nir.LIF:
            one = np.ones((*batch, *shape))
            return nir.LIF(tau=2e-3 * one, r=2 * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)

        nodes = {
            "input": nir.Input({"input": np.array((*batch, 2, 5, 6))}),
            "conv": nir.Conv2d((5, 6), weight, 1, 0, 1, 1, np.zeros(3)),
            "lif": cell(3, 4, 4),
            "flat": nir.Flatten({"input": np.array((*batch, 3, 4, 4))}, start_dim=first, end_dim=last),
            "fc": nir.Linear(dense),
            "out": cell(4),
            "output": nir.Output({"output": np.array((*batch, 4))}),
        }
        return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)

    nir.write(tmp_path / "batched.nir", graph((1,), start, end))
    nir.write(tmp_path / "plain.nir", graph((), 0, -1))
    batched, plain = (load_graph(tmp_path / f"{name}.nir", dt_s=1e-3, reset="zero") for name in ("batched", "plain"))
    assert any("count the batch, which was dropped" in note for note in batched.notes)
    ours, theirs = (quantize(each)[0] for each in (batched, plain))
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert np.array_equal(mine.weight, other.weight)
        assert (mine.input_shape, mine.output_shape) == (other.input_shape, other.output_shape)


def test_several_inputs_of_a_file_are_side_by_side(tmp_path: Path):
    def cell(*shape: int) -> nir.IF:
        return nir.IF(r=np.full(shape, 1e3), v_threshold=np.ones(shape), v_reset=np.zeros(shape))

    nodes = {
        "left": nir.Input({"input": np.array((3,))}), "right": nir.Input({"input": np.array((2,))}),
        "a": nir.Linear(np.arange(12.0).reshape(4, 3)), "b": nir.Linear(-np.arange(8.0).reshape(4, 2)),
        "sum": cell(4), "output": nir.Output({"output": np.array((4,))}),
    }  # fmt: skip
    edges = [("left", "a"), ("right", "b"), ("a", "sum"), ("b", "sum"), ("sum", "output")]
    nir.write(tmp_path / "two.nir", nir.NIRGraph(nodes, edges))
    graph = load_graph(tmp_path / "two.nir", dt_s=1e-3, reset="zero")
    assert graph.input_shape == (5,)
    (layer,) = quantize(graph)[0].layers
    scale = layer.weight.max() / 11
    expected = scale * np.hstack([np.arange(12.0).reshape(4, 3), -np.arange(8.0).reshape(4, 2)])
    assert np.abs(layer.weight - expected).max() <= 1  # rounded to even integers


def test_an_odd_time_step_is_doubted_and_rockpools_is_named(tmp_path: Path):
    """Rockpool 3.1 writes tau 0.0025 and r 24.019737 for dt = 1e-4: r = (tau / dt) exp(-dt / tau)."""
    assert math.isclose(0.0025 / 1e-4 * math.exp(-1e-4 / 0.0025), 24.019737, rel_tol=1e-6)
    for r, odd in ((24.019737, True), (25.0, False)):
        one = np.ones(3)
        cell = nir.LIF(tau=0.0025 * one, r=r * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
        file = written(tmp_path / f"{odd}.nir", dense_graph(cell=cell))
        (note,) = load_graph(file, reset="zero").notes
        assert ("is not a round number" in note) == odd
        assert ("in a file of Rockpool it is 0.0001 s, which --from rockpool reads" in note) == odd


def test_all_that_is_missing_is_asked_at_once(tmp_path: Path):
    """The reset, the time step, the unit of r and a node that netx does not have: one answer, not four tries."""
    odd = nir.Threshold(np.ones(3))
    cell = nir.IF(r=np.full(3, 2.0), v_threshold=np.ones(3), v_reset=np.zeros(3))
    written(tmp_path / "net.nir", dense_graph(cell=cell, odd=odd))
    with pytest.raises(UserError) as refusal:
        load_graph(tmp_path / "net.nir")
    text = str(refusal.value)
    assert text.startswith("4 things keep this graph from netx: (1) ")
    assert "NIR does not state how neurons reset" in text
    assert "(2) " in text
    assert "NIR does not state the time step" in text
    assert "(3) " in text
    assert "IF nodes cell have r = 2, and a gain r dt by NIR's equation" in text
    assert "(4) odd: Threshold cannot go to netx" in text
    with pytest.raises(UserError) as refusal:
        load_graph(tmp_path / "net.nir", dt_s=1e-3)
    assert "IF nodes cell have a gain" in str(refusal.value)
    assert "reset" in str(refusal.value)

"""Conventions of frameworks: what a file means under `framework=`, by hand and by formula."""

from __future__ import annotations

import itertools
import typing
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_oracle import run_nir

from spikeport.errors import UserError
from spikeport.export.graph.frameworks import FRAMEWORKS, framework_of, lambert_w
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.lowering.discretize import euler_step
from spikeport.pipeline.cli.options import From

WEIGHT = np.array([[0.5, -0.25, 0.75], [0.375, 0.5, -0.125]])


def written(path: Path, cell: nir.NIRNode, shape: tuple[int, ...] = (3,)) -> Path:
    nodes = {
        "input": nir.Input({"input": np.array(shape)}),
        "fc": nir.Linear(WEIGHT),
        "cell": cell,
        "output": nir.Output({"output": np.array((*shape[:-1], 2))}),
    }
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "output")]
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    return path


def full(value: float) -> np.ndarray:
    return np.full(2, value)


def lif(tau: float, r: float, threshold: float = 0.6) -> nir.LIF:
    return nir.LIF(tau=full(tau), r=full(r), v_leak=full(0.0), v_threshold=full(threshold), v_reset=full(0.0))


def step_of(path: Path, framework: str, **options: object):
    graph = load_graph(path, framework=framework, **{"reset": "zero", **options})
    return graph, euler_step("cell", graph.nir_graph.nodes["cell"], graph.dt_s)


def test_the_option_lists_the_table():
    literal = typing.get_args(typing.get_args(From)[0])[0]
    assert set(typing.get_args(literal)) == set(FRAMEWORKS)
    for name, row in FRAMEWORKS.items():
        assert row.name == name
        assert row.title in {"snnTorch", "Norse", "Sinabs", "SpikingJelly", "Rockpool", "Spyx", "Nengo",
                             "SLAYER (lava-dl)"}  # fmt: skip


def test_an_unknown_framework_is_refused_with_the_names():
    with pytest.raises(UserError, match=r"'brian' is unknown.*snntorch, norse"):
        framework_of("brian")


@pytest.mark.parametrize("w", [0.0, 1e-6, 0.04, 0.37, 2.5, 9.0])
def test_lambert_w_inverts_w_exp_w(w):
    assert lambert_w(np.array(w * np.exp(w))) == pytest.approx(w, rel=1e-12, abs=1e-15)


def test_rockpool_tells_its_step_by_lambert_w(tmp_path):
    """v <- exp(-dt/tau) v + I with r = (tau / dt) exp(-dt / tau): dt, decay and gain are all found again."""
    dt, tau = 1e-4, 2.5e-3
    r = tau / dt * np.exp(-dt / tau)  # 24.02
    graph, step = step_of(written(tmp_path / "net.nir", lif(tau, r)), "rockpool")
    assert graph.dt_s == pytest.approx(dt, rel=1e-6)
    assert step.v_decay == pytest.approx(1 - np.exp(-dt / tau), rel=1e-6)
    assert step.gain == 1
    assert graph.fires_at == ">="


def test_sinabs_counts_steps_and_decays_exponentially(tmp_path):
    graph, step = step_of(written(tmp_path / "net.nir", lif(3.0, 1.0)), "sinabs")
    assert graph.dt_s == 1e-3
    assert step.v_decay == pytest.approx(1 - np.exp(-1 / 3), rel=1e-12)
    assert step.gain == pytest.approx(step.v_decay, rel=1e-12)  # norm_input: (1 - alpha) x
    given, step_given = step_of(tmp_path / "net.nir", "sinabs", dt_s=5e-3)  # a step lasts longer, and does the same
    assert given.dt_s == 5e-3
    assert step_given.v_decay == pytest.approx(step.v_decay, rel=1e-12)


def test_sinabs_shapes_begin_with_time(tmp_path):
    graph = load_graph(written(tmp_path / "net.nir", lif(3.0, 1.0), (10, 3)), framework="sinabs", reset="zero")
    assert graph.input_shape == (3,)
    assert len(graph.chain()) == 2


@pytest.mark.parametrize(("dt", "argument"), [(1e-3, 1.0), (1e-6, 1e-3)])
def test_norse_writes_tau_times_its_argument(tmp_path, dt, argument):
    """tau = argument / tau_inv: with the default 1e-3 it is a thousand times too short, and dt is 1e-6."""
    tau_inv = 0.25 / 1e-3  # Norse ran v += 1e-3 tau_inv (...): a decay of 0.25
    graph, step = step_of(written(tmp_path / "net.nir", lif(argument / tau_inv, 1.0)), "norse", reset=None)
    assert graph.dt_s == dt
    assert step.v_decay == pytest.approx(0.25)
    assert step.gain == pytest.approx(0.25)
    assert (graph.reset, graph.fires_at) == ("zero", ">")


def test_norse_leaves_out_the_jump_of_the_current(tmp_path):
    cell = nir.CubaLIF(tau_syn=full(2e-3), tau_mem=full(4e-3), r=full(1.0), v_leak=full(0.0), v_threshold=full(0.3),
                       v_reset=full(0.0))  # fmt: skip
    _, step = step_of(written(tmp_path / "net.nir", cell), "norse")
    assert (step.i_decay, step.v_decay) == (0.5, 0.25)
    assert step.gain == pytest.approx(0.25)  # 1 into the current, 0.25 of the current into v


def test_spyx_states_its_step_by_r(tmp_path):
    """tau = dt / (1 - beta) and r = beta, while the neuron adds its input as it is."""
    beta = 0.7
    for dt in (1.0, 2e-3):
        graph, step = step_of(written(tmp_path / "net.nir", lif(dt / (1 - beta), beta)), "spyx")
        assert graph.dt_s == (1e-3 if dt == 1 else pytest.approx(dt, rel=1e-6))
        assert step.v_decay == pytest.approx(1 - beta, rel=1e-5)
        assert step.gain == pytest.approx(1)


def test_snntorch_without_leak_is_an_integrator(tmp_path):
    """beta = 1: snnTorch's exporter divides by zero, and writes tau and r as infinite."""
    graph, step = step_of(written(tmp_path / "net.nir", lif(np.inf, np.inf)), "snntorch")
    assert graph.dt_s == 1e-4
    assert (step.v_decay, step.gain) == (0.0, 1.0)


def test_nengo_spikes_have_the_height_1_over_dt(tmp_path):
    """Two layers: what a neuron hands on is 1 / dt for one step, so that a current lasts dt times that."""
    nodes = {
        "input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(WEIGHT), "first": lif(0.02, 1.0, 1e-3),
        "second_w": nir.Linear(np.eye(2) / 100), "second": lif(0.02, 1.0, 0.3),
        "output": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    names = list(nodes)
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False))
    graph = load_graph(tmp_path / "net.nir", framework="nengo")
    frames = np.ones((6, 3))
    keep, wanted, v = np.exp(-1e-3 / 0.02), [], np.zeros(2)
    for _ in frames:  # the first layer fires in every step: (1 - exp(-1 / 20)) 1.0 > 1e-3
        v = keep * v + (1 - keep) * 10  # 1 / dt / 100
        wanted.append(v > 0.3)
        v = np.where(v > 0.3, 0, v)
    assert np.array_equal(run_nir(graph.nir_graph, graph.dt_s, frames), np.array(wanted))


def test_slayer_files_are_net_files(tmp_path):
    with pytest.raises(UserError, match=r"SLAYER .*writes \.net files, not \.nir files"):
        load_graph(written(tmp_path / "net.nir", lif(3e-3, 1.0)), framework="slayer")


@pytest.mark.parametrize(
    ("framework", "how"),
    [
        ("snntorch", "reset_mechanism='zero'"),
        ("sinabs", "MembraneReset"),
        ("rockpool", "give --reset zero"),
        ("spyx", "give --reset zero"),
    ],
)
def test_a_subtractive_default_is_refused_with_both_ways(tmp_path, framework, how):
    path = written(tmp_path / "net.nir", lif(2e-3, 1.5))
    with pytest.raises(UserError) as refusal:
        load_graph(path, framework=framework)
    text = str(refusal.value)
    assert "reset 'subtract' cannot go to the chip" in text
    assert "spikeport adapt SOURCE --frames FRAMES.npz" in text
    assert how in text


def test_all_that_is_missing_comes_with_the_reset(tmp_path):
    with pytest.raises(UserError) as refusal:
        load_graph(written(tmp_path / "net.nir", nir.IF(r=full(1.0), v_threshold=full(0.6))), reset="subtract")
    assert "reset 'subtract' cannot go" in str(refusal.value)
    assert "does not state the time step" in str(refusal.value)


def test_a_saved_graph_keeps_the_comparison(tmp_path):
    graph = load_graph(written(tmp_path / "net.nir", nir.IF(r=full(1e4), v_threshold=full(0.6))),
                       framework="spikingjelly")  # fmt: skip
    assert (graph.dt_s, graph.reset, graph.fires_at) == (1e-4, "zero", ">=")
    graph.save(tmp_path / "again.nir")
    assert load_graph(tmp_path / "again.nir").fires_at == ">="
    with pytest.raises(UserError, match="framework = spikingjelly contradicts"):
        load_graph(tmp_path / "again.nir", framework="spikingjelly")

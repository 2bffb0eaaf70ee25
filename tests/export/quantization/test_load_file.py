"""What a .nir file does not state and what the chip refuses come in one answer; with its hints the file goes."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from nir_chains import dense_graph, lif, nir_chain, written

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.graph.structure import faults_of
from spikeport.export.quantization.load_file import load_file
from spikeport.export.quantization.quantize import quantize


def cuba(tau_mem: float, tau_syn: float, r: float, neurons: int = 3) -> nir.CubaLIF:
    """w_in is tau_syn / dt for a time step of 1e-4 s."""
    one = np.ones(neurons)
    return nir.CubaLIF(
        tau_mem=tau_mem * one, tau_syn=tau_syn * one, r=r * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one,
        w_in=1e4 * tau_syn * one,
    )  # fmt: skip


def affine(outputs: int, inputs: int) -> nir.Affine:
    return nir.Affine(np.arange(1.0, 1 + outputs * inputs).reshape(outputs, inputs), np.ones(outputs))


def braille(path: Path, last: nir.CubaLIF) -> Path:
    """Two layers with biases before synaptic currents, as the networks of the NIR paper."""
    graph = nir_chain((2,), fc1=affine(3, 2), lif1=cuba(1e-3, 2e-4, 10.0), fc2=affine(3, 3), lif2=last)
    return written(path, graph)


def faults(path: Path, **given) -> list[UserError]:
    with pytest.raises(UserError) as refusal:
        load_file(path, **given)
    return list(faults_of(refusal.value))


def test_biases_are_named_with_the_question_for_the_reset(tmp_path: Path) -> None:
    file = braille(tmp_path / "net.nir", cuba(1e-3, 4e-4, 10.0))
    found = faults(file)
    assert [fault.where for fault in found] == [str(file), "fc1", "fc2"]
    assert "does not state how neurons reset" in found[0].message
    assert "(i_decay 2048 of 4096)" in found[1].message  # dt / tau_syn = 1/2
    assert "(i_decay 1024 of 4096)" in found[2].message
    quantize(load_file(file, reset="zero", bias="neuron"))  # the two hints together


def test_biases_are_named_where_the_time_step_is_not_known_either(tmp_path: Path) -> None:
    """tau/r is 1e-4 and 5e-5: the decay is not known, but that the current lasts is."""
    file = braille(tmp_path / "net.nir", cuba(1e-3, 4e-4, 20.0))
    found = faults(file)
    assert [fault.where for fault in found] == [str(file), str(file), "fc1", "fc2"]
    assert "time step" in found[1].message
    assert "unless dt is its tau_syn, 0.0002 s" in found[2].message
    assert "unless dt is its tau_syn, 0.0004 s" in found[3].message
    quantize(load_file(file, reset="zero", bias="neuron", dt_s=1e-4))


def test_the_unit_of_r_is_asked_with_the_time_step(tmp_path: Path) -> None:
    """The NIR paper's CNN by Sinabs: reset, time step and unit of r at once, and nothing more."""
    one = np.ones(3)
    cell = nir.IF(r=one, v_threshold=one, v_reset=0 * one)
    file = written(tmp_path / "net.nir", dense_graph(cell=cell))
    found = faults(file)
    assert len(found) == 3
    assert "--reset zero" in found[0].hint
    assert "--dt" in found[1].hint
    assert "--if-gain" in found[2].hint
    quantize(load_file(file, reset="zero", dt_s=1e-3, if_gain="per_step"))
    assert len(faults(file, if_gain="per_step")) == 2


def test_a_shape_with_time_is_asked_for_at_once_and_the_hint_is_right(tmp_path: Path) -> None:
    """Sinabs's (10, 2) for ten steps of two inputs."""
    graph = dense_graph(cell=lif())
    graph.nodes["input"] = nir.Input({"input": np.array([10, 2])})
    file = written(tmp_path / "net.nir", graph)
    found = faults(file)
    assert len(found) == 2
    assert "the input shape (10, 2) is neither" in found[1].message
    assert found[1].hint.endswith("--input-shape 2")
    quantize(load_file(file, reset="zero", input_shape=(2,)))


def test_neurons_of_another_shape_are_named_beside_biases(tmp_path: Path) -> None:
    file = braille(tmp_path / "net.nir", cuba(1e-3, 4e-4, 10.0, neurons=5))
    with pytest.raises(UserError) as refusal:
        quantize(load_file(file, reset="zero"))
    found = list(faults_of(refusal.value))
    assert [fault.where for fault in found] == ["lif2", "fc1", "fc2"]
    assert "has shape (5,), the layer before gives (3,)" in found[0].message
    assert "compare" in found[0].hint
    assert [fault.where for fault in faults(file)] == [str(file), "lif2", "fc1", "fc2"]


def test_a_file_without_an_input_names_all_faults(tmp_path: Path) -> None:
    graph = dense_graph(cell=lif(), odd=nir.Threshold(np.ones(3)))
    del graph.nodes["input"]
    graph.edges = [edge for edge in graph.edges if "input" not in edge]
    file = written(tmp_path / "net.nir", graph)
    for given, questions in (({}, 1), ({"reset": "zero"}, 0)):
        found = faults(file, **given)
        assert [fault.where for fault in found[questions:]] == ["odd", "", "fc"]
        assert "no Input node" in found[questions + 1].message


def test_a_subtractive_reset_hides_nothing(tmp_path: Path) -> None:
    file = braille(tmp_path / "net.nir", cuba(1e-3, 4e-4, 10.0))
    assert [fault.where for fault in faults(file, reset="subtract")] == [str(file), "fc1", "fc2"]


def test_a_file_that_goes_is_read_as_before(tmp_path: Path) -> None:
    file = written(tmp_path / "net.nir", dense_graph(cell=lif()))
    assert load_file(file, reset="zero").notes == load_graph(file, reset="zero").notes


def test_a_damaged_file_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "net.nir").write_bytes(b"no HDF5")
    assert len(faults(tmp_path / "net.nir")) == 1

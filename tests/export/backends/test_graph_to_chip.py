"""The whole compiler: NIR file -> integers -> netx file -> reference, and a student on its way there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from random_graphs import random_graph
from random_networks import integer_loop, integer_states

from spikeport.errors import UserError
from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.pipeline.training.qat import quantize as quantize_student
from spikeport.pipeline.training.scaling import scales


def test_the_sinabs_network_survives_netx_and_runs(tmp_path: Path, shared_data: Path):
    graph = load_graph(shared_data / "nir" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero", if_gain="per_step")
    network, _ = quantize(graph)
    write_netx(network, tmp_path / "cnn.net")
    read = read_netx(tmp_path / "cnn.net")
    for ours, theirs in zip(network.layers, read.layers, strict=True):
        assert_array_equal(ours.weight, theirs.weight)
        assert (ours.vth_mant, ours.v_decay, ours.output_shape) == (
            theirs.vth_mant,
            theirs.v_decay,
            theirs.output_shape,
        )
    frames = (np.random.default_rng(3).random((1, 4, 2, 34, 34)) < 0.15).astype(np.uint8)
    layers = simulate(read, frames, keep_layers=True).layer_spikes
    assert layers is not None
    for found, expected in zip(layers, integer_loop(network, frames[0]), strict=True):
        assert_array_equal(found[0], expected)
    assert layers[0].any()


@pytest.mark.parametrize("downsample", ["avgpool", "stride"])
def test_a_quantized_student_its_file_and_the_reference_fire_alike(tmp_path: Path, downsample):
    """What was trained is what runs, through .nir and back, every layer, every step."""
    torch.manual_seed(11)
    recipe = StudentRecipe(channels=(3, 5), hidden=9, downsample=downsample, v_threshold=0.2)
    student = build_student(recipe, (2, 12, 16), 4)
    frames = (np.random.default_rng(5).random((3, 6, 2, 12, 16)) < 0.4).astype(np.uint8)
    moving = torch.as_tensor(frames).transpose(0, 1).float()
    student.train()
    for _ in range(3):
        student(moving)  # gives batch norm statistics that are not the initial ones
    quantized = quantize_student(fold_batch_norm(student))
    to_spiking_graph(quantized.deployed(), (2, 12, 16), 1e-3, scales(quantized)).save(tmp_path / "student.nir")
    network, table = quantize(load_graph(tmp_path / "student.nir"))
    assert all(row.exact and row.weight_error == row.bias_error == row.threshold_error == 0 for row in table)
    with torch.no_grad():
        expected = [spikes.transpose(0, 1).numpy() for spikes in quantized(moving).layer_spikes]
    found = simulate(network, frames, keep_layers=True).layer_spikes
    assert found is not None
    for layer, trained in zip(found, expected, strict=True):
        assert_array_equal(layer.reshape(trained.shape), trained)
    assert all(0 < layer.mean() < 1 for layer in expected)


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_graphs_run_in_lava_as_in_the_reference_and_by_the_equations(tmp_path: Path):
    """From a NIR graph through its .net to Lava: recurrence, delays, rows, bias neurons, voltages; every layer."""
    ran = 0
    with LavaWorker() as worker:
        for seed in range(24):
            rng = np.random.default_rng(seed)
            graph, frames = random_graph(rng, slow=seed % 3 == 0)
            try:
                network, _ = quantize(graph)
            except UserError:
                continue
            write_netx(network, tmp_path / f"{seed}.net")
            network = read_netx(tmp_path / f"{seed}.net")
            expected = integer_states(network, frames)
            ours = simulate(network, frames[None], keep_layers=True)
            lavas = worker.simulate(network, frames[None], keep_layers=True, timeout_s=1800)
            for index, (spikes, _) in enumerate(expected):
                for trace in (ours, lavas):
                    assert_array_equal(trace.layer_spikes[index][0].reshape(spikes.shape), spikes)
            if network.readout.kind == "membrane":
                for trace in (ours, lavas):
                    assert_array_equal(trace.membrane[0], expected[-1][1].reshape(len(frames), -1))
            ran += 1
    assert ran >= 15


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_the_braille_network_with_bias_neurons_runs_in_lava(shared_data: Path):
    """Each of five inputs alone: the reference and Lava fire the same spikes in all three layers."""
    graph = load_graph(shared_data / "nir" / "braille_noDelay_bias_zero.nir", reset="zero", bias="neuron")
    network, _ = quantize(graph)
    rng = np.random.default_rng(13)
    frames = np.stack([np.eye(12)[channel] * (rng.random((40, 1)) < 0.5) for channel in (0, 4, 6, 8, 10)])
    frames = frames.astype(np.uint8)
    ours = simulate(network, frames, keep_layers=True)
    with LavaWorker() as worker:
        lavas = worker.simulate(network, frames, keep_layers=True, timeout_s=1800)
    for mine, theirs in zip(ours.layer_spikes, lavas.layer_spikes, strict=True):
        assert_array_equal(mine, theirs)
    assert 0 < ours.spikes.mean() < 1

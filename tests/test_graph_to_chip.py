"""The whole compiler: NIR file -> integers -> netx file -> reference, and a student on its way there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from random_networks import integer_loop

from export.from_snntorch import to_spiking_graph
from export.netx import read_netx, write_netx
from export.quantise import quantise
from export.reference import simulate
from export.spiking_graph import load_graph
from pipeline.networks.students import build_student
from pipeline.quantisation import fold_batch_norm, scales
from pipeline.quantisation import quantise as quantise_student
from pipeline.recipe import Student as StudentRecipe


def test_the_sinabs_network_survives_netx_and_runs(tmp_path: Path, shared_data: Path):
    graph = load_graph(shared_data / "nir" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero", if_r="per_step")
    network, _ = quantise(graph)
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
def test_a_quantised_student_its_file_and_the_reference_fire_alike(tmp_path: Path, downsample):
    """What was trained is what runs, through .nir and back, every layer, every step."""
    torch.manual_seed(11)
    recipe = StudentRecipe(channels=(3, 5), hidden=9, downsample=downsample, v_threshold=0.2)
    student = build_student(recipe, (2, 12, 16), 4)
    frames = (np.random.default_rng(5).random((3, 6, 2, 12, 16)) < 0.4).astype(np.uint8)
    moving = torch.as_tensor(frames).transpose(0, 1).float()
    student.train()
    for _ in range(3):
        student(moving)  # gives batch norm statistics that are not the initial ones
    quantised = quantise_student(fold_batch_norm(student))
    to_spiking_graph(quantised.deployed(), (2, 12, 16), 1e-3, scales(quantised)).save(tmp_path / "student.nir")
    network, table = quantise(load_graph(tmp_path / "student.nir"))
    assert all(row.exact and row.weight_error == row.bias_error == row.threshold_error == 0 for row in table)
    with torch.no_grad():
        expected = [spikes.transpose(0, 1).numpy() for spikes in quantised(moving).layer_spikes]
    found = simulate(network, frames, keep_layers=True).layer_spikes
    assert found is not None
    for layer, trained in zip(found, expected, strict=True):
        assert_array_equal(layer.reshape(trained.shape), trained)
    assert all(0 < layer.mean() < 1 for layer in expected)

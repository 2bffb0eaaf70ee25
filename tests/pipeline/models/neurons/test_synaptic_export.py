"""Students with synaptic currents: what is quantized and exported is what the integer network runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_data import CLASSES, tiny_dataset, tiny_recipe
from torch import nn

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import classify
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic
from spikeport.pipeline.models.storage import load_student, save_student
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.training.qat import qat_finetune, quantize
from spikeport.pipeline.training.scaling import scales
from spikeport.pipeline.training.train import initial_student, train_student

CHIP_CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "stride": ({"network": "conv", "channels": [3, 4], "kernel": 5}, (2, 9, 11)),
    "vgg": ({"network": "vgg-snn", "width": 0.07}, (2, 16, 32)),
    "mlp": ({"network": "mlp", "layers": [9, 7]}, (2, 4, 3)),
}


@settings(max_examples=12, deadline=None)
@given(
    case=st.sampled_from(list(CHIP_CASES)),
    alpha=st.floats(1 / 4096, 0.95),
    beta=st.floats(0.0, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_quantized_student_is_what_the_reference_runs(case: str, alpha: float, beta: float, seed: int) -> None:
    """Every layer, every spike; weights as after some training."""
    options, shape = CHIP_CASES[case]
    recipe = tiny_recipe(student={**options, "neuron": "synaptic", "alpha": alpha, "beta": beta, "v_threshold": 0.7})
    torch.manual_seed(seed)
    network = build_student(recipe.student, shape, 5).eval()
    for module in network.modules():
        if isinstance(module, BatchRMSNorm):
            nn.init.uniform_(module.weight, 0.3, 2.0)
            nn.init.uniform_(module.mean_square, 0.05, 0.4)
        if isinstance(module, LoihiSynaptic):
            nn.init.uniform_(module.bias, -0.4, 0.4)
    built = quantize(fold_batch_norm(network))
    frames = (torch.rand(7, 3, *shape) < 0.3).float()
    trace = simulate(exported(built, shape), as_samples(frames), keep_layers=True)
    assert trace.layer_spikes is not None
    for ours, theirs in zip(built(frames).layer_spikes, trace.layer_spikes, strict=True):
        expected = ours.transpose(0, 1).detach().numpy()
        np.testing.assert_array_equal(np.reshape(theirs, expected.shape), expected)


def test_the_exported_integers() -> None:
    """Both decays, weights, biases and thresholds of every layer are the student's own."""
    options, shape = CHIP_CASES["mlp"]
    torch.manual_seed(2)
    synaptic = {"neuron": "synaptic", "alpha": 0.7, "beta": 0.9}
    network = build_student(tiny_recipe(student={**options, **synaptic}).student, shape, 5)
    for cell in network.neurons():
        nn.init.uniform_(cell.bias, -0.5, 0.5)
    built = quantize(fold_batch_norm(network))
    synapses = [layer for _, layer in built.deployed() if isinstance(layer, nn.Linear)]
    layers = [layer for layer in exported(built, shape).layers if layer.kind != "input"]
    assert len(layers) == 3
    for layer, synapse, cell in zip(layers, synapses, built.neurons(), strict=True):
        assert (layer.i_decay, layer.v_decay) == (round(4096 * 0.3), round(4096 * 0.1))
        assert synapse.bias is None
        scale = float(cell.scale)
        assert np.array_equal(layer.weight.reshape(synapse.weight.shape), synapse.weight.detach().numpy() * scale)
        assert np.array_equal(layer.bias, cell.bias.detach().numpy() * scale)
        assert np.any(layer.bias)
        assert layer.vth_mant == float(cell.threshold) * scale


def test_a_student_learns_is_tuned_kept_and_exported(tmp_path: Path) -> None:
    """With synaptic currents from the first epoch to the chip's integers, and back from its files."""
    student, training = {"channels": [6], "neuron": "synaptic", "alpha": 0.4}, {"epochs": 10, "lr": 0.01}
    recipe, dataset = tiny_recipe(student=student, training=training), tiny_dataset(train=90)
    fresh = initial_student(recipe, dataset)
    before = [cell.bias.detach().clone() for cell in fresh.neurons()]
    assert all(isinstance(cell, LoihiSynaptic) and float(cell.alpha) == pytest.approx(0.4) for cell in fresh.neurons())
    trained = train_student(recipe, dataset, None, "baseline", tmp_path / "train")
    assert all(bool((old != cell.bias).any()) for old, cell in zip(before, trained.neurons(), strict=True))
    save_student(trained, tmp_path / "float.safetensors")
    shape = dataset.test.frames.shape[2:]
    loaded = load_student(recipe, shape, len(CLASSES), tmp_path / "float.safetensors")
    frames = dataset.test.frames
    assert np.array_equal(predict_spikes(loaded, frames), predict_spikes(trained, frames))
    tuned = qat_finetune(recipe, dataset, trained, tmp_path / "tune")
    save_student(tuned, tmp_path / "quantized.safetensors")
    loaded = load_student(recipe, shape, len(CLASSES), tmp_path / "quantized.safetensors", "quantized")
    assert all(cell.i_decay == round(4096 * 0.6) for cell in loaded.neurons())
    expected = predict_spikes(loaded, frames)
    assert np.mean(classify(expected) == dataset.test.labels) > 0.6  # chance: a third
    assert np.array_equal(expected, predict_spikes(tuned, frames))
    assert np.array_equal(simulate(exported(loaded, shape), frames).spikes, expected)


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ({"neuron": "synaptic", "alpha": 1.0}, "alpha must be at most 4095/4096"),
        ({"neuron": "synaptic", "alpha": 0.5, "beta": 0.99999}, "beta must be at most 4095/4096"),
        ({"neuron": "synaptic", "alpha": 1e-5}, "alpha must be at least 1/4096"),
        ({"neuron": "synaptic"}, "student: neuron = 'synaptic' needs alpha.* Hint: set student.alpha"),
        ({"alpha": 0.5}, "student: neuron = 'leaky' has no synaptic current.* Hint: .*neuron = \"synaptic\""),
        ({"neuron": "recurrent", "alpha": 0.5}, "neuron = 'recurrent' has no synaptic current"),
    ],
)
def test_decays_that_the_chip_has_not_are_said_at_once(student: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        tiny_recipe(student=student)


def test_a_bias_that_does_not_fit_is_refused() -> None:
    modules: list[tuple[str, nn.Module]] = [("fc", nn.Linear(2, 3, bias=False)), ("cell", LoihiSynaptic(4, 0.5, 0.5))]
    with pytest.raises(UserError, match=r"cell: bias has shape \(4,\), the layer \(3,\)"):
        to_spiking_graph(modules, (2,), 0.001)


def exported(network: Student, shape: tuple[int, ...]) -> IntegerNetwork:
    chip, _ = quantize_graph(to_spiking_graph(network.deployed(), shape, 0.001, scales(network)))
    return chip


def as_samples(frames: torch.Tensor) -> np.ndarray:
    return frames.transpose(0, 1).numpy().astype(np.uint8)

"""A neuron model from outside the package: trained, quantized and exported through the table, by its name alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from learning_data import CLASSES, tiny_dataset, tiny_recipe
from snntorch import surrogate
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.network.readout import classify
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.neurons.base import SLOPE, LoihiNeuron, NeuronModel
from spikeport.pipeline.models.neurons.table import NEURONS, make_neurons, neuron_model
from spikeport.pipeline.models.storage import load_student, save_student
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.scaling import scales
from spikeport.pipeline.training.train import initial_student, train_student


class LoihiPlif(LoihiNeuron):
    """Leaky neurons whose decay is learned: v[t] = sigmoid(logit) v[t-1] + I[t], reset to zero (Fang et al. 2021)."""

    def __init__(self, beta: float, threshold: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.logit(torch.tensor(beta)))
        self.register_buffer("threshold", torch.tensor(threshold))
        self.register_buffer("scale", torch.tensor(1.0))
        self.numerics, self.spike_grad = "float", surrogate.fast_sigmoid(slope=SLOPE)

    @property
    def v_decay(self) -> int:
        return round(4096 * (1 - float(self.logit.detach().sigmoid())))

    def round_decays(self) -> None:
        """`v_decay` rounds whenever it is read."""

    def forward(self, currents: Tensor) -> tuple[Tensor, Tensor]:
        beta, mem, integer = self.logit.sigmoid(), currents[0] * 0, currents[0].double() * 0
        spikes, membranes = [], []
        for current in currents:
            v = beta * mem + current
            spike = self.spike_grad(v - self.threshold)
            if self.numerics == "loihi":  # the chip's values, the float equations' gradient
                decayed = torch.trunc(integer * (4096 - self.v_decay) / 4096)
                integer = (decayed + 64 * (current.detach().double() * self.scale).round()).clamp(1 - 2**23, 2**23 - 1)
                fired = integer > 64 * self.vth_mant
                spike = spike + (fired.to(spike) - spike).detach()
                v = v + (integer / (64 * self.scale) - v).detach().to(v)
                integer = integer * ~fired
            spikes.append(spike)
            membranes.append(v)
            mem = v * (1 - spike)
        return torch.stack(spikes), torch.stack(membranes)

    def to_nir(self, name: str, shape: tuple[int, ...], dt_s: float) -> nir.NIRNode:
        tau = np.full(shape, dt_s * 4096 / self.v_decay)
        threshold = np.full(shape, float(self.threshold))
        return nir.LIF(tau=tau, r=tau / dt_s, v_leak=np.zeros(shape), v_threshold=threshold, v_reset=np.zeros(shape))


class Plif(NeuronModel):
    summary = "leaky, with a learned decay"

    def make(self, recipe: StudentRecipe, size: int) -> LoihiPlif:
        return LoihiPlif(recipe.beta, recipe.v_threshold)


@pytest.mark.parametrize("through", ["recipe", "table"])
def test_it_learns_is_quantized_and_exported(through: str, tmp_path: Path, monkeypatch) -> None:
    if through == "table":
        monkeypatch.setitem(NEURONS, "plif", Plif())
    neuron = "plif" if through == "table" else f"{__name__}:Plif"
    student: dict[str, Any] = {"channels": [6], "hidden": 7, "neuron": neuron, "beta": 0.6}
    recipe, dataset = tiny_recipe(student=student, training={"epochs": 10, "lr": 0.01}), tiny_dataset(train=90)
    fresh = initial_student(recipe, dataset)
    assert [type(neurons) for neurons in fresh.neurons()] == 3 * [LoihiPlif]
    trained = train_student(recipe, dataset, None, "baseline", tmp_path / "train")
    logits = [float(neurons.logit.detach()) for neurons in trained.neurons()]
    assert all(abs(logit - float(fresh.output_neurons.logit.detach())) > 0.01 for logit in logits)
    assert len(set(logits)) == 3
    tuned = qat_finetune(recipe, dataset, trained, tmp_path / "tune")
    save_student(tuned, tmp_path / "quantized.safetensors")
    shape, frames = dataset.test.frames.shape[2:], dataset.test.frames
    loaded = load_student(recipe, shape, len(CLASSES), tmp_path / "quantized.safetensors", "quantized")
    network, _ = quantize_graph(to_spiking_graph(loaded.deployed(), shape, 0.001, scales(loaded)))
    assert [layer.v_decay for layer in network.layers] == [neurons.v_decay for neurons in loaded.neurons()]
    expected = predict_spikes(loaded, frames)
    assert np.mean(classify(expected) == dataset.test.labels) > 0.6  # chance: a third
    assert np.array_equal(simulate(network, frames).spikes, expected)


def test_what_is_no_neuron_model_is_an_error() -> None:
    for name, words in (
        ("lif", r"student.neuron: 'lif' is not a neuron model\. Hint: use one of leaky, synaptic, recurrent, package"),
        ("os:sep", r"student.neuron: 'os:sep' is a str, not a NeuronModel"),
        ("no_such_module:x", r"student.neuron: 'no_such_module:x' cannot be imported"),
    ):
        with pytest.raises(UserError, match=words):
            neuron_model(name)


def test_where_a_model_does_not_stand_neurons_are_leaky() -> None:
    recipe = StudentRecipe(neuron="recurrent", beta=0.25, v_threshold=0.5)
    kinds = [type(make_neurons(recipe, 4, place)).__name__ for place in ("conv", "dense", "output")]
    assert kinds == ["LoihiLeaky", "LoihiRecurrent", "LoihiLeaky"]

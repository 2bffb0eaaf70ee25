"""Folding is exact, scaling changes no spike, and a quantized student is the integer network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_data import CLASSES, tiny_dataset, tiny_recipe
from torch import nn

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.storage import load_student, save_student
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.training.evaluate import student_accuracy
from spikeport.pipeline.training.qat import qat_finetune, quantize
from spikeport.pipeline.training.scaling import rescale, scales
from spikeport.pipeline.training.train import initial_student, train_student, train_teacher

SHAPE = (2, 8, 12)
NETWORKS = {
    "stride": {"channels": (3, 5), "downsample": "stride"},
    "stride-hidden": {"channels": (3,), "hidden": 6, "kernel": 5},
    "avgpool": {"channels": (3, 5), "downsample": "avgpool"},
    "avgpool-hidden": {"channels": (4,), "downsample": "avgpool", "hidden": 6},
}


def student(kind: str, seed: int = 0, **options: object) -> Student:
    """Random weights, and batch norm with statistics and gains as after some training."""
    torch.manual_seed(seed)
    recipe = tiny_recipe(student={"v_threshold": 0.5, **NETWORKS[kind], **options})
    network = build_student(recipe.student, SHAPE, 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.3, 0.6)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.05, 0.6)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.05, 0.25)
    return network.eval()


def random_frames(seed: int, batch: int = 6, steps: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *SHAPE, generator=generator) < 0.35).float()


def integers(network: Student) -> list[dict]:
    """Each layer's integers, from its floats and scale; fails where they are none."""
    layers, pooled, names = [], 1, scales(network)
    for name, layer in network.deployed():
        if isinstance(layer, nn.AvgPool2d):
            pooled = layer.kernel_size**2
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            weight = layer.weight.detach().double().numpy() * names[name]
            bias = layer.bias.detach().double().numpy() * names[name] * pooled
            entry = {"layer": layer, "weight": weight, "bias": bias, "sums": pooled}
        elif isinstance(layer, LoihiLeaky):
            entry |= {"vth": float(layer.threshold) * float(layer.scale), "decay": (1 - float(layer.beta)) * 4096}
            for key in ("weight", "bias", "vth", "decay"):
                whole = np.rint(entry[key]).astype(np.int64)
                assert np.array_equal(whole, entry[key]), f"{name}: {key} holds values that are not integers"
                entry[key] = whole
            layers.append(entry)
            pooled = 1
    return layers


def integer_network(layers: list[dict], frames: np.ndarray) -> list[np.ndarray]:
    """Every layer's spikes [T, B, ...] in int64, time step by time step, from the equations alone."""
    spikes, found = frames.astype(np.int64), []
    for layer in layers:
        if layer["sums"] > 1:
            t, b, c, h, w = spikes.shape
            spikes = spikes.reshape(t, b, c, h // 2, 2, w // 2, 2).sum((4, 6))
        steps, v, out = len(spikes), 0, []
        for t in range(steps):
            a, bias = synapse(layer, spikes[t]), layer["bias"]
            bias = bias.reshape(-1, 1, 1) if a.ndim == 4 else bias
            v = np.sign(v) * (np.abs(v) * (4096 - layer["decay"]) // 4096) + 64 * a + 64 * bias
            v = np.clip(v, -(2**23) + 1, 2**23 - 1)
            fired = v > 64 * layer["vth"]
            v = np.where(fired, 0, v)
            out.append(fired)
        spikes = np.stack(out).astype(np.int64)
        found.append(spikes)
    return found


def synapse(layer: dict, x: np.ndarray) -> np.ndarray:
    module, weight = layer["layer"], layer["weight"]
    if isinstance(module, nn.Linear):
        return x.reshape(len(x), -1) @ weight.T
    (pad, _), (stride, _) = module.padding, module.stride
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("bchwij,ocij->bohw", windows, weight)


@pytest.mark.parametrize("kind", NETWORKS)
def test_folding_batch_norm_is_exact(kind: str) -> None:
    """Membranes agree to float32 rounding (1e-5 at membranes of order 1, sums of 50 terms), and no spike
    differs."""
    network = student(kind)
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())  # the original is whole
    first = [layer for name, layer in network.deployed() if name in ("conv1", "norm1")]
    images = torch.randn(9, *SHAPE)
    torch.testing.assert_close(folded.backbone["conv1"](images), nn.Sequential(*first)(images), atol=1e-5, rtol=0)
    frames = random_frames(1, batch=20)
    before, after = network(frames), folded(frames)
    assert all(torch.equal(*pair) for pair in zip(before.layer_spikes, after.layer_spikes, strict=True))
    assert all(0.01 < spikes.mean() < 0.9 for spikes in before.layer_spikes[:-1])
    torch.testing.assert_close(after.features, before.features, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_rescaling_fills_the_range_and_changes_no_spike(kind: str) -> None:
    folded = fold_batch_norm(student(kind))
    scaled = rescale(folded)
    frames = random_frames(2, batch=20)
    pairs = zip(folded(frames).layer_spikes, scaled(frames).layer_spikes, strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    for name, scale in scales(scaled).items():
        weight = dict(scaled.deployed())[name].weight
        assert np.log2(scale) == round(np.log2(scale))
        assert float(weight.detach().abs().max()) * scale == pytest.approx(254, rel=1e-6)


def test_large_biases_narrow_the_weights() -> None:
    """A bias 40 times the largest weight: it takes its whole range of 4095, and the weights what is left of
    theirs."""
    folded = fold_batch_norm(student("avgpool"))
    conv = folded.backbone["conv2"]
    with torch.no_grad():
        conv.bias[0] = 40 * conv.weight.abs().max()
    layer = integers(quantize(folded))[1]
    assert layer["bias"].max() == 4095
    assert np.abs(layer["weight"]).max() == 2 * round(4095 / (40 * 4) / 2)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(list(NETWORKS)),
    seed=st.integers(0, 10**6),
    beta=st.floats(0, 1),
    v_threshold=st.sampled_from([0.3, 1.0, 2.7]),
)
def test_a_quantized_student_is_the_integer_network(kind: str, seed: int, beta: float, v_threshold: float) -> None:
    """Spikes of all layers equal those of int64 NumPy, for every decay, with and without average pools."""
    network = quantize(fold_batch_norm(student(kind, seed, beta=beta, v_threshold=v_threshold)))
    frames = random_frames(seed + 1)
    layers = integers(network)
    for layer in layers:
        assert not (layer["weight"] % 2).any()
        assert np.abs(layer["weight"]).max() <= 254
        assert np.abs(layer["bias"]).max() <= 4095
        assert 1 <= layer["vth"] <= 131071
    expected = integer_network(layers, frames.numpy())
    found = network(frames).layer_spikes
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.detach().numpy(), other)


@pytest.mark.parametrize("kind", NETWORKS)
def test_export_finds_the_same_integers_and_the_reference_the_same_spikes(kind: str, tmp_path: Path) -> None:
    """A quantized student through NIR onto integers loses nothing."""
    network = quantize(fold_batch_norm(student(kind, 5)))
    graph = to_spiking_graph(network.deployed(), SHAPE, 0.001, scales(network))
    chip, _ = quantize_graph(graph)
    for layer, expected in zip(chip.layers, integers(network), strict=True):
        assert layer.vth_mant == expected["vth"]
        assert layer.v_decay == expected["decay"]
        assert np.array_equal(layer.bias, expected["bias"])
    frames = random_frames(6, batch=9)
    trace = simulate(chip, frames.transpose(0, 1).numpy().astype(np.uint8), keep_layers=True)
    found = network(frames).layer_spikes
    assert trace.layer_spikes is not None
    for one, other in zip(found, trace.layer_spikes, strict=True):
        assert np.array_equal(one.transpose(0, 1).detach().numpy(), other)
    assert found[0].any()


def test_fine_tuning_stays_on_the_grid_and_never_ends_below_where_it_began(tmp_path: Path) -> None:
    recipe, data = tiny_recipe(training={"epochs": 8}, quantization={"epochs": 4, "lr": 0.002}), tiny_dataset()
    trained = train_student(recipe, data, None, "baseline", tmp_path / "student")
    before = {key: tensor.clone() for key, tensor in trained.state_dict().items()}
    tuned = qat_finetune(recipe, data, trained, tmp_path / "tuned")
    rounded = quantize(fold_batch_norm(trained))
    assert all(torch.equal(before[key], tensor) for key, tensor in trained.state_dict().items())
    rows = [json.loads(line) for line in (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines()]
    accuracies = [student_accuracy(rounded, data.validation), *(row["validation_accuracy"] for row in rows)]
    assert student_accuracy(tuned, data.validation) == max(accuracies)
    assert [row["stage"] for row in rows] == ["quantization"] * 4
    frames = torch.from_numpy(data.test.frames).transpose(0, 1).float()
    expected = integer_network(integers(tuned), frames.numpy())[-1]
    assert np.array_equal(tuned(frames).spikes.detach().numpy(), expected)
    moved = [
        not np.array_equal(a["weight"], b["weight"]) for a, b in zip(integers(tuned), integers(rounded), strict=True)
    ]
    assert any(moved) or accuracies[0] > max(accuracies[1:])


ADDED = {"loss": "logit_kd", "stream": "event", "weight": 0.5}
ON_IMAGES = {"loss": "tet", "stream": "hybrid"}


@pytest.mark.parametrize(
    ("losses", "method", "tuned_on"),
    [
        ([ADDED], None, {"event.tet"}),
        ([ADDED], "baseline", {"event.tet", "event.logit_kd"}),
        ([ON_IMAGES], None, {"event.tet"}),
        ([ON_IMAGES], "baseline", {"event.tet"}),
    ],
)
def test_qat_with_added_losses(tmp_path: Path, losses: list, method: str | None, tuned_on: set) -> None:
    """With events alone unless asked to tune as trained; never on the hybrid stream, which is gone by then."""
    recipe = tiny_recipe(
        distillation={"method": "baseline", "losses": losses}, training={"epochs": 1}, quantization={"epochs": 1}
    )
    data = tiny_dataset(paired_images=True)
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    student = train_student(recipe, data, teacher, "baseline", tmp_path / "student")
    qat_finetune(recipe, data, student, tmp_path / "tuned", method=method, teacher=teacher)
    (row,) = (json.loads(line) for line in (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines())
    assert {name for name in row if "." in name} == tuned_on


def test_fine_tuning_resumes_exactly(tmp_path: Path) -> None:
    """Stopped in the third of four epochs and taken up again: the weights of an unbroken one."""
    recipe, data = tiny_recipe(quantization={"epochs": 4, "lr": 0.002}), tiny_dataset()
    start = initial_student(recipe, data)

    class StopError(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if done > total / 2 + 1:
            raise StopError

    with pytest.raises(StopError):
        qat_finetune(recipe, data, start, tmp_path / "broken", stop)
    seen: list[int] = []
    resumed = qat_finetune(recipe, data, start, tmp_path / "broken", lambda done, total, what: seen.append(done))
    whole = qat_finetune(recipe, data, start, tmp_path / "whole")
    assert seen[0] == 9
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_no_epochs_only_round(tmp_path: Path) -> None:
    recipe, data = tiny_recipe(quantization={"epochs": 0}), tiny_dataset()
    start = initial_student(recipe, data)
    tuned, rounded = qat_finetune(recipe, data, start, tmp_path), quantize(fold_batch_norm(start))
    pairs = zip(tuned.state_dict().values(), rounded.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_a_quantized_student_survives_its_file(tmp_path: Path) -> None:
    recipe = tiny_recipe(student={"v_threshold": 0.5, **NETWORKS["avgpool"]})
    network = quantize(fold_batch_norm(student("avgpool")))
    save_student(network, tmp_path / "quantized.safetensors")
    loaded = load_student(recipe, SHAPE, len(CLASSES), tmp_path / "quantized.safetensors", "quantized")
    assert scales(loaded) == scales(network)
    frames = random_frames(3).transpose(0, 1).numpy().astype(np.uint8)
    assert np.array_equal(predict_spikes(loaded, frames), predict_spikes(network, frames))
    for one, other in zip(integers(loaded), integers(network), strict=True):
        assert np.array_equal(one["weight"], other["weight"])

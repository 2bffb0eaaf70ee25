"""The table of students: what each is made of, and that every one meant for the chip runs there as it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from learning_data import tiny_recipe
from torch import nn

from spikeport.errors import UserError
from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import is_chain
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic
from spikeport.pipeline.models.resnet_spec import RESNETS
from spikeport.pipeline.models.sizes import student_sizes
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import STUDENTS, build_student, check_student, list_students
from spikeport.pipeline.models.students.residual import SpikingBlock
from spikeport.pipeline.training.qat import quantize
from spikeport.pipeline.training.scaling import scales

CLASSES = 5
# name -> student of the table, its options, frames (C, H, W) or (N,); small, and no two sizes alike
ON_CHIP: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "conv-stride": ("conv", {"channels": [3, 4], "hidden": 6}, (2, 9, 11)),
    "conv-avgpool": ("conv", {"channels": [3, 4], "downsample": "avgpool", "kernel": 5}, (2, 8, 12)),
    "conv-synaptic": (
        "conv",
        {"channels": [3, 4], "downsample": "avgpool", "hidden": 6, "neuron": "synaptic", "alpha": 0.6},
        (2, 8, 12),
    ),
    "vgg-snn": ("vgg-snn", {"width": 0.07}, (2, 16, 32)),
    "mlp": ("mlp", {"layers": [9, 7]}, (2, 4, 3)),
    "conv-mlp": ("conv-mlp", {"channels": [3], "layers": [8, 5]}, (2, 7, 9)),
    "recurrent": ("mlp", {"layers": [9, 7], "neuron": "recurrent"}, (2, 4, 3)),
    "mlp-channels": ("mlp", {"layers": [9, 7]}, (23,)),
    "recurrent-channels": ("mlp", {"layers": [9, 7], "neuron": "recurrent"}, (23,)),
    "synaptic-channels": ("mlp", {"layers": [9], "neuron": "synaptic", "alpha": 0.6}, (23,)),
    "recurrent-hidden": ("conv", {"channels": [3], "hidden": 8, "neuron": "recurrent"}, (2, 7, 9)),
    "recurrent-conv": ("conv-mlp", {"channels": [3], "layers": [8], "neuron": "recurrent"}, (2, 7, 9)),
    "recurrent-pool": (
        "conv-mlp",
        {"channels": [3], "layers": [8], "downsample": "avgpool", "neuron": "recurrent"},
        (2, 6, 8),
    ),
    "resnet18": ("resnet18-snn", {"width": 0.05, "beta": 0.5}, (2, 9, 14)),
    "resnet19": ("resnet19-snn", {"width": 0.02, "beta": 0.5}, (2, 8, 11)),
    "resnet20": ("resnet20-snn", {"width": 0.15, "beta": 0.5}, (2, 9, 8)),
}


def student(network: str, options: dict[str, Any], shape: tuple[int, ...], seed: int = 0) -> Student:
    """Random weights, and batch norm with statistics and gains as after some training."""
    torch.manual_seed(seed)
    recipe = tiny_recipe(student={"network": network, "v_threshold": 0.5, **options})
    built = build_student(recipe.student, shape, CLASSES)
    for module in built.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.3, 0.6)
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.02, 0.3)
        if isinstance(module, BatchRMSNorm):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.mean_square, 0.1, 0.3)
        if isinstance(module, LoihiSynaptic):
            nn.init.uniform_(module.bias, -0.3, 0.2)
        if isinstance(module, nn.Linear) and (module.bias is not None or recipe.student.alpha):
            nn.init.normal_(module.weight, 0.05, 0.3)
    return built.eval()


def random_frames(shape: tuple[int, ...], batch: int = 6, steps: int = 7) -> torch.Tensor:
    return (torch.rand(steps, batch, *shape, generator=torch.Generator().manual_seed(9)) < 0.3).float()


def graph_of(network: Student, shape: tuple[int, ...]) -> SpikingGraph:
    return to_spiking_graph(network.deployed(), shape, 0.001, scales(network), wiring=network.wiring())


def exported(network: Student, shape: tuple[int, ...]) -> IntegerNetwork:
    chip, _ = quantize_graph(graph_of(network, shape))
    return chip


def compare_layers(network: Student, spikes: tuple[np.ndarray, ...], frames: torch.Tensor) -> None:
    """Spikes [N, T, ...] of every layer are the student's, and every layer does both, fire and not. Beside neurons that
    a branch passes stand relays."""
    found = network(frames).layer_spikes
    assert len(found) == len(spikes)
    graph = graph_of(network, tuple(frames.shape[2:]))
    places = None if is_chain(graph.nir_graph) else lay_out(graph).places
    for name, ours, theirs in zip(network.neuron_names(), found, spikes, strict=True):
        assert 0.005 < ours.mean() < 0.995
        expected = ours.transpose(0, 1).detach().numpy()
        if places is not None:
            theirs = theirs.reshape(*expected.shape[:2], -1)[..., places[name][1].ravel()]
        np.testing.assert_array_equal(np.reshape(theirs, expected.shape), expected)


def test_every_student_for_the_chip_is_tried_on_it() -> None:
    assert {network for network, _, _ in ON_CHIP.values()} == {name for name, kind in STUDENTS.items() if kind.for_netx}


@pytest.mark.parametrize("case", ON_CHIP)
def test_a_quantized_student_is_what_the_reference_runs(case: str) -> None:
    network, options, shape = ON_CHIP[case]
    built = quantize(fold_batch_norm(student(network, options, shape)))
    frames = random_frames(shape, batch=9)
    trace = simulate(exported(built, shape), as_samples(frames), keep_layers=True)
    assert trace.layer_spikes is not None
    compare_layers(built, trace.layer_spikes, frames)


@pytest.fixture(scope="module")
def lava():
    with LavaWorker() as worker:
        yield worker


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
@pytest.mark.parametrize("case", ON_CHIP)
def test_a_quantized_student_is_what_lava_runs(lava: LavaWorker, case: str) -> None:
    network, options, shape = ON_CHIP[case]
    built = quantize(fold_batch_norm(student(network, options, shape)))
    frames = random_frames(shape, batch=2)
    trace = lava.simulate(exported(built, shape), as_samples(frames), keep_layers=True, timeout_s=1800)
    assert trace.layer_spikes is not None
    compare_layers(built, trace.layer_spikes, frames)


def as_samples(frames: torch.Tensor) -> np.ndarray:
    return frames.transpose(0, 1).numpy().astype(np.uint8)


@pytest.mark.parametrize("case", ON_CHIP)
def test_folding_batch_norm_changes_no_spike(case: str) -> None:
    network, options, shape = ON_CHIP[case]
    built = student(network, options, shape)
    folded = fold_batch_norm(built)
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, BatchRMSNorm)) for module in folded.modules())
    frames = random_frames(shape)
    for before, after in zip(built(frames).layer_spikes, folded(frames).layer_spikes, strict=True):
        assert torch.equal(before, after)


def test_the_published_vgg_has_its_published_number_of_parameters() -> None:
    """10,153,700 = 9,217,152 of convolutions (3 x 3, no bias) + 5,504 of batch norm (two a channel) + 931,018 of two
    heads (101 classes on 512 x 3 x 3 signals); and what is a setting or a part of the objective here: 10 coefficients
    of time steps, and 16 constants of its 8 layers of neurons (decay and threshold)."""
    recipe = tiny_recipe(student={"network": "vgg-snn", "beta": 0.5, "v_threshold": 1.0})
    with torch.device("meta"):
        network = build_student(recipe.student, (2, 48, 48), 101)
    sizes = {
        kind: sum(
            parameter.numel()
            for layer in network.modules()
            if isinstance(layer, kind)
            for parameter in layer.parameters()
        )
        for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    }
    assert sizes == {nn.Conv2d: 9_217_152, nn.BatchNorm2d: 5_504, nn.Linear: 931_018}
    assert sum(parameter.numel() for parameter in network.parameters()) == sum(sizes.values())
    layers = len(network.neurons()) - 1  # without the output's, which the published network does not have
    assert sum(sizes.values()) + 10 + 2 * layers == 10_153_700


def test_beta_of_a_half_is_the_published_neuron() -> None:
    """u <- u + (I - u) / 2, fires above 0.5, back to 0: the spikes of beta 0.5 and threshold 1 on the same currents."""
    currents = torch.randint(-40, 60, (20, 7, 3), generator=torch.Generator().manual_seed(3)) / 32
    recipe = tiny_recipe(student={"network": "vgg-snn", "width": 0.02, "beta": 0.5, "v_threshold": 1.0})
    cell = build_student(recipe.student, (2, 16, 16), 2).output_neurons
    u, expected = torch.zeros(7, 3), []
    for current in currents:
        u = u + (current - u) / 2
        expected.append((u > 0.5).float())
        u = u * (1 - expected[-1])
    spikes, _ = cell(currents)
    assert torch.equal(spikes, torch.stack(expected))
    assert 0.1 < spikes.mean() < 0.6


@pytest.mark.parametrize(("name", "blocks"), [("resnet18-snn", 8), ("resnet19-snn", 8), ("resnet20-snn", 9)])
def test_spiking_resnets(name: str, blocks: int) -> None:
    """As many weight layers as the name says, maps with places, and a gradient that reaches the first weights."""
    network = student(name, {"width": 0.05}, (2, 9, 14)).train()
    plan = RESNETS[name.removesuffix("-snn")]
    assert f"resnet{plan.weight_layers()}-snn" == name
    weights = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    on_the_path = [module for module in weights if not (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))]
    assert len(on_the_path) == plan.weight_layers() + 1  # the static head
    output = network(random_frames((2, 9, 14), batch=3))
    assert len(output.layer_spikes) == 2 + 2 * blocks + (plan.dense > 0)
    assert len(network.neurons()) == len(output.layer_spikes)
    side = {"resnet18-snn": (2, 2), "resnet19-snn": (3, 4), "resnet20-snn": (3, 4)}[name]
    assert output.maps is not None
    assert output.maps.shape[3:] == side
    assert output.stages is not None
    last = [2 * sum(count for _, count, _ in plan.stages[: stage + 1]) for stage in range(len(plan.stages))]
    assert all(torch.equal(*pair) for pair in zip(output.stages, [output.layer_spikes[at] for at in last], strict=True))
    output.logits.sum().backward()
    assert network.backbone["conv1"].weight.grad.abs().sum() > 0


def test_a_spiking_block_adds_currents_step_by_step() -> None:
    """By the equations, with an identity and with a 1 x 1 shortcut."""
    network = student("resnet20-snn", {"width": 0.25, "beta": 0.5}, (2, 8, 8))
    blocks = [network.backbone[name] for name in ("stage1_block1", "stage2_block1")]
    for block, channels in zip(blocks, (4, 4), strict=True):
        spikes = random_frames((channels, 8, 8), batch=3, steps=5)
        (_, outer), _ = block(spikes)
        v1 = v2 = torch.zeros(())
        for t, signal in enumerate(spikes):
            v1 = 0.5 * v1 + block.norm1(block.conv1(signal))
            inner = (v1 > 0.5).float()
            v1 = v1 * (1 - inner)
            v2 = 0.5 * v2 + block.norm2(block.conv2(inner)) + block.shortcut(signal)
            assert torch.equal(outer[t], (v2 > 0.5).float())
            v2 = v2 * (1 - outer[t])
        assert 0 < outer.mean() < 1
    assert isinstance(blocks[0].shortcut, nn.Identity)
    assert not isinstance(blocks[1].shortcut, nn.Identity)


def test_a_student_that_is_not_for_netx_says_so_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(student={"network": "resnet18-snn"}).student
    assert check_student(recipe, (2, 34, 34), for_netx=True)
    monkeypatch.setattr(STUDENTS["resnet18-snn"], "not_for_netx", "its neurons are none of the chip's")
    with pytest.raises(UserError, match=r"not for netx.*none of the chip's.*spikeport train.*vgg-snn"):
        check_student(recipe, (2, 34, 34), for_netx=True)
    assert not check_student(recipe, (2, 34, 34), for_netx=False)


@pytest.mark.parametrize(
    ("network", "options", "shape", "words"),
    [
        ("vgg-snn", {}, (2, 34, 48), r"34 x 48 do not halve four times.*multiples of 16"),
        ("resnet19-snn", {}, (2, 7, 48), r"7 x 48 is too small.*at least 8"),
        ("conv", {"channels": []}, (2, 34, 34), r"needs at least one block"),
        ("conv", {"downsample": "avgpool"}, (2, 34, 34), r"would drop a row"),
        (
            "conv",
            {"neuron": "recurrent"},
            (2, 34, 34),
            r"a conv has no layers of recurrent neurons: they are for dense.*conv-mlp",
        ),
        (
            "conv",
            {"neuron": "lif"},
            (2, 34, 34),
            r"student.neuron: 'lif' is not a neuron model. Hint: use one of leaky, synaptic",
        ),
        (
            "resnet18-snn",
            {"neuron": "synaptic", "alpha": 0.5},
            (2, 34, 34),
            r"a resnet18-snn has no layers of synaptic neurons",
        ),
        ("conv", {}, (70,), r"input of 70 channels has no height and width.*student\.network = \"mlp\""),
        ("vgg-snn", {}, (70,), r"input of 70 channels has no height and width"),
        ("conv-mlp", {}, (70,), r"input of 70 channels has no height and width"),
        ("resnet20-snn", {}, (70,), r"input of 70 channels has no height and width"),
        ("convv", {}, (2, 34, 34), r"'convv' is not a student network.*conv, vgg-snn, mlp"),
    ],
)
def test_what_does_not_fit_is_said_at_once(
    network: str, options: dict[str, Any], shape: tuple[int, ...], words: str
) -> None:
    recipe = tiny_recipe(student={"network": network, **options}).student
    with pytest.raises(UserError, match=words):
        check_student(recipe, shape, for_netx=False)


def test_the_list_of_students() -> None:
    rows = {row.name: row for row in list_students()}
    assert list(rows) == list(STUDENTS)
    assert not rows["mlp"].why_not_netx
    assert not rows["resnet20-snn"].why_not_netx
    fields = set(type(tiny_recipe().student).model_fields)
    assert all(set(row.options) <= fields for row in rows.values())


@pytest.mark.parametrize("shape", [(2, 4, 3), (24,)])
def test_a_perceptron_has_no_places(shape: tuple[int, ...]) -> None:
    network = student("mlp", {"layers": [9, 7]}, shape)
    sizes = student_sizes(network, shape)
    assert (sizes.maps, sizes.embedding) == (None, 7)
    assert network(random_frames(shape)).maps is None


@pytest.mark.parametrize(("beta", "threshold"), [(0.5, 1.0), (0.75, 1.0), (0.9, 0.6), (1.0, 0.5)])
def test_a_new_residual_block_passes_on_its_input(beta: float, threshold: float) -> None:
    """Its bias alone lets a spike of weight 1 through, and nothing else; the convolutions change little of that."""
    torch.manual_seed(3)
    recipe = tiny_recipe(student={"network": "resnet18-snn", "beta": beta, "v_threshold": threshold}).student
    block = SpikingBlock(5, 5, 1, recipe, norm=True)
    spikes = (torch.rand(12, 7, 5, 6, 4) < 0.3).float()
    passed = (block(spikes)[0][-1] == spikes).float().mean()
    assert 0.9 < passed < 1
    with torch.no_grad():
        block.norm2.weight.zero_()
    assert torch.equal(block(spikes)[0][-1], spikes)

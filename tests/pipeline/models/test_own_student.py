"""A student from a module outside the package: from its factory to the chip's integers, or a reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from learning_data import tiny_recipe
from torch import nn

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.students.build import build_student, check_student
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.pipeline.training.qat import quantize
from spikeport.pipeline.training.scaling import scales

SHAPE, CLASSES, STEPS = (2, 8, 12), 5, 7
LEAKY = {"beta": 0.75, "threshold": 0.4, "reset_mechanism": "zero"}
LEAKY_OUT = {"beta": 0.5, "threshold": 0.3, "reset_mechanism": "zero"}

FILE = '''
import snntorch as snn
from torch import nn

def network(input_shape, classes):
    channels, height, width = input_shape
    leaky = {"beta": 0.7, "threshold": 0.3, "reset_mechanism": "zero"}
    features = nn.Sequential(
        nn.Conv2d(channels, 5, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(5), snn.Leaky(**leaky),
        nn.AvgPool2d((2, 1)), nn.Dropout(0.1),
        nn.Conv2d(5, 6, 3, padding=1), snn.Leaky(**leaky),
    )
    inputs = 6 * ((height + 1) // 2 // 2) * ((width + 1) // 2)
    return nn.Sequential(
        features, nn.Flatten(), nn.Linear(inputs, 12), nn.BatchNorm1d(12), snn.Leaky(**leaky),
        nn.Linear(12, classes, bias=False), snn.Leaky(**leaky),
    )
'''  # fmt: skip


def chain(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Each kind of layer, two decays, a bias here and none there, and a pool that is no square."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), snn.Leaky(**LEAKY)),
        nn.AvgPool2d((2, 3)),
        nn.Dropout(0.2),
        nn.Conv2d(4, 3, 3, padding=1),
        snn.Leaky(**LEAKY_OUT),
        nn.Flatten(),
        nn.Linear(3 * (shape[1] // 2) * (shape[2] // 3), 9),
        nn.BatchNorm1d(9),
        snn.RLeaky(**LEAKY, reset_delay=False, all_to_all=True, linear_features=9),
        nn.Identity(),
        nn.Linear(9, classes, bias=False),
        snn.Synaptic(alpha=0.6, **LEAKY_OUT, reset_delay=False),
    )


def recurrent_without_bias(shape: tuple[int, ...], classes: int) -> nn.Module:
    network = chain(shape, classes)
    network[8].recurrent = nn.Linear(9, 9, bias=False)
    nn.init.uniform_(network[10].weight, -0.3, 0.8)
    return network


def built(name: str, classes: int = CLASSES, **options: Any) -> Any:
    recipe = tiny_recipe(student={"network": f"{__name__}:{name}"}).student
    torch.manual_seed(3)
    return build_student(recipe, SHAPE, classes, **options)


def test_every_layer_fires_on_the_reference_as_in_torch() -> None:
    student = built("recurrent_without_bias").eval()
    for module in student.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.2, 0.5)
            nn.init.uniform_(module.running_var, 0.02, 0.2)
    nn.init.uniform_(student.output_neurons.bias, -0.1, 0.1)
    quantized = quantize(fold_batch_norm(student))
    graph = to_spiking_graph(quantized.deployed(), SHAPE, 0.001, scales(quantized))
    network, _ = quantize_graph(graph)
    frames = (torch.rand(STEPS, 9, *SHAPE, generator=torch.Generator().manual_seed(9)) < 0.3).float()
    trace = simulate(network, frames.transpose(0, 1).numpy().astype(np.uint8), keep_layers=True)
    found = quantized(frames).layer_spikes
    assert len(found) == len(trace.layer_spikes) == 4
    for ours, theirs in zip(found, trace.layer_spikes, strict=True):
        expected = ours.transpose(0, 1).detach().numpy()
        assert 0.005 < expected.mean() < 0.995
        np.testing.assert_array_equal(np.reshape(theirs, expected.shape), expected)


def test_in_float_it_computes_what_snntorch_does() -> None:
    """Step by step in the module itself, whose neurons keep their state between calls."""
    student = built("recurrent_without_bias").eval()
    torch.manual_seed(3)
    plain = recurrent_without_bias(SHAPE, CLASSES).eval()
    states: dict[int, Any] = {}
    frames = (torch.rand(STEPS, 6, *SHAPE, generator=torch.Generator().manual_seed(4)) < 0.4).float()
    outputs = []
    for signal in frames:
        for at, module in enumerate([*plain[0], *plain[1:]]):
            if isinstance(module, snn.SpikingNeuron):
                found = module(signal, *states.get(at, ()))
                signal, states[at] = found[0], found[1:] if not isinstance(module, snn.RLeaky) else found
            else:
                signal = module(signal)
        outputs.append(signal)
    assert 0.01 < torch.stack(outputs).mean() < 0.9
    assert torch.equal(student(frames).spikes, torch.stack(outputs))


def test_a_quantized_student_has_the_structure_of_a_folded_one() -> None:
    student = built("recurrent_without_bias")
    assert "static" in student.heads
    folded = built("recurrent_without_bias", norm=False)
    expected = fold_batch_norm(student).state_dict()
    assert {key: value.shape for key, value in folded.state_dict().items()} == {
        key: value.shape for key, value in expected.items()
    }
    assert "backbone.layer3.bias" in expected
    assert "heads.event.bias" not in expected


def with_layers(*layers: nn.Module) -> Callable[[Any, int], nn.Module]:
    def factory(shape: Any, classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *layers)

    return factory


def dense(neurons: nn.Module, **options: Any) -> Callable[[Any, int], nn.Module]:
    return with_layers(nn.Linear(192, 2, **options), neurons)


IMPOSSIBLE: dict[str, tuple[Callable[..., Any], str]] = {
    "number": (lambda shape, classes: 3, r"returned a int, not a torch module\. Hint: name a function of"),
    "error": (lambda shape, classes: 1 / 0, r"failed: ZeroDivisionError: .* Hint: name a function of"),
    "own forward": (lambda shape, classes: nn.Bilinear(2, 2, 2), r"a Bilinear is not an nn.Sequential"),
    "no neurons": (with_layers(nn.Linear(192, 2)), r"does not end in nn.Linear and neurons"),
    "relu": (with_layers(nn.Linear(192, 4), nn.ReLU()), r"layer 2: a ReLU cannot go to the chip\. Hint: use Conv2d"),
    "classes": (dense(snn.Leaky(**LEAKY)), r"its last layer has 2 outputs, and the data have 5 classes"),
    "subtract": (dense(snn.Leaky(beta=0.5)), r"layer 2: Leaky: Leaky resets by 'subtract'.*reset_mechanism='zero'"),
    "none": (dense(snn.Leaky(beta=0.5, reset_mechanism="none")), r"Leaky: it resets by 'none'"),
    "learned": (dense(snn.Leaky(**LEAKY, learn_beta=True)), r"it learns beta\. Hint: use learn_beta=False"),
    "many": (dense(snn.Leaky(**{**LEAKY, "beta": torch.rand(2)})), r"it has 2 values of beta"),
    "biased": (
        dense(snn.Synaptic(alpha=0.5, **LEAKY, reset_delay=False)),
        r"layer 2: Synaptic: the layer before has a bias or batch norm: Loihi adds.* Hint: use bias=False",
    ),
    "recurrent": (
        dense(snn.RLeaky(**LEAKY, reset_delay=False, linear_features=2)),
        r"recurrence of this RLeaky is not a dense layer without bias",
    ),
    "alpha": (dense(snn.Alpha(alpha=0.9, beta=0.5)), r"a Alpha cannot go to the chip\. Hint: use one of Leaky, Syn"),
    "two": (with_layers(nn.Linear(192, 4), nn.Linear(4, 2), snn.Leaky(**LEAKY)), r"follows a layer without neurons"),
    "norm": (with_layers(nn.BatchNorm1d(192)), r"layer 1: batch norm does not follow a convolution or dense layer"),
    "bare norm": (with_layers(nn.Linear(192, 2), nn.BatchNorm1d(2, affine=False)), r"has no weights or statistics"),
    "pools": (with_layers(nn.AvgPool2d(2), nn.AvgPool2d(2)), r"layer 2: .*one pool at a time"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_is_an_error_with_the_layer_and_a_hint(case: str, monkeypatch) -> None:
    factory, words = IMPOSSIBLE[case]
    monkeypatch.setitem(globals(), "impossible", factory)
    with pytest.raises(UserError, match=words) as refusal:
        built("impossible")
    assert refusal.value.where.startswith("student.network") or case == "own forward"


def circular(shape: tuple[int, ...], classes: int) -> nn.Module:
    features = [nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), snn.Leaky(**LEAKY), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(3 * 8 * 12, classes), snn.Leaky(**LEAKY))


def narrow(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(99, classes), snn.Leaky(**LEAKY))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("circular", r"layer0: padding_mode 'circular' cannot go to netx\. Hint: use 'zeros'"),
        ("narrow", r"99.*192|192.*99"),
    ],
)
def test_what_the_chip_cannot_compute_is_found_before_training(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_student(StudentRecipe(network=f"{__name__}:{name}"), SHAPE, for_netx=True)


def test_neurons_of_the_recipe_are_not_for_it() -> None:
    recipe = StudentRecipe(network=f"{__name__}:chain", neuron="recurrent")
    with pytest.raises(UserError, match=r"has no layers of recurrent neurons"):
        check_student(recipe, SHAPE, for_netx=True)


def test_checking_draws_no_random_number() -> None:
    torch.manual_seed(1)
    check_student(StudentRecipe(network=f"{__name__}:recurrent_without_bias"), SHAPE, for_netx=True)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))


def test_a_whole_run(tmp_path: Path, spikeport, monkeypatch) -> None:
    (tmp_path / "networks_of_mine.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = [
        "student.network=networks_of_mine:network",
        *("data.train=40", "data.validation=20", "data.test=20", "data.height=16", "data.width=18"),
        *("teacher.epochs=1", "training.epochs=1", "training.warmup_epochs=0", "quantization.epochs=1"),
        "check.backends=[]",
    ]
    words = [word for change in changes for word in ("--set", change)]
    code, _, err = spikeport("run", "digits", "--out", "run", *words)
    assert code == 0, err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (pair,) = [value for key, value in report["equivalence"]["comparisons"].items() if key == "quantized_vs_reference"]
    assert (pair["samples"], pair["mismatches"]) == (20, 0)
    assert [layer["name"] for layer in report["layers"]][-3:] == ["layer0_5", "layer2", "output"]
    assert report["layers"][-2]["neurons"] == 12

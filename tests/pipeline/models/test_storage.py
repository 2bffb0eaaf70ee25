"""Students, teachers and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import snntorch
import torch
from learning_data import CLASSES, HEIGHT, STEPS, WIDTH, tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.models.sizes import NetworkSizes, student_sizes
from spikeport.pipeline.models.storage import load_student, load_teacher, save_student, save_teacher
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.tensor_files import read_tree, write_tree

SHAPE = (2, HEIGHT, WIDTH)


def student(shared_head: bool = False, **options: object) -> Student:
    torch.manual_seed(3)
    recipe = tiny_recipe(student={"hidden": 7, "v_threshold": 0.3, **options})
    return build_student(recipe.student, SHAPE, len(CLASSES), shared_head=shared_head)


def frames(batch: int = 5) -> torch.Tensor:
    return (torch.rand(STEPS, batch, *SHAPE, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def test_folded_time_is_the_step_by_step_network() -> None:
    """In eval mode a student is, step by step, its layers in order with snnTorch neurons: same spikes
    everywhere."""
    network = student().eval()
    output = network(frames())
    deployed = dict(network.deployed())
    states = {name: torch.zeros(()) for name in deployed}
    spikes: dict[str, list] = {name: [] for name in deployed}
    for frame in frames():
        signal = frame
        for name, layer in deployed.items():
            if isinstance(layer, snntorch.Leaky):
                states[name] = layer.beta * states[name] + signal
                signal = (states[name] > layer.threshold).float()
                states[name] = states[name] * (1 - signal)
                spikes[name].append(signal)
            else:
                signal = layer(signal)
    layers = [torch.stack(each) for each in spikes.values() if each]
    assert [tuple(each.shape[2:]) for each in output.layer_spikes] == [(4, 5, 6), (6, 3, 3), (7,), (3,)]
    assert all(torch.equal(*pair) for pair in zip(layers, output.layer_spikes, strict=True))
    assert all(0 < each.mean() < 1 for each in layers[:3])
    assert torch.equal(output.spikes, layers[-1])
    assert torch.equal(output.logits, torch.stack([layers[-1][: t + 1].sum(0) for t in range(STEPS)]))
    torch.testing.assert_close(output.features[-1], states["hidden_neurons"])
    assert output.maps is not None
    assert torch.equal(output.maps, layers[1])
    assert torch.equal(output.embedding, layers[2])
    assert output.stages is not None
    assert all(torch.equal(*pair) for pair in zip(output.stages, layers[:2], strict=True))
    expected = NetworkSizes(maps=(6, 3, 3), embedding=7, stages=((4, 5, 6), (6, 3, 3)))
    assert student_sizes(network.train(), SHAPE) == expected
    assert network.training


def test_samples_do_not_see_each_other_and_order_of_forwards_does_not_matter() -> None:
    """No state is left between forwards (batch norm in eval mode)."""
    network = student().eval()
    static, events = torch.rand(STEPS, 5, *SHAPE), frames()
    first = network(static, head="static").logits, network(events).logits
    events_again, static_again = network(events).logits, network(static, head="static").logits
    assert torch.equal(first[0], static_again)
    assert torch.equal(first[1], events_again)
    assert torch.equal(network(events[:, [2]]).spikes, network(events).spikes[:, [2]])


def test_heads() -> None:
    """Two heads unless shared; both read the same backbone."""
    two, one = student(), student(shared_head=True)
    assert two.synapse("static") is not two.synapse("event")
    assert one.synapse("static") is one.synapse("event")
    network = student().eval()
    with torch.no_grad():
        network.heads["static"].weight.fill_(1)
        network.heads["event"].weight.fill_(-1)
        network.heads["event"].bias.fill_(-1)
    assert network(frames(), head="static").spikes.any()
    assert not network(frames()).spikes.any()


def test_deployed_names_every_layer_of_the_event_path() -> None:
    names = [name for name, _ in student(downsample="avgpool", channels=(4,), kernel=2).deployed()]
    expected = [
        "conv1",
        "norm1",
        "conv1_neurons",
        "pool1",
        "flatten",
        "hidden",
        "hidden_neurons",
        "output",
        "output_neurons",
    ]
    assert names == expected


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_sizes_are_torchs_own(kernel: int) -> None:
    """The dense layer fits what the blocks give, for odd and even kernels."""
    strided = student(kernel=kernel)
    assert strided(frames()).spikes.shape == (STEPS, 5, 3)
    recipe = tiny_recipe(student={"kernel": kernel, "downsample": "avgpool", "channels": (4,)})
    side = 9 if kernel % 2 == 0 else 10
    pooled = build_student(recipe.student, (2, side, side + 2), 3)
    assert pooled(torch.rand(2, 3, 2, side, side + 2)).spikes.shape == (2, 3, 3)


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"would drop a row of the 9 that block 1.*halve evenly"):
        student(downsample="avgpool")
    with pytest.raises(UserError, match=r"images of 7 x 9 are too small"):
        build_teacher(tiny_recipe().teacher, (3, 7, 9), 3)


def test_predicting_in_batches_changes_nothing_and_keeps_the_mode() -> None:
    network, split = student(), tiny_dataset().train
    whole = predict_spikes(network, split.frames, batch=1000)
    assert whole.shape == (30, STEPS, 3)
    assert whole.dtype == np.uint8
    assert np.array_equal(whole, predict_spikes(network, split.frames, batch=7))
    assert network.training
    expected = network.eval()(torch.from_numpy(split.frames).transpose(0, 1).float()).spikes
    assert np.array_equal(whole, expected.transpose(0, 1).detach().numpy())


def test_of_no_recordings_nothing_is_predicted() -> None:
    found = predict_spikes(student(), tiny_dataset().train.frames[:0])
    assert found.shape == (0, STEPS, 3)
    assert found.dtype == np.uint8


def test_files_round_trip(tmp_path: Path) -> None:
    recipe = tiny_recipe(student={"hidden": 7, "v_threshold": 0.3})
    network = student()
    network.train()(frames())  # batch norm statistics move
    save_student(network, tmp_path / "student.safetensors")
    loaded = load_student(recipe, SHAPE, 3, tmp_path / "student.safetensors")
    for head in ("event", "static"):
        assert torch.equal(loaded(frames(), head=head).logits, network.eval()(frames(), head=head).logits)
    teacher = build_teacher(recipe.teacher, (3, HEIGHT, WIDTH), 3)
    teacher(torch.rand(6, 3, HEIGHT, WIDTH))
    save_teacher(teacher, tmp_path / "teacher.safetensors")
    again = load_teacher(recipe, (3, HEIGHT, WIDTH), 3, tmp_path / "teacher.safetensors")
    images = torch.rand(2, 3, HEIGHT, WIDTH)
    assert torch.equal(again(images), teacher.eval()(images))


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    save_student(student(), path)

    def load(recipe: Recipe) -> None:
        load_student(recipe, SHAPE, 3, path)

    with pytest.raises(UserError, match=r"student.safetensors: these weights belong to another network.*size mismatch"):
        load(tiny_recipe(student={"hidden": 8}))
    path.write_bytes(b"x")
    with pytest.raises(UserError, match=r"student.safetensors: cannot be read as weights"):
        load(tiny_recipe(student={"hidden": 7}))
    path.unlink()
    with pytest.raises(UserError, match="cannot be read as weights"):
        load(tiny_recipe(student={"hidden": 7}))


def test_checkpoint_trees_keep_every_type(tmp_path: Path) -> None:
    """Numbers as keys, tuples, None, exact floats, integer tensors, shared memory."""
    base = torch.arange(6, dtype=torch.int64)
    tree = {
        0: (1, 2.5, None, True, "text"),
        "tensors": [base, base[2:4], torch.tensor(0.1, dtype=torch.float64)],
        "nested": {"lr": 0.1 + 0.2, "empty": {}, "none": []},
    }
    write_tree(tree, tmp_path / "tree.safetensors")
    found = read_tree(tmp_path / "tree.safetensors")
    for left, right in zip(tree.pop("tensors"), found.pop("tensors"), strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    assert found == tree
    assert type(found[0]) is tuple
    with pytest.raises(TypeError, match=r"cannot hold .*Path"):
        write_tree({"path": tmp_path}, tmp_path / "other.safetensors")
    assert not (tmp_path / "other.safetensors").exists()

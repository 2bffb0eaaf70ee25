"""Every loss: finite, with a gradient for the student and none for the teacher; and projectors that learn."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe, tiny_teacher
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    Sizes,
    StepInputs,
    Stream,
    TeacherTargets,
)
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.table import LOSSES, RECONSTRUCTIONS, build_loss, check_loss, loss_class
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import Objective
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.training.train import train_student

T, B, K, C, H, W = 3, 5, 4, 6, 2, 7
SIZES = Sizes(
    steps=T,
    classes=K,
    v_threshold=1.0,
    student_map=(C, H, W),
    student_embedding=C * H * W,
    teacher_map=(8, 4, 3),
    teacher_embedding=9,
    student_stages=((2, 4, 9), (C, H, W)),
    teacher_stages=((5, 6, 7), (8, 4, 3)),
    teacher_tail=True,
    teacher_weight_pairs=2,
)


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def streams(*, dtype: torch.dtype = torch.float32) -> dict[str, Stream]:
    head_weight = rand(20, K, 8)
    head = nn.Linear(9, K)
    blocks = nn.Sequential(nn.Conv2d(5, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(K))
    blocks(torch.zeros(1, 5, 6, 7))
    made = {}
    for at, name in enumerate(("event", "hybrid")):
        teacher = TeacherTargets(
            logits=rand(30 + at, B, K),
            maps=rand(32 + at, B, 8, 4, 3),
            embedding=rand(34 + at, B, 9),
            head=head,
            head_weight=head_weight,
            stages=(rand(36 + at, B, 5, 6, 7), rand(38 + at, B, 8, 4, 3)),
            weight_pairs=((rand(40 + at, 5, 7), rand(42 + at, 5, 7)), (rand(44 + at, 4, 2, 3), rand(46 + at, 4, 2, 3))),
            tail=lambda stage, maps: blocks(maps) if not stage else head(maps.flatten(2).sum(1)[:, :9]),
        )
        made[name] = Stream(
            logits=rand(at, T, B, K).to(dtype),
            features=rand(2 + at, T, B, C, H, W).to(dtype),
            labels=torch.arange(B) % K,
            maps=rand(4 + at, T, B, C, H, W).to(dtype),
            embedding=rand(6 + at, T, B, C * H * W).to(dtype),
            teacher=teacher,
            replaced=torch.zeros(T, B, dtype=torch.bool),
            stages=(rand(8 + at, T, B, 2, 4, 9).to(dtype), rand(10 + at, T, B, C, H, W).to(dtype)),
        )
    return made


def step(made: dict[str, Stream]) -> StepInputs:
    return StepInputs(streams=made, progress=0.3, generator=torch.Generator().manual_seed(1))


def build(name: str, sizes: Sizes = SIZES, **options: object):
    return build_loss(name, options, sizes)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name: str) -> None:
    made = streams()
    for stream in made.values():
        for each in (stream.logits, stream.features, stream.maps, stream.embedding, *stream.stages):
            each.retain_grad()
    seen = step(made)
    module = build(name)
    stream = made["hybrid" if module.streams == ("hybrid",) else "event"]
    loss = module.compute(stream, seen)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    parts = (stream.logits, stream.features, stream.maps, stream.embedding, *stream.stages)
    heard = [each.grad for each in (*parts, *(ours for ours, _ in stream.teacher.weight_pairs))]
    assert any(grad is not None and grad.any() for grad in heard)
    for targets in (stream.teacher for stream in made.values()):
        assert all(
            tensor.grad is None
            for tensor in (targets.logits, targets.maps, targets.embedding, targets.head_weight, *targets.stages)
        )
        assert all(theirs.grad is None for _, theirs in targets.weight_pairs)
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_computed_in_single_precision(name: str) -> None:
    """Under bfloat16 autocast, from a student's bfloat16: the very value of those numbers in float32."""
    stream = "hybrid" if loss_class(name).streams == ("hybrid",) else "event"
    torch.manual_seed(0)
    objective = Objective(MethodSpec(losses=(LossSpec(loss=name, stream=stream),)), SIZES)
    half = streams(dtype=torch.bfloat16)
    names = ("logits", "features", "maps", "embedding")
    wide = {key: replace(one, **{each: getattr(one, each).float() for each in names}) for key, one in half.items()}
    wide = {key: replace(one, stages=tuple(each.float() for each in one.stages)) for key, one in wide.items()}
    expected = objective(step(wide)).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective(step(half)).total
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_a_projector_learns_a_permutation() -> None:
    """Only the projector is trained: an affine map can undo any order of channels."""
    sizes = Sizes(steps=T, classes=K, v_threshold=1.0, student_embedding=5, teacher_embedding=5)
    ours = torch.rand(T, 64, 5, generator=torch.Generator().manual_seed(0))
    targets = ours.mean(0)[:, [3, 0, 4, 1, 2]]
    stream = Stream(
        logits=ours[..., :K],
        features=ours,
        labels=torch.zeros(64, dtype=torch.int64),
        embedding=ours,
        teacher=TeacherTargets(logits=targets[:, :K], embedding=targets),
    )
    torch.manual_seed(0)
    module = build("feature_kd", sizes)
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=100)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = module.compute(stream, step({"event": stream}))
        loss.backward()
        return loss

    first = closure().item()
    optimizer.step(closure)
    assert closure().item() < 1e-6 < first


def test_per_step_features_are_never_nearer_than_their_mean() -> None:
    made = streams()
    sizes = Sizes(steps=T, classes=K, v_threshold=1.0, student_embedding=9, teacher_embedding=9)
    stream = Stream(
        logits=made["event"].logits,
        features=made["event"].features,
        labels=made["event"].labels,
        embedding=rand(50, T, B, 9),
        teacher=made["event"].teacher,
    )
    mean, each = (
        build("feature_kd", sizes, projector="identity", reduce_time=over).compute(stream, step(made))
        for over in ("mean", "per_step")
    )
    assert each > mean


def test_blur_zeroes_channels_in_training_alone() -> None:
    made = streams()
    torch.manual_seed(0)
    module = build("feature_kd", features="maps", projector="conv1x1", blur=0.5)
    stream = made["event"]
    noisy, again = (module.compute(stream, step(made)) for _ in range(2))
    assert torch.equal(noisy, again)  # the step's generator decides
    module.eval()
    whole = module.compute(stream, step(made))
    assert not torch.equal(noisy, whole)


def test_teacher_head_kd_is_distillation_through_the_teachers_head() -> None:
    made = streams()
    stream = made["event"]
    torch.manual_seed(0)
    module = build("teacher_head_kd")
    assert stream.teacher is not None
    logits = stream.teacher.head(module.adapter(stream.embedding.mean(0)))
    torch.testing.assert_close(module.compute(stream, step(made)), logit_kd(logits, stream.teacher.logits))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("feature_kd", {"projector": "identity"}, "84 channels are compared with 9"),
        ("feature_kd", {"projector": "conv1x1"}, "an embedding has no places"),
        ("feature_kd", {"blur": 0.2}, "blur needs maps"),
        ("teacher_head_kd", {}, "needs the embeddings of both networks"),
        ("sliced_w2", {}, "compares maps"),
        ("spectral_residual", {}, "compares maps"),
        ("block_replacement_kd", {}, "stages of the student, and its layers have no places"),
        ("shared_singular_vectors", {}, "layers of one shape in student and teacher, and none fit"),
        ("stage_self_kd", {}, "this student has no maps"),
        ("stage_attention_kd", {}, "several stages of the student, and this student shows none"),
        ("stage_self_kd", {"stage": 2}, "reads stage 2, and the student has 2"),
        ("feature_kd", {}, "compares embedding"),
    ],
)
def test_what_cannot_act_is_refused_before_training(name: str, options: dict, message: str) -> None:
    bare = Sizes(steps=T, classes=K, v_threshold=1.0, student_embedding=84)
    with pytest.raises(UserError, match=message):
        build(name, SIZES if options else bare, **options)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_trains_from_a_recipe(name: str, tmp_path: Path) -> None:
    """Added for one epoch: the student ends in other weights than without it, and its projectors are not kept."""
    stream = "hybrid" if loss_class(name).streams == ("hybrid",) else "event"
    data = tiny_dataset(paired_images=True)
    module = {"loss": name, "stream": stream, "weight": 0.5}
    students = []
    for at, losses in enumerate(([], [module])):
        recipe = tiny_recipe(
            distillation={"method": "baseline", "losses": losses},
            training={"epochs": 1, "ema_decay": 0.0},
            student={"v_threshold": 0.2},  # it answers from the start
        )
        torch.manual_seed(0)
        teacher = tiny_teacher()
        students.append(train_student(recipe, data, teacher, "baseline", tmp_path / str(at)))
    weights = [dict(student.named_parameters()) for student in students]
    assert weights[0].keys() == weights[1].keys()
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_documentation_lists_every_loss_with_its_options() -> None:
    page = (Path(__file__).parents[4] / "docs" / "explanation" / "distillation.md").read_text()
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 3 and (name := cells[0].strip("` ")) in LOSSES:
            rows[name] = (cells[1], set(re.findall(r"`(\w+)`", cells[2])))
    assert {name: options for name, (_, options) in rows.items()} == {
        name: set(check_loss(name, {})) for name in LOSSES
    }
    assert {name for name, (effect, _) in rows.items() if "reconstruction" in effect} == set(RECONSTRUCTIONS)

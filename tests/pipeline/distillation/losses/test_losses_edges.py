"""Losses where inputs are odd: spiking teachers, half precision, shapes and options that cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from loss_inputs import seeded
from torch import Tensor, nn

from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Sizes,
    StepInputs,
    Stream,
    TeacherTargets,
)
from spikeport.pipeline.distillation.losses.feature_kd import feature_distance
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import noisy_logit_kd
from spikeport.pipeline.distillation.losses.reconstructions.adaptive_kl import adaptive_kl
from spikeport.pipeline.distillation.losses.reconstructions.relation_kd import relation_kd
from spikeport.pipeline.distillation.losses.reconstructions.sliced_w2 import sliced_w2
from spikeport.pipeline.distillation.losses.reconstructions.spectral_logit import spectral_logit
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd
from spikeport.pipeline.distillation.losses.similarity import cka, mmd
from spikeport.pipeline.distillation.losses.table import LOSSES, build_loss
from spikeport.pipeline.distillation.losses.tet import tet

T, B, K, C, H, W = 3, 5, 4, 6, 2, 7
SIZES = Sizes(
    steps=T,
    classes=K,
    v_threshold=1.0,
    student_map=(C, H, W),
    student_embedding=10,
    teacher_map=(8, 4, 3),
    teacher_embedding=9,
    student_stages=((2, 4, 9), (C, H, W)),
    teacher_stages=((5, 6, 7), (8, 4, 3)),
    teacher_tail=True,
    teacher_weight_pairs=1,
)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def stream(steps: tuple[int, ...] = ()) -> Stream:
    """A stream whose teacher has logits once, or at each of `steps`."""
    torch.manual_seed(0)
    teacher = TeacherTargets(
        logits=randn(1, *steps, B, K),
        maps=randn(2, *steps, B, 8, 4, 3),
        embedding=randn(3, *steps, B, 9),
        head=nn.Linear(9, K),
        head_weight=randn(4, K, 8),
        stages=(randn(10, *steps, B, 5, 6, 7), randn(2, *steps, B, 8, 4, 3)),
        weight_pairs=((randn(10, 4, 6), randn(11, 4, 6)),),
        tail=lambda _, maps: maps.mean((2, 3))[:, :K],
    )
    return Stream(
        logits=randn(5, T, B, K).requires_grad_(),
        features=randn(6, T, B, C, H, W).requires_grad_(),
        labels=torch.arange(B) % K,
        maps=randn(7, T, B, C, H, W).requires_grad_(),
        embedding=randn(8, T, B, 10).requires_grad_(),
        teacher=teacher,
        replaced=torch.arange(T)[:, None] >= torch.arange(B) % 4,
        stages=(randn(11, T, B, 2, 4, 9).requires_grad_(), randn(7, T, B, C, H, W).requires_grad_()),
    )


def step(one: Stream) -> StepInputs:
    other = replace(one, features=randn(9, T, B, C, H, W))
    return StepInputs(streams={"hybrid": one, "event": other}, progress=0.3, generator=seeded(1))


def build(name: str, **options: object) -> DistillationLoss:
    torch.manual_seed(0)
    return build_loss(name, options, SIZES)


VARIANTS = [(name, {}) for name in LOSSES] + [
    ("cam_kd", {"target_class": "teacher"}),
    ("feature_kd", {"reduce_time": "per_step"}),
    ("feature_kd", {"features": "maps"}),
    ("feature_kd", {"features": "maps", "reduce_time": "per_step", "blur": 0.3}),
    ("spectral_residual", {"reduce_time": "per_step"}),
    ("teacher_head_kd", {"mode": "per_step"}),
    ("logit_kd", {"divergence": "adaptive", "check_finite": True}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_spiking_teacher_with_equal_steps(name: str, options: dict) -> None:
    """It is the teacher that says it once. Tolerance: a mean over equal steps is rounded in float32."""
    once, always = stream(), stream((T,))
    targets = once.teacher
    assert targets is not None
    repeated = [one.expand(T, *one.shape) for one in (targets.logits, targets.maps, targets.embedding)]
    stages = tuple(each.expand(T, *each.shape) for each in targets.stages or ())
    again = replace(always.teacher, logits=repeated[0], maps=repeated[1], embedding=repeated[2], stages=stages)
    one = replace(once, teacher=again)
    values = [build(name, **options).compute(each, step(each)) for each in (once, one)]
    torch.testing.assert_close(values[1], values[0])
    assert values[0] != 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cam_kd", {}),
        ("cam_kd", {"target_class": "teacher"}),
        ("teacher_head_kd", {}),
        ("feature_kd", {"features": "maps"}),
        ("spectral_residual", {}),
    ],
)
def test_a_spiking_teacher_is_averaged_where_time_is(name: str, options: dict) -> None:
    timed = stream((T,))
    targets = timed.teacher
    assert targets is not None
    mean = replace(
        targets, logits=targets.logits.mean(0), maps=targets.maps.mean(0), embedding=targets.embedding.mean(0)
    )
    one = replace(timed, teacher=mean)
    values = [build(name, **options).compute(each, step(each)) for each in (timed, one)]
    torch.testing.assert_close(values[0], values[1])


def test_a_silent_spiking_teacher_has_no_weight() -> None:
    """Of five recordings it is silent in two: what the loss takes of them is what it takes of the other three."""
    one = stream((T,))
    targets = one.teacher
    assert targets is not None
    logits = targets.logits.clone()
    logits[:, [1, 4]] = 0
    silent = replace(one, teacher=replace(targets, logits=logits))
    others = [0, 2, 3]
    changed = replace(
        targets, logits=logits[:, others], maps=targets.maps[:, others], embedding=targets.embedding[:, others]
    )
    rest = replace(
        one,
        logits=one.logits[:, others],
        features=one.features[:, others],
        labels=one.labels[others],
        maps=one.maps[:, others],
        embedding=one.embedding[:, others],
        teacher=changed,
    )
    module = build("cam_kd", target_class="teacher")
    torch.testing.assert_close(module.compute(silent, step(silent)), module.compute(rest, step(rest)))


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: cka(a, b),
        lambda a, b: cka(a, b, debiased=True),
        lambda a, b: mmd(0.1 * a, 0.1 * b),
        lambda a, b: relation_kd(a[0], b[0]),
        lambda a, b: sliced_w2(a, b, generator=seeded()),
        lambda a, b: feature_distance(a[0], b[0], "cosine"),
        lambda a, b: logit_kd(a, b),
        lambda a, b: spectral_logit(a, b),
        lambda a, b: tet(a, torch.arange(8), mse_weight=0.1, target=1.0),
    ],
    ids=["cka", "debiased", "mmd", "relation_kd", "sliced_w2", "cosine", "logit_kd", "spectral", "tet"],
)
def test_autocast_changes_nothing(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    a, b = randn(0, 2, 8, 40), randn(1, 2, 8, 40)
    expected = loss(a, b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(a, b)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("classes", [2, 3, 6, 10, 11, 14, 101])
def test_the_head_of_a_uniform_teacher(classes: int) -> None:
    """The first ceil(K / 2) classes, also where K sums of 1 / K in float32 fall short of the half: a student that
    errs in the last class of the head and in the first of the tail tells them apart."""
    student = torch.zeros(1, classes, dtype=torch.float64)
    head = math.ceil(classes / 2)
    student[0, 0], student[0, head - 1], student[0, -1] = 2.0, 1.0, -1.0
    p, q = torch.full((classes,), 1 / classes, dtype=torch.float64), student.softmax(-1)[0]
    gap = (p - q).abs()
    w = gap[:head].sum() / gap.sum()
    expected = w * (p * (p / q).log()).sum() + (1 - w) * (q * (q / p).log()).sum()
    # float32, and eps; one class more or less in the head moves the loss by over 1e-3
    assert adaptive_kl(student.float(), torch.zeros(1, classes)).item() == pytest.approx(expected.item(), abs=1e-5)


def test_logit_kd_may_be_adaptive() -> None:
    p, q = torch.tensor([[0.6, 0.3, 0.1]]).log(), torch.tensor([[0.2, 0.5, 0.3]]).log()
    assert logit_kd(q, p, tau=1.0, divergence="adaptive").item() == pytest.approx(0.380666, abs=1e-6)  # float32


def test_the_last_step_is_what_decides() -> None:
    """Running counts: class 0 fires once, at the first of ten steps, class 1 twice, at the last two. Their mean says 0,
    the decision is 1; `last` distills what decides, as a network of that one step would."""
    spikes = torch.zeros(10, 1, 2)
    spikes[0, 0, 0] = spikes[8:, 0, 1] = 1
    logits, teacher = spikes.cumsum(0), torch.tensor([[0.0, 1.0]])
    assert (logits.mean(0).argmax().item(), logits[-1].argmax().item()) == (0, 1)
    assert torch.equal(logit_kd(logits, teacher, mode="last"), logit_kd(logits[-1], teacher))
    assert logit_kd(logits, teacher, mode="last") < logit_kd(logits, teacher, mode="mean")


def test_one_step_has_one_way_to_be_distilled() -> None:
    logits, teacher, labels = randn(0, 1, 5, 4), randn(1, 5, 4), torch.tensor([0, 1, 2, 3, 1])
    values = [logit_kd(logits, teacher, mode=mode) for mode in ("mean", "per_step", "last")]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])
    ce = torch.nn.functional.cross_entropy(logits[0], labels)
    torch.testing.assert_close(
        tet(logits, labels, mse_weight=0.1, target=1.5), 0.9 * ce + 0.1 * (logits - 1.5).square().mean()
    )
    right = logits[0].argmax(-1)
    assert self_temporal_kd(logits, right).item() == pytest.approx(0, abs=1e-6)
    assert self_temporal_kd(logits, (right + 1) % 4).item() == 0  # no step is right


def test_of_equal_logits_the_first_class_counts() -> None:
    """Both steps are ties of the first two classes: right for label 0, wrong for label 1."""
    tie = torch.tensor([[[2.0, 2.0, 0.0]], [[1.0, 1.0, 0.0]]])
    assert self_temporal_kd(tie, torch.tensor([0])).item() > 0
    assert self_temporal_kd(tie, torch.tensor([1])).item() == 0


def test_each_step_has_noise_of_its_own() -> None:
    """Steps that are alike: as over so many samples, not as one step counted often."""
    logits, teacher = randn(3, 1, 1, 5).expand(4, 1, 5), randn(4, 1, 5)
    steps = noisy_logit_kd(logits, teacher, generator=seeded(2), mode="per_step")
    samples = noisy_logit_kd(logits.transpose(0, 1), teacher.expand(4, 5), generator=seeded(2), mode="per_step")
    once = noisy_logit_kd(logits[:1], teacher, generator=seeded(2), mode="per_step")
    torch.testing.assert_close(steps, samples)
    assert abs(steps - once) > 1e-4


def test_a_teachers_features_may_be_made_alike() -> None:
    """`normalize_teacher`: mean 0 and variance 1 of each feature over the batch; one sample alone has no variance."""
    targets = 3 * randn(6, 5, 7) + 2
    sizes = Sizes(steps=2, classes=3, v_threshold=1.0, student_embedding=7, teacher_embedding=7)
    module = build_loss("feature_kd", {"projector": "identity", "normalize_teacher": True}, sizes)
    ours = (targets - targets.mean(0)) / targets.std(0, correction=0)
    one = Stream(
        logits=randn(7, 2, 5, 3), features=randn(7, 2, 5, 3), labels=torch.zeros(5, dtype=torch.long),
        embedding=ours.expand(2, 5, 7), teacher=TeacherTargets(logits=randn(8, 5, 3), embedding=targets),
    )  # fmt: skip
    assert module.compute(one, step(one)).item() == pytest.approx(0, abs=1e-10)
    single = replace(
        one, logits=one.logits[:, :1], features=one.features[:, :1], labels=one.labels[:1],
        embedding=one.embedding[:, :1], teacher=TeacherTargets(logits=randn(8, 1, 3), embedding=targets[:1]),
    )  # fmt: skip
    assert torch.isfinite(module.compute(single, step(single)))


def test_similarities_by_products() -> None:
    """Rows (3, 0), (0, 4): Gram diag(9, 16) / sqrt(337); against a teacher's (1, 0), (1, 0): ones / 2."""
    ours, targets = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    root = 337**0.5
    expected = ((9 / root - 0.5) ** 2 + (16 / root - 0.5) ** 2 + 2 * 0.25) / 4
    assert relation_kd(ours, targets, kind="gram").item() == pytest.approx(expected)
    assert torch.isfinite(relation_kd(torch.ones(4, 3), torch.ones(4, 2), kind="gram"))  # a batch of one class


def test_noise_is_for_training() -> None:
    one = stream()
    module = build("noisy_logit_kd")
    plain = logit_kd(one.logits, one.teacher.logits, mode="mean")
    assert not torch.equal(module.compute(one, step(one)), plain)
    assert torch.equal(module.eval().compute(one, step(one)), plain)


def test_the_target_of_cross_entropy() -> None:
    one = stream()
    for options, target in (({}, 1.0), ({"target": 0.25}, 0.25)):
        expected = tet(one.logits, one.labels, mse_weight=0.5, target=target)
        assert torch.equal(build("tet", mse_weight=0.5, **options).compute(one, step(one)), expected)

"""Methods that compare inner features: their whole loss against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from loss_inputs import randn, seeded
from scipy.fft import dct, dctn
from scipy.signal import correlate
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.objective import Objective
from spikeport.pipeline.run.sections.distillation import Distillation

T, B, K, C, H, W = 3, 5, 4, 6, 2, 7
D, TALL, WIDE = 8, 4, 3  # channels, height and width of the teacher's maps
STAGES = ((3, 5, 9), (5, 4, 8), (C, H, W))
SIZES = Sizes(
    steps=T,
    classes=K,
    v_threshold=1.0,
    student_map=(C, H, W),
    student_stages=STAGES,
    teacher_map=(D, TALL, WIDE),
    teacher_stages=((4, 8, 6), (D, TALL, WIDE)),
)


def step(batch: int = B) -> StepInputs:
    teacher = TeacherTargets(
        logits=randn(4, batch, K),
        maps=randn(5, batch, D, TALL, WIDE),
        stages=tuple(randn(6, batch, *shape) for shape in SIZES.teacher_stages or ()),
    )
    stream = Stream(
        logits=randn(1, T, batch, K),
        features=randn(2, T, batch, 9),
        labels=torch.arange(batch) % K,
        maps=randn(3, T, batch, C, H, W),
        stages=tuple(randn(9, T, batch, *shape).requires_grad_() for shape in STAGES),
        teacher=teacher,
    )
    return StepInputs(streams={"event": stream}, progress=0.3, generator=seeded(7))


def objective(method: str, **options: object) -> Objective:
    torch.manual_seed(0)
    return Objective(method_spec(Distillation(method=method, options=options)), SIZES)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def cross_entropy(stream: Stream) -> float:
    logits = log_softmax(stream.logits.numpy())
    return -float(np.mean([logits[:, b, label] for b, label in enumerate(stream.labels.tolist())]))


def divergence(student: np.ndarray, teacher: np.ndarray, tau: float) -> float:
    log_p, log_q = log_softmax(teacher / tau), log_softmax(student / tau)
    return float(tau**2 * (np.exp(log_p) * (log_p - log_q)).sum(-1).mean())


def pooled(maps: np.ndarray, height: int, width: int, reduce: Callable = np.mean) -> np.ndarray:
    """Means of even parts, which may overlap, as adaptive pooling has them."""
    tall, wide = maps.shape[-2:]
    found = np.empty((*maps.shape[:-2], height, width))
    for y in range(height):
        for x in range(width):
            rows = slice(y * tall // height, -(-(y + 1) * tall // height))
            columns = slice(x * wide // width, -(-(x + 1) * wide // width))
            found[..., y, x] = reduce(maps[..., rows, columns], axis=(-2, -1))
    return found


def projected(maps: np.ndarray, weights: dict[str, nn.Parameter]) -> np.ndarray:
    kernel, bias = (weights[f"projector.{name}"].detach().numpy() for name in ("weight", "bias"))
    return np.einsum("dc,bchw->bdhw", kernel[..., 0, 0], maps) + bias[:, None, None]


def convolved(maps: np.ndarray, weight: Tensor, bias: Tensor) -> np.ndarray:
    kernels = weight.detach().numpy()
    return np.stack(
        [
            [
                sum(correlate(one[c], kernel[c], mode="same") for c in range(len(one))) + offset
                for kernel, offset in zip(kernels, bias.detach().numpy(), strict=True)
            ]
            for one in maps
        ]
    )


def test_bkdsnn() -> None:
    """CE + a KL of the means over time + b of maps whose zeroed channels two convolutions restore."""
    trained, seen = objective("bkdsnn", kd_weight=0.7, tau=3.0, feature_weight=0.4, blur=0.5), step()
    stream = seen.streams["event"]
    assert stream.teacher is not None
    assert stream.teacher.maps is not None
    assert stream.maps is not None
    weights = dict(trained.losses[2].named_parameters())
    rates = stream.maps.mean(0).numpy()
    ours = pooled(projected(rates, weights), H, WIDE)
    drawn = torch.rand((B, D), generator=seeded(7)).numpy()
    assert 0 < (drawn < 0.5).sum() < drawn.size
    ours = ours * (drawn >= 0.5)[..., None, None]
    inner = np.maximum(convolved(ours, weights["restore.0.weight"], weights["restore.0.bias"]), 0)
    restored = convolved(inner, weights["restore.2.weight"], weights["restore.2.bias"])
    features = ((restored - pooled(stream.teacher.maps.numpy(), H, WIDE)) ** 2).mean()
    logits = divergence(stream.logits.mean(0).numpy(), stream.teacher.logits.numpy(), 3.0)
    found = trained(seen)
    np.testing.assert_allclose(found.parts["event.feature_kd"], features, rtol=1e-5)
    np.testing.assert_allclose(found.total.detach(), cross_entropy(stream) + 0.7 * logits + 0.4 * features, rtol=1e-5)


def test_bsd() -> None:
    """CE + a MSE of filtered spectra + b MSE of the upper half of the ordered logits' spectrum."""
    trained, seen = objective("bsd", feature_weight=0.7, logit_weight=0.4), step()
    stream = seen.streams["event"]
    assert stream.teacher is not None
    assert stream.teacher.maps is not None
    assert stream.maps is not None
    weights = dict(trained.losses[1].named_parameters())
    assert not weights["residual"].any()  # an untrained filter passes all
    with torch.no_grad():
        weights["residual"] += randn(8, H, WIDE)
    maps = pooled(projected(stream.maps.mean(0).numpy(), weights), H, WIDE)
    spectra = [dctn(one, axes=(2, 3), norm="ortho") for one in (maps, pooled(stream.teacher.maps.numpy(), H, WIDE))]
    features = (((1 + weights["residual"].detach().numpy()) * spectra[0] - spectra[1]) ** 2).mean()
    targets = stream.teacher.logits.numpy()
    order = np.argsort(-targets)
    gap = np.take_along_axis(stream.logits.mean(0).numpy() - targets, order, 1)
    logits = (dct(gap, norm="ortho")[:, K // 2 :] ** 2).mean()
    expected = cross_entropy(stream) + 0.7 * features + 0.4 * logits
    np.testing.assert_allclose(trained(seen).total.detach(), expected, rtol=1e-5)


def test_tssd() -> None:
    """CE + a KL(z_T || T / t z_t) + b (c CE(w) + KL(z_T || w)), w on the rates of the second of three stages."""
    options = {"temporal_weight": 0.7, "stage_weight": 0.4, "tau": 2.0, "label_weight": 0.3}
    trained, seen = objective("tssd", **options), step()
    stream = seen.streams["event"]
    assert stream.stages is not None
    logits = stream.logits.numpy()
    over_time = np.mean([divergence(T / (t + 1) * logits[t], logits[-1], 2.0) for t in range(T)])
    weight, bias = (one.detach().numpy() for one in trained.losses[2].parameters())
    weak = np.einsum("tbchw->bc", stream.stages[1].detach().numpy()) / (T * 4 * 8) @ weight.T + bias
    entropy = -np.mean([log_softmax(weak)[b, label] for b, label in enumerate(stream.labels.tolist())])
    over_depth = 0.3 * entropy + divergence(weak, logits[-1], 2.0)
    found = trained(seen)
    expected = cross_entropy(stream) + 0.7 * over_time + 0.4 * over_depth
    np.testing.assert_allclose(found.total.detach(), expected, rtol=1e-5)


def test_the_weak_classifier_trains_its_stage_and_not_the_output() -> None:
    trained, seen = objective("tssd", temporal_weight=0.0), step()
    stream = seen.streams["event"]
    stream.logits.requires_grad_()
    assert stream.stages is not None
    value = trained.losses[2].compute(stream, seen)
    value.backward()
    assert stream.logits.grad is None
    heard = [each.grad is not None and bool(each.grad.any()) for each in stream.stages]
    assert heard == [False, True, False]


def embedded(maps: np.ndarray, network: nn.Module, width: int) -> np.ndarray:
    """Unit vectors `[B, E]` of one stage at one step, a sample at a time."""
    flat = maps.reshape(len(maps), -1)
    first, second = (network.get_submodule(name) for name in "02")
    found = []
    for sample in flat:
        row = np.sort([sample @ other / len(sample) for other in flat])[::-1]
        profile = pooled(row[None], 1, width)[0]
        inner = np.maximum(first.weight.detach().numpy() @ profile + first.bias.detach().numpy(), 0)
        outer = second.weight.detach().numpy() @ inner + second.bias.detach().numpy()
        found.append(outer / np.linalg.norm(outer))
    return np.array(found)


def regressed(maps: np.ndarray, network: nn.Module) -> np.ndarray:
    """Convolution, one group's norm, ReLU, and a mix of channels."""
    first, last = network.get_submodule("0").weight, network.get_submodule("3").weight
    inner = convolved(maps, first, torch.zeros(len(first)))
    mean, spread = (fold(inner, axis=(1, 2, 3), keepdims=True) for fold in (np.mean, np.var))
    inner = np.maximum((inner - mean) / np.sqrt(spread + 1e-5), 0)
    return np.einsum("dc,bchw->bdhw", last.detach().numpy()[..., 0, 0], inner)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_sastc(batch: int) -> None:
    """CE + a KL of the means over time + b mean_tbi sum_j softmax_j(q k) MSE, for any size of the batch."""
    width = 8
    trained = objective("sastc", kd_weight=0.7, tau=3.0, stage_weight=0.4, width=width)
    seen, loss = step(batch), trained.losses[2]
    stream = seen.streams["event"]
    assert stream.teacher is not None
    theirs = [each.numpy() for each in stream.teacher.stages or ()]
    keys = [embedded(maps, net, width) for maps, net in zip(theirs, loss.keys, strict=True)]
    terms = []
    regressors = iter(loss.regressors)
    for ours, net in zip(stream.stages or (), loss.queries, strict=True):
        row = [next(regressors) for _ in theirs]
        for maps in ours.detach().numpy():
            query = embedded(maps, net, width)
            energies = np.exp([(query * key).sum(1) for key in keys])
            distances = []
            for other, regressor in zip(theirs, row, strict=True):
                size = [min(sides) for sides in zip(maps.shape[2:], other.shape[2:], strict=True)]
                found = regressed(pooled(maps, *size, np.max), regressor)
                distances.append(((found - pooled(other, *size)) ** 2).mean((1, 2, 3)))
            terms.append((energies / energies.sum(0) * distances).sum(0).mean())
    logits = divergence(stream.logits.mean(0).numpy(), stream.teacher.logits.numpy(), 3.0)
    found = trained(seen)
    expected = cross_entropy(stream) + 0.7 * logits + 0.4 * np.mean(terms)
    np.testing.assert_allclose(found.total.detach(), expected, rtol=1e-5)
    found.total.backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in (*stream.stages, *trained.parameters()))


def test_the_order_of_samples_does_not_matter_to_sastc() -> None:
    trained, seen, order = objective("sastc"), step(), [3, 0, 4, 1, 2]
    stream = seen.streams["event"]
    assert stream.teacher is not None
    moved = replace(
        stream,
        stages=tuple(each[:, order] for each in stream.stages or ()),
        teacher=replace(stream.teacher, stages=tuple(each[order] for each in stream.teacher.stages or ())),
    )
    values = [trained.losses[2].compute(each, seen) for each in (stream, moved)]
    torch.testing.assert_close(values[0], values[1])


def test_sastc_refuses_a_network_of_one_stage() -> None:
    spec = method_spec(Distillation(method="sastc"))
    with pytest.raises(UserError, match=r"several stages of the teacher, and this teacher shows one.*Hint: use a"):
        Objective(spec, replace(SIZES, teacher_stages=((D, TALL, WIDE),)))
    with pytest.raises(UserError, match=r"several stages of the student, and this student shows one"):
        Objective(spec, replace(SIZES, student_stages=((C, H, W),)))

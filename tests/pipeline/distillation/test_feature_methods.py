"""Methods that compare inner features: their whole loss against NumPy."""

from __future__ import annotations

import numpy as np
import torch
from loss_inputs import randn, seeded
from scipy.fft import dct, dctn
from scipy.signal import correlate
from torch import Tensor, nn

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
)


def step() -> StepInputs:
    stream = Stream(
        logits=randn(1, T, B, K),
        features=randn(2, T, B, 9),
        labels=torch.arange(B) % K,
        maps=randn(3, T, B, C, H, W),
        stages=tuple(randn(9, T, B, *shape).requires_grad_() for shape in STAGES),
        teacher=TeacherTargets(logits=randn(4, B, K), maps=randn(5, B, D, TALL, WIDE)),
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


def pooled(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means of even parts, of which the last may overlap, as adaptive average pooling has them."""
    tall, wide = maps.shape[-2:]
    found = np.empty((*maps.shape[:-2], height, width))
    for y in range(height):
        for x in range(width):
            rows = slice(y * tall // height, -(-(y + 1) * tall // height))
            columns = slice(x * wide // width, -(-(x + 1) * wide // width))
            found[..., y, x] = maps[..., rows, columns].mean((-2, -1))
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

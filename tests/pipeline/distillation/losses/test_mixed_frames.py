"""The source of frames and the mix ratio, by hand and against a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import randn
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream
from spikeport.pipeline.distillation.losses.table import build_loss
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import Objective
from spikeport.pipeline.run.sections.distillation import LossSpec

NAMES = ("frame_source", "mix_ratio")


def computed(name: str, embedding: Tensor, replaced: Tensor, weight: list[float], bias: float) -> Tensor:
    """The loss with a known head."""
    steps, batch, size = embedding.shape
    loss = build_loss(name, {}, Sizes(steps=steps, classes=2, v_threshold=1.0, student_embedding=size))
    with torch.no_grad():
        loss.head.weight[:] = torch.tensor([weight])
        loss.head.bias[:] = bias
    stream = Stream(
        logits=torch.zeros(steps, batch, 2),
        features=embedding,
        labels=torch.zeros(batch, dtype=torch.int64),
        embedding=embedding,
        replaced=replaced,
    )
    step = StepInputs(streams={"hybrid": stream}, progress=0.5, generator=torch.Generator())
    return loss.compute(stream, step)


def test_known_values() -> None:
    """An image frame with chance 3/4 of events, an event frame with 1/2: (ln 4 + ln 2) / 2. A ratio of 3/4 for 1/2."""
    embedding = torch.tensor([[[1.0, 5.0]], [[0.0, 7.0]]], dtype=torch.float64)
    replaced = torch.tensor([[False], [True]])
    source = computed("frame_source", embedding, replaced, [math.log(3), 0.0], 0.0)
    assert source.item() == pytest.approx(1.5 * math.log(2), abs=1e-7)  # the head is float32
    ratio = computed("mix_ratio", embedding, replaced, [2 * math.log(3), 0.0], 0.0)
    assert ratio.item() == pytest.approx(0.0625, abs=1e-7)


def test_against_a_loop() -> None:
    embedding, weight, bias = randn(1, 3, 5, 4), [0.5, -1.0, 2.0, 0.25], -0.5
    replaced = torch.arange(3)[:, None] >= torch.tensor([0, 3, 1, 2, 2])
    z = embedding.numpy() @ weight + bias
    m, q = replaced.numpy().astype(float), 1 / (1 + np.exp(-z))
    source = np.mean([-math.log(q[t, b] if m[t, b] else 1 - q[t, b]) for t in range(3) for b in range(5)])
    assert computed("frame_source", embedding, replaced, weight, bias).item() == pytest.approx(source, rel=1e-12)
    errors = [1 / (1 + math.exp(-z[:, b].mean())) - m[:, b].sum() / 3 for b in range(5)]
    ratio = np.mean(np.square(errors))
    assert computed("mix_ratio", embedding, replaced, weight, bias).item() == pytest.approx(ratio, rel=1e-12)


def test_the_gradient_of_the_source_is_the_error_of_each_frame() -> None:
    embedding, weight = randn(2, 3, 5, 2).requires_grad_(), [1.5, -0.5]
    replaced = torch.arange(3)[:, None] >= torch.tensor([0, 3, 1, 2, 2])
    computed("frame_source", embedding, replaced, weight, 0.25).backward()
    z = embedding.detach() @ torch.tensor(weight).double() + 0.25
    errors = (z.sigmoid() - replaced.double()) / 15
    torch.testing.assert_close(embedding.grad, errors[..., None] * torch.tensor(weight).double())


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_an_embedding_and_the_hybrid_stream(name: str) -> None:
    with pytest.raises(UserError, match="predicted from the student's embedding, and it has none"):
        build_loss(name, {}, Sizes(steps=3, classes=2, v_threshold=1.0))
    sizes = Sizes(steps=3, classes=2, v_threshold=1.0, student_embedding=4)
    with pytest.raises(UserError, match=r"cannot act on the stream 'event'.*use the stream hybrid"):
        Objective(MethodSpec(losses=(LossSpec(loss=name),)), sizes)

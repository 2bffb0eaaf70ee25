"""The loss of an adaptation against its equations in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from spikeport.export.network.readout import classify
from spikeport.pipeline.adaptation.module_network import Signals
from spikeport.pipeline.adaptation.objective import AdaptationLoss, scores
from spikeport.pipeline.adaptation.task import AdaptationTask
from spikeport.pipeline.run.sections.training import Augmentation

T, B, N, K = 5, 4, 6, 3


def signals(seed: int) -> Signals:
    rng = np.random.default_rng(seed)
    spikes = {
        name: torch.tensor(rng.random((T, B, N)) < p, dtype=torch.float64) for name, p in (("a", 0.3), ("b", 0.6))
    }
    return Signals(spikes, torch.tensor(rng.random((T, B, K)) < 0.5, dtype=torch.float64))


def test_it_is_the_sum_of_its_equations() -> None:
    source, adapted = signals(1), signals(2)
    adapted = Signals({"x": adapted.layers["a"], "y": adapted.layers["b"]}, adapted.output)
    found = AdaptationLoss(pairs={"a": "x", "b": "y"}, temperature=2.5, classes=3.0, rates=0.7)(source, adapted)

    def softmax(values: np.ndarray) -> np.ndarray:
        powers = np.exp(values)
        return powers / powers.sum(-1, keepdims=True)

    theirs, ours = (softmax(each.output.numpy().cumsum(0) / 2.5) for each in (source, adapted))
    outputs = 2.5**2 * np.mean((theirs * (np.log(theirs) - np.log(ours))).sum(-1))
    weight = (1 - np.arange(T) / T**2)[:, None, None]
    expected = (weight * source.output.numpy()).sum(0).argmax(-1)
    classes = -3 * np.mean(np.log(softmax((weight * adapted.output.numpy()).sum(0)))[np.arange(B), expected])
    rates = []
    for one, other in (("a", "x"), ("b", "y")):
        wanted, given = source.layers[one].numpy().mean(0), adapted.layers[other].numpy().mean(0)
        rates.append(np.mean((wanted - given) ** 2) / wanted.var())
    for name, value in (("outputs", outputs), ("classes", classes), ("layer_rates", 0.7 * np.mean(rates))):
        np.testing.assert_allclose(float(found[name]), value, rtol=1e-12)  # float64, other orders of sums


def test_a_batch_counts_the_classes_that_are_the_sources() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, given: Signals) -> None:
            super().__init__()
            self.given, self.weight = given, torch.nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, frames: torch.Tensor) -> Signals:
            return Signals(self.given.layers, self.given.output * self.weight)

    source, adapted = signals(1), signals(6)
    task = AdaptationTask(
        Fixed(adapted), Fixed(source), np.zeros((B, T, 2), np.uint8), AdaptationLoss(pairs={}),
        augmentation=Augmentation(), batch=B, epochs=2, lr=0.1, seed=0, ema_decay=0.0, identity={},
    )  # fmt: skip
    total, parts = task.loss(torch.arange(B), 0)
    theirs, ours = (classify(each.output.numpy().transpose(1, 0, 2).astype(np.uint8)) for each in (source, adapted))
    share = np.mean(theirs == ours)
    assert 0 < share < 1
    assert float(parts.pop("training_agreement")) == share
    assert float(total.detach()) == float(sum(parts.values()))


def test_scores_decide_as_the_read_out_does() -> None:
    """Also where counts are equal: earlier spikes win. Samples without a spike have no class."""
    rng = np.random.default_rng(3)
    spikes = (rng.random((200, T, K)) < 0.4).astype(np.uint8)
    found = scores(torch.tensor(spikes, dtype=torch.float64).transpose(0, 1)).argmax(-1).numpy()
    expected = classify(spikes)
    counts = np.sort(spikes.sum(1), axis=1)
    assert np.count_nonzero(counts[:, -1] == counts[:, -2]) > 40
    assert np.array_equal(found[expected >= 0], expected[expected >= 0])

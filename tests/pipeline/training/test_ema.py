"""The moving average of weights against torch's AveragedModel, which walks through all modules at every update."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from spikeport.pipeline.training.ema import ExponentialMovingAverage

SHARE = 0.5


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    first, last = nn.Linear(3, 3), nn.Linear(3, 3)
    last.weight = first.weight  # held twice, averaged once
    return nn.Sequential(first, nn.BatchNorm1d(3), last, nn.Linear(3, 2, bias=False))


def torchs(model: nn.Module) -> AveragedModel:
    def update(averages, values, number):
        decay = min(SHARE, (1 + int(number)) / (10 + int(number)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:
            torch._foreach_copy_(averages, values)

    with torch.no_grad():
        return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def test_it_is_torchs_bit_by_bit() -> None:
    model = network(1)
    ours, theirs = ExponentialMovingAverage(network(1), SHARE), torchs(network(1))
    for step in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn(parameter.shape)
            model(torch.randn(5, 3))  # moves batch norm's statistics and its whole number
            if step == 4:  # a buffer may be another tensor than before
                model[1].running_mean = torch.tensor([3.0, -2.0, 7.0])
            ours.update_parameters(model)
            theirs.update_parameters(model)
        expected = theirs.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())
    assert ours.module[1].num_batches_tracked == 12
    assert ours.module[2].weight is ours.module[0].weight
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_it_goes_on_from_a_saved_one() -> None:
    model, first, second = (
        network(2),
        ExponentialMovingAverage(network(3), SHARE),
        ExponentialMovingAverage(network(4), SHARE),
    )
    first.update_parameters(model)
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update_parameters(network(5))
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
    assert second.n_averaged == 2
